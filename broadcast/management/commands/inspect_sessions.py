"""``inspect_sessions``: stories per session, first and last, and what waits in quarantine."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db.models import Count, Max, Min

from sessions_app.models import Session
from stories.models import QuarantinedRecord


class Command(BaseCommand):
    help = "Show how the stories are spread over the sessions, and what is in quarantine."

    def handle(self, *args: Any, **options: Any) -> None:
        rows: list[Any] = list(
            Session.objects.annotate(
                stories=Count("story"),
                first=Min("story__created_at"),
                last=Max("story__created_at"),
            ).order_by("-stories", "created_at")
        )
        for row in rows:
            span = (
                f"{row.first:%Y-%m-%d %H:%M} to {row.last:%Y-%m-%d %H:%M} UTC"
                if row.first
                else "no story yet"
            )
            self.stdout.write(f"{row.pk}  {row.stories:>8,} stories  {span}  {row.name}")
        waiting = QuarantinedRecord.objects.filter(state=QuarantinedRecord.State.WAITING)
        groups = waiting.values("old_session", "reason").annotate(number=Count("pk"))
        for group in groups.order_by("-number"):
            old = group["old_session"] or "(none)"
            self.stdout.write(f"quarantine  {group['number']:>8,}  {old}  {group['reason']}")
        self.stdout.write(f"{len(rows)} sessions, {waiting.count()} records in quarantine")
