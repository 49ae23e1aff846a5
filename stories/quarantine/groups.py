"""What waits in quarantine, by the string that should have named its session, and where it may belong.

A session is proposed with its reason, by its old id, by the moment in the string and by time; a
person decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Count, DateTimeField, Max, Min, QuerySet
from django.db.models.functions import Coalesce

from sessions_app.errors import NotFound
from sessions_app.models import Session
from stories.legacy.mapping import PREFIX, moment_named
from stories.models import QuarantineDecision, QuarantinedRecord
from stories.quarantine import decisions
from stories.text import cut

PAGE = 25
MOST_LIKELY = 3
MOST_SAMPLES = 10
MOST_SESSIONS = 2000  # of which the likely ones are chosen
AROUND = timedelta(minutes=10)
KEYS = ("old_session", "reason", "kind", "owner")


@dataclass(frozen=True, slots=True)
class Likely:
    """A session that a group may belong to, and why."""

    session: Session
    why: str


@dataclass(frozen=True, slots=True)
class Group:
    """Records that wait with one old string, reason, kind and importer; moments may be unknown."""

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


def waiting() -> QuerySet[QuarantinedRecord]:
    return QuarantinedRecord.objects.filter(state=QuarantinedRecord.State.WAITING)


def records(key: dict[str, str]) -> QuerySet[QuarantinedRecord]:
    """The waiting records of a group, as its ``key`` names it."""
    owner = key.get("owner", "")
    return waiting().filter(
        old_session=key.get("old_session", ""), reason=key.get("reason", ""),
        kind=key.get("kind", ""), owner=int(owner) if owner.isdigit() else None,
    )  # fmt: skip


def samples(key: dict[str, str]) -> list[tuple[QuarantinedRecord, str]]:
    """The first records of a group, each with the beginning of what it says."""
    rows = records(key).order_by("at", "pk")[:MOST_SAMPLES]
    return [(record, cut(_words_of(record.payload), 120)) for record in rows]


def _words_of(payload: dict[str, Any]) -> str:
    said = (payload.get(name) for name in ("title", "narrative", "model"))
    return next((str(each) for each in said if each), "nothing")


def page(number: int) -> tuple[list[Group], bool]:
    """A page of groups, the largest first, counted from 0; and whether there are more."""
    start = number * PAGE
    rows = list(_grouped(waiting())[start : start + PAGE + 1])
    return _with_likely(rows[:PAGE]), len(rows) > PAGE


def one(key: dict[str, str]) -> Group:
    """The group of this key; NotFound when nothing of it waits."""
    rows = list(_grouped(records(key)))
    if not rows:
        raise NotFound("Nothing waits in this group any more.")
    return _with_likely(rows)[0]


def _grouped(rows: QuerySet[QuarantinedRecord]) -> QuerySet[Any, Any]:
    at = Coalesce("at", "created_at")
    found: QuerySet[Any, Any] = rows.values(*KEYS).annotate(
        number=Count("pk"), first=Min(at), last=Max(at)
    )
    return found.order_by("-number", "old_session", "reason", "kind")


def _with_likely(rows: Sequence[dict[str, Any]]) -> list[Group]:
    groups = [Group(**row) for row in rows]
    sessions = _candidates(groups)
    return [
        Group(**row, likely=list(_likely(group, sessions))[:MOST_LIKELY])
        for row, group in zip(rows, groups, strict=True)
    ]


def _candidates(groups: Sequence[Group]) -> list[Session]:
    """The importers' sessions that were there when something of the groups happened."""
    owners = {group.owner for group in groups if group.owner}
    if not owners:
        return []
    first = min(group.first for group in groups) - AROUND
    last = max(group.last for group in groups) + AROUND
    return list(
        Session.objects.filter(owner__in=owners, created_at__lte=last)
        .annotate(
            until=Coalesce("stats__last_story_at", "created_at", output_field=DateTimeField())
        )
        .filter(until__gte=first)
        .order_by("-created_at")[:MOST_SESSIONS]
    )


def _likely(group: Group, sessions: Sequence[Session]) -> Iterator[Likely]:
    """The surest reason first, and of the same reason the session that began last."""
    mine = [each for each in sessions if each.owner_id == group.owner]
    said = moment_named(group.old_session)
    named = datetime.fromtimestamp(said, UTC) if said else None
    found: dict[UUID, Likely] = {}
    for each in mine:
        if group.old_session and each.imported_id == PREFIX + group.old_session:
            found.setdefault(each.pk, Likely(each, "It had this id in the old system."))
    for each in mine:
        if named and abs(each.created_at - named) <= AROUND:
            found.setdefault(each.pk, Likely(each, "It was made when the string says."))
    for each in mine:
        until = getattr(each, "until", each.created_at) + AROUND
        if each.created_at - AROUND <= group.first and group.last <= until:
            found.setdefault(each.pk, Likely(each, "It had stories before and after all of these."))
        elif each.created_at - AROUND <= group.last and group.first <= until:
            found.setdefault(each.pk, Likely(each, "It had stories in a part of this time."))
    yield from found.values()


def session_named(text: str) -> Session:
    """The session of this id, or the only one of this name; NotFound otherwise."""
    try:
        return Session.objects.get(pk=text.strip())
    except (Session.DoesNotExist, ValidationError, ValueError):
        same = list(Session.objects.filter(name=text.strip())[:2])
    if len(same) != 1:
        raise NotFound(
            f"{'Several sessions have' if same else 'No session has'} this name or id. Take the id "
            "from the session's address."
        )
    return same[0]


def acts(most: int = 20) -> list[dict[str, Any]]:
    """What was decided lately, act by act: who, what, where to, about how many, and of how many of
    them it is still the last word (``standing``).
    """
    found: QuerySet[Any, Any] = QuarantineDecision.objects.values(
        "act", "action", "actor__username", "to", "to__name"
    ).annotate(number=Count("pk"), at=Max("at"), newest=Max("pk"))
    rows = list(found.order_by("-newest")[:most])
    standing = decisions.standing([row["act"] for row in rows])
    return [{**row, "standing": standing.get(row["act"], 0)} for row in rows]
