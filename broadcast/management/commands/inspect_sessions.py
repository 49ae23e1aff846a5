"""``inspect_sessions [--json]``: stories per session, first and last, and what waits in quarantine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from broadcast import distribution

BAR = 20  # characters


class Command(BaseCommand):
    help = "Show how the stories are spread over the sessions, and what is in quarantine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        found = distribution.read(most=None)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found), indent=1, ensure_ascii=False))
            return
        for row in found.rows:
            self.stdout.write(_session(row))
        for group in found.groups:
            old = group["old_session"] or "(none)"
            self.stdout.write(f"quarantine  {group['records']:>8,}  {old}  {group['reason']}")
        self.stdout.write(f"{found.sessions} sessions, {found.records} records in quarantine")


def _session(row: dict[str, Any]) -> str:
    bar = "#" * round(BAR * row["share"])
    span = f"{_minute(row['first'])} to {_minute(row['last'])} UTC" if row["first"] else _NONE
    share = f"{100 * row['share']:5.1f} %  {bar:<{BAR}}"
    return f"{row['id']}  {row['stories']:>8,} stories  {share}  {span}  {row['name']}"


_NONE = "no story yet"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")
