"""How stories are distributed over sessions, and the groups in quarantine, for the staff."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Count, F, Max, Min, OuterRef, Subquery, Sum
from typing_extensions import TypedDict

from sessions_app.errors import Forbidden
from sessions_app.events.recorder import timestamp
from sessions_app.models import Session, SessionStats
from stories.models import QuarantinedRecord, Story

SHOWN = 100  # sessions on the page; the command shows all
GROUPS = 50


class SessionShare(TypedDict):
    """A session with its number of stories and their share (0 to 1) of all stories."""

    id: str
    name: str
    owner: str
    type: str
    stories: int
    share: float
    first: str | None
    last: str | None


class QuarantineGroup(TypedDict):
    """Waiting records of one kind and reason; times are those of the first and the last."""

    old_session: str
    reason: str
    kind: str
    records: int
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Sessions by their number of stories, largest first; ``others`` counts those not in ``rows``."""

    stories: int
    sessions: int
    rows: list[SessionShare]
    others: int
    groups: list[QuarantineGroup]
    records: int


def read(most: int | None = SHOWN) -> Distribution:
    """Reads counters and indexes only, so it costs the same with any number of stories."""
    total = SessionStats.objects.aggregate(stories=Sum("story_count", default=0), all=Count("pk"))
    # Subqueries, because each takes one entry of the index; a join would read every story.
    of_session = Story.objects.filter(session=OuterRef("pk")).values("created_at")
    sessions = Session.objects.annotate(
        stories=F("stats__story_count"),
        first=Subquery(of_session.order_by("created_at", "id")[:1]),
        last=Subquery(of_session.order_by("-created_at", "-id")[:1]),
        owned_by=F("owner__username"),
    ).order_by("-stories", "created_at")
    rows: list[SessionShare] = [
        {
            "id": str(row["id"]),
            "name": row["name"],
            "owner": row["owned_by"],
            "type": row["type"],
            "stories": row["stories"] or 0,
            "share": (row["stories"] or 0) / total["stories"] if total["stories"] else 0.0,
            "first": timestamp(row["first"]),
            "last": timestamp(row["last"]),
        }
        for row in sessions.values("id", "name", "owned_by", "type", "stories", "first", "last")[
            :most
        ]
    ]
    groups = quarantine_groups()
    return Distribution(
        stories=total["stories"],
        sessions=total["all"],
        rows=rows,
        others=total["all"] - len(rows),
        groups=groups if most is None else groups[:GROUPS],
        records=sum(group["records"] for group in groups),
    )


def quarantine_groups() -> list[QuarantineGroup]:
    """Returns the groups of waiting records, largest first."""
    waiting = QuarantinedRecord.objects.filter(state=QuarantinedRecord.State.WAITING)
    groups = waiting.values("old_session", "reason", "kind").annotate(
        records=Count("pk"), first=Min("created_at"), last=Max("created_at")
    )
    return [
        {
            "old_session": group["old_session"],
            "reason": group["reason"],
            "kind": group["kind"],
            "records": group["records"],
            "first": timestamp(group["first"]),
            "last": timestamp(group["last"]),
        }
        for group in groups.order_by("-records", "old_session", "reason")
    ]


def for_staff(user: User) -> Distribution:
    if not (user.is_staff and user.has_perm("sessions_app.view_session")):
        raise Forbidden("Only the staff can see all users' sessions.")
    return read()
