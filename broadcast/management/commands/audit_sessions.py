"""``audit_sessions [--json] [--only NAME] [--repair [--apply]]``: check every invariant.

Exits with 1 on a finding.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app import audit_reports, audits

PAUSE = 0.5  # seconds: sessions may be on air, and what changes meanwhile is no fault


class Command(BaseCommand):
    help = "Check every invariant of the database; ends with 1 when one is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--only", choices=audits.names(), default="", metavar="NAME")
        parser.add_argument("--repair", action="store_true", help="list the safe repairs")
        parser.add_argument("--apply", action="store_true", help="with --repair: do them")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["apply"] and not options["repair"]:
            raise CommandError("--apply needs --repair.")
        findings = audit_reports.found_twice(options["only"], PAUSE)
        repairs = audits.repairs_of(findings) if options["repair"] else []
        for finding, repair in repairs:
            what = f"{repair.sentence} ({finding.audit}, {finding.session or 'all sessions'})"
            if options["apply"]:
                repair.apply(finding.session)
            self.stderr.write(f"{'Repaired' if options['apply'] else 'Would'}: {what}")
        if repairs and options["apply"]:
            # What is left is what this command cannot repair.
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
