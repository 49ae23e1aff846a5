"""``inspect_sessions [--json]``: stories per session, first and last, and records in quarantine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from broadcast import figures

BAR_LENGTH = 20  # characters


class Command(BaseCommand):
    help = "Show how stories are distributed over sessions, and what is in quarantine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        report = figures.distribution(most=None)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report), indent=1, ensure_ascii=False))
            return
        for row in report.rows:
            bar = "#" * round(BAR_LENGTH * row["share"])
            span = "no story yet"
            if row["first"] and row["last"]:
                times = [at[:16].replace("T", " ") for at in (row["first"], row["last"])]
                span = f"{' to '.join(times)} UTC"
            share = f"{100 * row['share']:5.1f} %  {bar:<{BAR_LENGTH}}"
            self.stdout.write(
                f"{row['id']}  {row['stories']:>8,} stories  {share}  {span}  {row['name']}"
            )
        for group in report.groups:
            old_session = group["old_session"] or "(none)"
            line = f"quarantine  {group['records']:>8,}  {old_session}  {group['reason']}"
            self.stdout.write(line)
        self.stdout.write(f"{report.sessions} sessions, {report.records} records in quarantine")
