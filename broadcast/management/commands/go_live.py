"""``go_live SESSION``: the same command as on the page and in the API."""

from __future__ import annotations

from typing import Any

from broadcast import session_commands
from sessions_app.management.base import SessionCommand


class Command(SessionCommand):
    help = "Go live with a session."

    def handle(self, *args: Any, **options: Any) -> None:
        run = self.run_command(session_commands.START, self.find(options["session"]))
        self.stdout.write(f"run {run.number}: {run.state}")
