"""``sweep [--forever]``: runs the sweeper once or every second."""

from __future__ import annotations

import signal
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sessions_app.background import sweeper


class Command(BaseCommand):
    help = "Poke overdue steps and repair what a crash left. Several sweepers may run at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--forever", action="store_true", help="repeat every second")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["forever"]:
            self.stdout.write(f"{sweeper.sweep()} steps poked")
            return
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        sweeper.run_forever(stop)
