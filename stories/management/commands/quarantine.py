"""``quarantine FILE``: puts the records of a JSON-lines file into quarantine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stories.quarantine import records


class Command(BaseCommand):
    help = (
        "Puts each line of FILE into quarantine: "
        '{"session": "old id", "id": "old id", "reason": "…", "payload": {"narrative": "…"}}.'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with options["file"].open("rb") as lines:
                results = list(records.put_lines(lines))
        except OSError as error:
            raise CommandError(f"{options['file'].name}: {error.strerror}.") from None
        rejected = [line for line in results if line.error]
        for line in rejected:
            self.stderr.write(f"{options['file'].name}:{line.number}: {line.error}")
        self.stdout.write(f"{len(results) - len(rejected)} in quarantine, {len(rejected)} rejected")
        if rejected:
            raise CommandError("Some lines were rejected. The others are in quarantine.")
