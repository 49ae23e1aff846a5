"""``backup FILE [--without-keys]``: writes everything that must travel into one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.errors import SmnbError
from smnb import backups


class Command(BaseCommand):
    help = "Write database, artifacts, sounds and keys into one file; the studio may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--without-keys", action="store_true", help="leave out SECRET_KEY and SMNB_FIELD_KEYS"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            size = backups.create(options["file"], with_keys=not options["without_keys"])
        except (SmnbError, OSError) as error:
            raise CommandError(getattr(error, "sentence", str(error))) from None
        self.stdout.write(f"{options['file']}: {size / 1e6:,.1f} MB")
