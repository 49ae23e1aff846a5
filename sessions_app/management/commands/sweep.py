"""``sweep [--forever]``: runs the sweeper once, or whenever something is due."""

from __future__ import annotations

import signal
from queue import SimpleQueue
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sessions_app.background import sweeper


class Command(BaseCommand):
    help = "Poke overdue steps and repair what a crash left. Several sweepers may run at once."
    # They touch all models and pages, whose memory is then no longer shared with the studio.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forever", action="store_true", help="repeat whenever something is due"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["forever"]:
            self.stdout.write(f"{sweeper.sweep()} steps poked")
            return
        calls = SimpleQueue[float | None]()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: calls.put(None))
        sweeper.run_forever(calls)
