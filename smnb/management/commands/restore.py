"""``restore FILE [--replace]``: restores a backup into an empty installation, and audits it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app import audits
from sessions_app.errors import SmnbError
from smnb import backups
from smnb.runner.first_run import AlreadyRunning, only_studio


class Command(BaseCommand):
    help = "Restore a backup into an empty installation, and audit it; ends with 1 on a finding."
    # The database may have no tables yet.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--replace", action="store_true", help="also where there are sessions already"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        settings.SMNB.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with only_studio(settings.SMNB.data_dir):
                notes = backups.restore(options["file"], replace=options["replace"])
        except (SmnbError, AlreadyRunning, OSError) as error:
            raise CommandError(getattr(error, "sentence", str(error))) from None
        for note in notes:
            self.stderr.write(note)
        findings = list(audits.run())
        for finding in findings:
            self.stdout.write(f"{finding.audit}: {finding.session or 'all'}: {finding.detail}")
        if findings:
            raise CommandError(
                f"Restored, but {len(findings)} findings in {len(audits.names())} audits"
            )
        self.stdout.write(f"Restored; {len(audits.names())} audits, no finding")
