"""Tells stories at a steady rate, each in its own transaction; run through ``manage.py shell``."""

from __future__ import annotations

import time
from typing import Any

from django.db import transaction
from django.utils import timezone

from sessions_app.events import recorder
from sessions_app.models import Session
from stories import stories
from stories.models import Story


def tell(session_id: str, number: int, per_second: float) -> None:
    session = Session.objects.get(pk=session_id)
    for at in range(number):
        due = time.monotonic() + 1 / per_second
        _tell_one(session, f"Tide {at}")
        time.sleep(max(0.0, due - time.monotonic()))


def _tell_one(session: Session, title: str) -> None:
    with transaction.atomic():
        at = timezone.now()
        story = Story.objects.create(
            session=session,
            origin="manual",
            title=title,
            narrative="The tide came in.",
            tone="developing",
            priority="low",
            word_count=4,
            duration=2,
            completed_at=at,
        )
        payload: dict[str, Any] = {"story": stories.payload(story), "queue": [], "joined": None}
        recorder.record(
            session, stories.WRITTEN, payload, at, story_count=1, words=4, narration_seconds=2
        )
