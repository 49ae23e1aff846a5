"""``rebuild_market SESSION | --all``: counts the posts of sessions for the market again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions_app.models import Session
from stories.market import trends


class Command(BaseCommand):
    help = "Counts all posts of sessions for the market again, in one transaction per session."

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("session", nargs="?", type=UUID, help="the session's id")
        which.add_argument("--all", action="store_true", help="every session")

    def handle(self, *args: Any, **options: Any) -> None:
        sessions = Session.objects.order_by("created_at", "id")
        if not options["all"]:
            sessions = sessions.filter(pk=options["session"])
            if not sessions.exists():
                raise CommandError("There is no such session.")
        for session in sessions.iterator():
            self.stdout.write(f"{session.pk}: {trends.rebuild(session)} trends")
