"""The list of a person's sessions: filtered, newest first, read by key over ``session_owner``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils.dateparse import parse_datetime

from broadcast import queries
from broadcast.models import Broadcast
from broadcast.states import ON_AIR
from sessions_app.models import Session
from sessions_app.models.session import Person, SessionQuerySet

PER_PAGE = 25
ALL = "all"


@dataclass(frozen=True, slots=True)
class Filter:
    """What is to be listed; ``status`` is "" for what is not archived, or "all"; ``air`` "on"/"off"."""

    text: str = ""
    status: str = ""
    type: str = ""
    air: str = ""
    before: str = ""


def page(user: Person, wanted: Filter) -> dict[str, Any]:
    """One page of rows as ``session_rows`` shows them, and ``next``: where the older ones begin."""
    found = _filtered(Session.objects.for_user(user), wanted).order_by("-created_at", "id")
    sessions = list(found.select_related("stats")[: PER_PAGE + 1])
    more = len(sessions) > PER_PAGE
    sessions = sessions[:PER_PAGE]
    return {
        "sessions": queries.session_rows(sessions),
        "next": _key_of(sessions[-1]) if more else "",
    }


def _filtered(rows: SessionQuerySet, wanted: Filter) -> SessionQuerySet:
    if wanted.text:
        rows = rows.filter(name__icontains=wanted.text)
    if wanted.status == "":
        rows = rows.exclude(status=Session.Status.ARCHIVED)
    elif wanted.status != ALL:
        rows = rows.filter(status=wanted.status)
    if wanted.type:
        rows = rows.filter(type=wanted.type)
    if wanted.air:
        on_air = Exists(Broadcast.objects.filter(session=OuterRef("pk"), state__in=ON_AIR))
        rows = rows.filter(on_air if wanted.air == "on" else ~on_air)
    if key := _read_key(wanted.before):
        at, last = key
        # The first condition alone lets the database begin in the index.
        rows = rows.filter(Q(created_at__lt=at) | Q(id__gt=last), created_at__lte=at)
    return rows


def _key_of(session: Session) -> str:
    return f"{session.created_at.isoformat()}_{session.pk}"


def _read_key(key: str) -> tuple[datetime, UUID] | None:
    """What ``_key_of`` wrote; None for anything else, which then begins at the newest."""
    moment, _, last = key.partition("_")
    try:
        at = parse_datetime(moment.replace(" ", "+"))
        return (at.astimezone(UTC), UUID(last)) if at is not None and at.tzinfo else None
    except (ValueError, OverflowError):
        return None
