"""Groups of waiting records by old session string, reason, kind and importer, with likely sessions.

A session is proposed by its old id, by a time contained in the string, and by the time of the
records. A person decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Count, DateTimeField, Max, Min, QuerySet
from django.db.models.functions import Coalesce
from typing_extensions import TypedDict

from sessions_app.errors import NotFound
from sessions_app.models import Session
from stories.legacy.mapping import PREFIX, moment_named
from stories.models import QuarantineDecision, QuarantinedRecord
from stories.quarantine import decisions
from stories.text.cleaning import cut

PAGE = 25
MOST_LIKELY = 3
MOST_SAMPLES = 10
MOST_SESSIONS = 2000  # sessions that likely ones are chosen from
AROUND = timedelta(minutes=10)
KEYS = ("old_session", "reason", "kind", "owner")


@dataclass(frozen=True, slots=True)
class Likely:
    """A session that a group may belong to, with the reason."""

    session: Session
    why: str


@dataclass(frozen=True, slots=True)
class Group:
    """Waiting records with the same old session string, reason, kind and importer."""

    old_session: str
    reason: str
    kind: str
    owner: int | None
    number: int
    first: datetime
    last: datetime
    likely: Sequence[Likely] = ()

    @property
    def key(self) -> dict[str, str]:
        return {name: str(getattr(self, name) or "") for name in KEYS}


class ActRow(TypedDict):
    """An act as the admin lists it; ``undoable`` is the number of records it can be undone for."""

    act: UUID
    action: str
    actor: str
    session_name: str | None
    number: int
    at: datetime
    undoable: int


def waiting() -> QuerySet[QuarantinedRecord]:
    return QuarantinedRecord.objects.filter(state=QuarantinedRecord.State.WAITING)


def records(key: Mapping[str, str]) -> QuerySet[QuarantinedRecord]:
    """Returns the waiting records of the group with this ``key``."""
    owner = key.get("owner", "")
    return waiting().filter(
        old_session=key.get("old_session", ""),
        reason=key.get("reason", ""),
        kind=key.get("kind", ""),
        owner=int(owner) if owner.isdigit() else None,
    )


def samples(key: Mapping[str, str]) -> list[tuple[QuarantinedRecord, str]]:
    """Returns the first records of a group, each with the beginning of its text."""
    result = []
    for record in records(key).order_by("at", "pk")[:MOST_SAMPLES]:
        values = (record.payload.get(name) for name in ("title", "narrative", "model"))
        text = next((str(value) for value in values if value), "nothing")
        result.append((record, cut(text, 120)))
    return result


def page(number: int) -> tuple[list[Group], bool]:
    """Returns a page of groups, the largest first, counted from 0; and whether there are more."""
    start = number * PAGE
    # One group more than fits shows whether another page follows.
    rows = list(_grouped(waiting())[start : start + PAGE + 1])
    return _groups(rows[:PAGE]), len(rows) > PAGE


def one(key: Mapping[str, str]) -> Group:
    """Returns the group with this key; NotFound when none of its records waits."""
    rows = list(_grouped(records(key)))
    if not rows:
        raise NotFound("No record of this group waits any more.")
    return _groups(rows)[0]


def _grouped(rows: QuerySet[QuarantinedRecord]) -> QuerySet[Any, Any]:
    # A late answer has no time of its own, so the time of its arrival is used.
    at = Coalesce("at", "created_at")
    groups: QuerySet[Any, Any] = rows.values(*KEYS).annotate(
        number=Count("pk"), first=Min(at), last=Max(at)
    )
    return groups.order_by("-number", "old_session", "reason", "kind")


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Returns the groups with their likely sessions."""
    groups = [Group(**row) for row in rows]
    owners = {group.owner for group in groups if group.owner}
    if not owners:
        return groups
    # Sessions of the importers that existed at the time of any of the groups.
    first = min(group.first for group in groups) - AROUND
    last = max(group.last for group in groups) + AROUND
    until = Coalesce("stats__last_story_at", "created_at", output_field=DateTimeField())
    sessions = (
        Session.objects.filter(owner__in=owners, created_at__lte=last)
        .annotate(until=until)
        .filter(until__gte=first)
        .order_by("-created_at")[:MOST_SESSIONS]
    )
    candidates = [(session, getattr(session, "until", session.created_at)) for session in sessions]
    return [replace(group, likely=likely_sessions(group, candidates)) for group in groups]


def likely_sessions(group: Group, candidates: Sequence[tuple[Session, datetime]]) -> list[Likely]:
    """Returns the best matches, the surest reason first, then the session created last.

    ``candidates`` are sessions with the times of their last stories, newest first.
    """
    own = [(session, until) for session, until in candidates if session.owner_id == group.owner]
    seconds = moment_named(group.old_session)
    named_time = datetime.fromtimestamp(seconds, UTC) if seconds else None
    matches: dict[UUID, Likely] = {}
    for session, _ in own:
        if group.old_session and session.imported_id == PREFIX + group.old_session:
            matches[session.pk] = Likely(session, "It had this id in the old system.")
    # In the order of certainty: setdefault leaves a surer reason in place.
    for session, _ in own:
        if named_time and abs(session.created_at - named_time) <= AROUND:
            likely = Likely(session, "It was created at the time in the old session string.")
            matches.setdefault(session.pk, likely)
    for session, until in own:
        begins, ends = session.created_at - AROUND, until + AROUND
        # All records lie within the time of the session: a better match than a part of it.
        if begins <= group.first and group.last <= ends:
            likely = Likely(session, "It had stories before and after all of these.")
            matches.setdefault(session.pk, likely)
        elif begins <= group.last and group.first <= ends:
            likely = Likely(session, "It had stories in a part of this time.")
            matches.setdefault(session.pk, likely)
    return list(matches.values())[:MOST_LIKELY]


def session_named(text: str) -> Session:
    """Returns the session with this id, or the only one with this name; NotFound otherwise."""
    try:
        return Session.objects.get(pk=text.strip())
    except (Session.DoesNotExist, ValidationError, ValueError):
        # Two are enough to see that a name is not unique.
        sessions = list(Session.objects.filter(name=text.strip())[:2])
    if len(sessions) != 1:
        raise NotFound(
            f"{'Several sessions have' if sessions else 'No session has'} this name or id. Use the "
            "id from the session's address."
        )
    return sessions[0]


def acts(most: int = 20) -> list[ActRow]:
    """Returns the latest acts, newest first."""
    rows: QuerySet[Any, Any] = QuarantineDecision.objects.values(
        "act", "action", "actor__username", "to", "to__name"
    ).annotate(number=Count("pk"), at=Max("at"), newest=Max("pk"))
    latest = list(rows.order_by("-newest")[:most])
    undoable = decisions.undoable_counts([row["act"] for row in latest])
    return [
        {
            "act": row["act"],
            "action": row["action"],
            "actor": row["actor__username"],
            "session_name": row["to__name"],
            "number": row["number"],
            "at": row["at"],
            "undoable": undoable.get(row["act"], 0),
        }
        for row in latest
    ]
