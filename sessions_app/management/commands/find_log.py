"""``find_log ID [--session UUID]``: prints log lines by their id or by their request's id."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.session_logs import catalog


class Command(BaseCommand):
    help = (
        "Print the log line with this id, or the lines of the request with this id, newest first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the id of a line or of a request")
        parser.add_argument("--session", type=UUID, help="search only this session")

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        for line in catalog.find_by_id(options["id"], options["session"]):
            self.stdout.write(json.dumps(line, ensure_ascii=False))
            count += 1
        if not count:
            raise CommandError(
                "No line has this id, and no line belongs to a request with this id."
            )
