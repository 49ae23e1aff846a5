"""The transitions of AI chains: listed, and archived when they are old."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from django.db.models import QuerySet

from sessions_app import archives, archiving, events, retention
from sessions_app.archives import Damaged
from sessions_app.models import AITransition, Session, Workspace


def of_session(session: Session) -> QuerySet[AITransition]:
    """Those not archived yet, newest first."""
    rows = AITransition.objects.filter(session=session).select_related("old", "new")
    return rows.order_by("-id")


def payload(transition: AITransition) -> dict[str, Any]:
    """A transition as the API shows it: ``old`` and ``new`` are ids of providers."""
    return {
        "id": transition.pk,
        "old": transition.old.provider_id if transition.old else None,
        "new": transition.new.provider_id,
        "source": transition.source,
        "run": transition.run_number,
        "at": events.stamp(transition.created_at),
    }


def archived(session: Session, before: int | None, most: int) -> list[dict[str, Any]]:
    """Archived transitions older than the id ``before``, newest first."""
    packed = archives.of_session(session, archives.TRANSITIONS)
    return archives.newest(packed, "id", before, most, _instead)


def _instead(error: Damaged) -> dict[str, Any]:
    """What stands for all of an archive that cannot be read."""
    archive = error.archive
    return {
        "id": archive.first,
        "old": None,
        "new": None,
        "source": archives.DAMAGED,
        "run": None,
        "at": events.stamp(archive.created_at),
        "sentence": error.sentence,
    }


def listed(session: Session, before: int | None, most: int) -> list[dict[str, Any]]:
    """Transitions older than the id ``before``, newest first: those that live, then archived ones.

    What is archived between the two queries is found by the second one.
    """
    rows = of_session(session)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = [payload(row) for row in rows[:most]]
    if len(found) < most:
        oldest = found[-1]["id"] if found else before
        found += archived(session, oldest, most - len(found))
    return found


def archive(shared: Workspace, now: datetime) -> int:
    """A rule of retention: archive a piece of one session's old transitions; returns how many."""
    until = now - timedelta(days=shared.keep_transitions_days)
    old = AITransition.objects.filter(created_at__lt=until).order_by("created_at")
    resting = archiving.rested(archives.TRANSITIONS, now).values("session")
    first = old.exclude(session__in=resting).select_related("session").first()
    rows = _oldest(first.session, until) if first else []
    if first is None or not rows:
        return 0
    gone = AITransition.objects.filter(pk__in=[row.pk for row in rows])
    joined = sum(row.source != AITransition.RECOVERY for row in rows)
    lines = [payload(row) for row in rows]
    return archiving.pack(first.session, archives.TRANSITIONS, "id", lines, gone, joined)


def _oldest(session: Session, until: datetime) -> list[AITransition]:
    """The first transitions of a session, as far as they are old: an archive has no holes, so that
    archives hold those of the first links and come in their order.
    """
    chosen = of_session(session).order_by("id")[: retention.CHUNK]
    return list(takewhile(lambda row: row.created_at < until, chosen))


def register() -> None:
    retention.register(archive)
