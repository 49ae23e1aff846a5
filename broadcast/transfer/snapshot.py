"""What is exported: a session as far as it had come when the export began.

The newest row of every table is noted by one statement, so that no row is in without those it
points to, however long the export takes and whatever happens on air meanwhile. What changes in a
row after that moment and points to what came later is left out.

What has been archived by now, read as if it were still in its table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from broadcast.models import Recorded, StateChange, Transfer
from broadcast.transfer.tables import ARTIFACTS, EVENTS, TABLES, TRANSITIONS, Table
from sessions_app import sessions
from sessions_app.background import steps
from sessions_app.events import archive as event_archive
from sessions_app.models import (
    AILink,
    AITransition,
    Archive,
    Artifact,
    InSession,
    Session,
    SessionStats,
)
from stories.models import TokenUsage

Row = dict[str, Any]


def events(session: Session, first: int, last: int) -> Iterator[Row]:
    for event in event_archive.events_between(session, first, last):
        yield {"seq": event.seq, "type": event.type, "payload": event.payload, "at": event.at}


def transitions(session: Session, after: int, upto: int) -> Iterator[Row]:
    """Archived ones first; they name links by the ids of their providers."""
    for row in _archived(session):
        if after < row["id"] <= upto:
            yield row
            after = row["id"]
    yield from _live(session, after, upto)


def _archived(session: Session) -> Iterator[Row]:
    found = event_archive.of_session(session, event_archive.TRANSITIONS).order_by("first")
    links = AILink.objects.filter(session=session) if found.exists() else AILink.objects.none()
    ids = dict(links.order_by("number").values_list("provider_id", "pk"))
    for archive in found:
        for one in event_archive.read_lines(archive):
            yield {
                "id": one["id"], "created_at": one["at"], "old": ids.get(one["old"]),
                "new": ids[one["new"]], "source": one["source"], "run_number": one["run"],
            }  # fmt: skip


def _live(session: Session, after: int, upto: int) -> Iterator[Row]:
    names = ("id", "created_at", "old", "new", "source", "run_number")
    rows = AITransition.objects.filter(session=session, pk__lte=upto).order_by("pk")
    while True:
        piece = list(rows.filter(pk__gt=after).values(*names)[:500])
        yield from piece
        if len(piece) < 500:
            return
        after = piece[-1]["id"]


BATCH = 500


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session up to ``upto`` (the last key of each table), as it was ``at`` this moment."""

    session: Session
    upto: dict[str, int]
    at: datetime

    @property
    def state(self) -> dict[str, Any]:
        """What ``resumed`` needs, as JSON."""
        return {"upto": self.upto, "at": self.at.isoformat()}


def taken(session: Session) -> Snapshot:
    at = steps.now()
    latest = {table.name: _latest(table.model, table.key) for table in TABLES}
    archived = _latest(Archive, "last", kind=Archive.Kind.TRANSITIONS)
    seen = Session.objects.filter(pk=session.pk)
    found: Row = seen.values(**latest, archived=archived, head=F("stats__last_seq")).get()  # type: ignore[assignment]
    upto = {table.name: found[table.name] or 0 for table in TABLES}
    upto[EVENTS] = found["head"]
    upto[TRANSITIONS] = max(upto[TRANSITIONS], found["archived"] or 0)
    return Snapshot(session, upto, at)


def _latest(model: type[InSession], key: str, **only: str) -> Subquery:
    rows = model._default_manager.filter(session=OuterRef("pk"), **only)
    return Subquery(rows.order_by(f"-{key}").values(key)[:1])


def resumed(session: Session, state: dict[str, Any]) -> Snapshot:
    return Snapshot(session, state["upto"], datetime.fromisoformat(state["at"]))


def rows(snapshot: Snapshot, table: Table, after: int = 0) -> Iterator[Row]:
    """The table's rows beyond the key ``after``, in order, read in pieces as they are asked for."""
    if table.name == EVENTS:
        found = events(snapshot.session, after + 1, snapshot.upto[EVENTS])
    elif table.name == TRANSITIONS:
        found = transitions(snapshot.session, after, snapshot.upto[TRANSITIONS])
    else:
        found = (_row(table, values) for values in _values(snapshot, table, after))
    names = _names() if table.people else {}
    for row in found:
        yield _cut(snapshot, table, row, names)


def _names() -> dict[int, str]:
    return dict(User.objects.values_list("pk", "username"))


def _values(snapshot: Snapshot, table: Table, after: int) -> Iterator[tuple[Any, ...]]:
    wanted = selected(snapshot, table).order_by(table.key).values_list(*table.attributes)
    while True:
        piece = list(wanted.filter(**{f"{table.key}__gt": after})[:BATCH])
        yield from piece
        if len(piece) < BATCH:
            return
        after = piece[-1][0]


def selected(snapshot: Snapshot, table: Table) -> QuerySet[Any]:
    """The rows of the table that were there at that moment and are carried."""
    wanted: QuerySet[Any] = table.model._default_manager.filter(
        session=snapshot.session, **{f"{table.key}__lte": snapshot.upto[table.name]}
    )
    if table.model is TokenUsage:
        # What was closed since may belong to a link or story that came later.
        return wanted.filter(Q(closed_at=None) | Q(closed_at__lte=snapshot.at))
    if table.model is StateChange:
        return wanted.filter(seq__lte=snapshot.upto[EVENTS])
    if issubclass(table.model, Recorded):
        return wanted.filter(state=Recorded.State.READY)
    return carried_files(wanted) if table.name == ARTIFACTS else wanted


def carried_files(wanted: QuerySet[Any]) -> QuerySet[Any]:
    """Files that are whole; no archives, whose events are carried, and no earlier exports."""
    exports = Transfer.objects.filter(artifact=OuterRef("pk")).values("artifact")
    whole = wanted.filter(state=Artifact.State.READY)
    return whole.exclude(category=Artifact.Category.ARCHIVE).exclude(pk__in=Subquery(exports))


def _row(table: Table, values: tuple[Any, ...]) -> Row:
    names = (column.name for column in table.columns)
    return dict(zip(names, values, strict=True))


def _cut(snapshot: Snapshot, table: Table, row: Row, names: dict[int, str]) -> Row:
    """The row without what it was made to point to after the snapshot; people by their names."""
    for name, target in table.references.items():
        if row[name] is not None and row[name] > snapshot.upto[target]:
            row[name] = None
    for name in table.people:
        row[name] = names.get(row[name])
    return row


def count(snapshot: Snapshot, names: frozenset[str] | None = None) -> int:
    """About how many rows there are to be written, for the progress that is shown."""
    number = 0
    for table in TABLES:
        if names is None or table.name in names:
            if table.name == EVENTS:
                number += snapshot.upto[EVENTS]
            else:
                number += selected(snapshot, table).count()
    return number


def head(snapshot: Snapshot) -> Row:
    """The session itself: its settings and its figures, nothing of its addresses."""
    session = snapshot.session
    stats = SessionStats.objects.get(session=session)
    figures = {
        field.name: getattr(stats, field.name)
        for field in SessionStats._meta.concrete_fields
        if field.name not in {"session", "last_seq"}
    }
    return {
        "id": str(session.pk),
        "name": session.name,
        "type": session.type,
        "status": session.status,
        "settings": {name: getattr(session, name) for name in sessions.SETTINGS},
        "budget": session.budget,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "figures": figures,
    }


def as_json(value: Any) -> str:
    """One line of JSON; moments are ISO 8601 in UTC to the microsecond."""
    return json.dumps(value, ensure_ascii=False, default=_plain, separators=(",", ":"))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not carried")
