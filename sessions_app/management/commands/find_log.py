"""``find_log ID [--session UUID]``: the lines with this id, or of this request."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.session_logs import catalog


class Command(BaseCommand):
    help = "Print the log lines with this id, or of this request, in all sessions, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the id of a line, or of a request")
        parser.add_argument("--session", type=UUID, help="look in this session alone")

    def handle(self, *args: Any, **options: Any) -> None:
        number = 0
        for line in catalog.find_by_id(options["id"], options["session"]):
            self.stdout.write(json.dumps(line, ensure_ascii=False))
            number += 1
        if not number:
            raise CommandError("No line has this id, and none is of this request.")
