"""``stop_broadcast SESSION``: the same command as on the page and in the API."""

from __future__ import annotations

from typing import Any

from broadcast import session_commands
from sessions_app.management.base import SessionCommand


class Command(SessionCommand):
    help = "Take a session off the air."

    def handle(self, *args: Any, **options: Any) -> None:
        run = self.run_command(session_commands.STOP, self.find(options["session"]))
        self.stdout.write(f"run {run.number}: {run.state}")
