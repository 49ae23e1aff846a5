"""How stories are spread over sessions, and what waits in quarantine, for people who look after all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, F, Max, Min, OuterRef, QuerySet, Subquery, Sum

from sessions_app.errors import Forbidden
from sessions_app.events.recorder import timestamp
from sessions_app.models import Session, SessionStats
from stories.models import QuarantinedRecord, Story

SHOWN = 100  # sessions on the page; the command shows all
GROUPS = 50


@dataclass(frozen=True, slots=True)
class Spread:
    """Sessions by their stories, the most first; ``others`` are sessions that are not shown.

    A row is ``{id, name, owner, type, stories, share (0..1), first, last}``, a group of the
    quarantine ``{old_session, reason, kind, records, first, last}``.
    """

    stories: int
    sessions: int
    rows: list[dict[str, Any]]
    others: int
    groups: list[dict[str, Any]]
    records: int


def read(most: int | None = SHOWN) -> Spread:
    """From the counters and by key, so that it costs the same however many stories there are."""
    total = SessionStats.objects.aggregate(stories=Sum("story_count", default=0), all=Count("pk"))
    found = list(_sessions() if most is None else _sessions()[:most])
    groups = _groups()
    return Spread(
        stories=total["stories"],
        sessions=total["all"],
        rows=_rows(found, total["stories"]),
        others=total["all"] - len(found),
        groups=groups if most is None else groups[:GROUPS],
        records=sum(group["records"] for group in groups),
    )


def for_staff(person: User) -> Spread:
    """The same for the page; Forbidden for anybody else."""
    if not person.is_staff:
        raise Forbidden("Only the staff see how the sessions of everybody stand.")
    return read()


def _sessions() -> QuerySet[Session, Any]:
    mine = Story.objects.filter(session=OuterRef("pk")).values("created_at")
    rows = Session.objects.annotate(
        stories=F("stats__story_count"),
        first=Subquery(mine.order_by("created_at", "id")[:1]),
        last=Subquery(mine.order_by("-created_at", "-id")[:1]),
        owned_by=F("owner__username"),
    )
    return rows.order_by("-stories", "created_at").values(
        "id", "name", "owned_by", "type", "stories", "first", "last"
    )


def _rows(found: Sequence[dict[str, Any]], stories: int) -> list[dict[str, Any]]:
    return [
        {
            "id": str(row["id"]),
            "name": row["name"],
            "owner": row["owned_by"],
            "type": row["type"],
            "stories": row["stories"] or 0,
            "share": (row["stories"] or 0) / stories if stories else 0.0,
            "first": timestamp(row["first"]),
            "last": timestamp(row["last"]),
        }
        for row in found
    ]


def _groups() -> list[dict[str, Any]]:
    waiting = QuarantinedRecord.objects.filter(state=QuarantinedRecord.State.WAITING)
    rows = waiting.values("old_session", "reason", "kind").annotate(
        records=Count("pk"), first=Min("created_at"), last=Max("created_at")
    )
    ordered: Any = rows.order_by("-records", "old_session", "reason")
    return [
        {**row, "first": timestamp(row["first"]), "last": timestamp(row["last"])} for row in ordered
    ]
