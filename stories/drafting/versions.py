"""Versions of a draft: never changed again, compared, restored, and written by people too."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from sessions_app import events
from stories.models import Draft, DraftVersion

ADDED = events.declare("draft.version", "A draft has a new version.")


def of_draft(draft: Draft) -> QuerySet[DraftVersion]:
    """All versions, the newest first."""
    return DraftVersion.objects.filter(draft=draft).select_related("user").order_by("-number")


def latest(draft: Draft) -> DraftVersion | None:
    return of_draft(draft).first()


def payload(version: DraftVersion) -> dict[str, Any]:
    """A version; ``author`` is "writer", "expert" or "human", ``by`` that person's name or ""."""
    return {
        "id": version.pk,
        "draft": version.draft_id,
        "number": version.number,
        "author": version.author,
        "by": version.user.get_username() if version.user else "",
        "reason": version.reason,
        "title": version.title,
        "text": version.text,
        "word_count": version.word_count,
        "at": events.stamp(version.created_at),
    }
