"""``audit_sessions [--json] [--only NAME]``: check every invariant; exit 1 on a finding."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app import audits


class Command(BaseCommand):
    help = "Check every invariant of the database; ends with 1 when one is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--only", choices=audits.names(), default="", metavar="NAME")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = list(audits.run(options["only"]))
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=1))
        else:
            for finding in findings:
                self.stdout.write(f"{finding.audit}: {finding.session or 'all'}: {finding.detail}")
        checked = [options["only"]] if options["only"] else audits.names()
        if findings:
            raise CommandError(f"{len(findings)} findings in {len(checked)} audits")
        self.stderr.write(f"{len(checked)} audits, no finding")
