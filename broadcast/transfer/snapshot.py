"""Reads a session as it was at the moment an export began.

One statement notes the last key of every table. The export then reads rows up to those keys only,
so that each row it contains has the rows it points to, however long the export takes and whatever
is stored meanwhile. Archived events and transitions are read as if they were still in their tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import chain
from typing import Any, TypeAlias
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from typing_extensions import TypedDict

from broadcast.models import Recorded, StateChange, Transfer
from broadcast.speech.sounds import SUFFIXES
from broadcast.transfer.tables import (
    ARTIFACTS,
    BY_NAME,
    EPISODES,
    EVENTS,
    SOUNDS,
    TABLES,
    TRANSITIONS,
    Table,
)
from broadcast.transfer.zip_stream import Zipper
from sessions_app import sessions
from sessions_app.background import steps
from sessions_app.events import archive as event_archive
from sessions_app.files import storage
from sessions_app.files.storage import ROOT
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

Row: TypeAlias = dict[str, Any]  # a row of any table by column name
BATCH = 500


def events(session: Session, first: int, last: int) -> Iterator[Row]:
    """Yields the session's events with ``first <= seq <= last``, archived ones included."""
    for event in event_archive.events_between(session, first, last):
        yield {"seq": event.seq, "type": event.type, "payload": event.payload, "at": event.at}


def transitions(session: Session, after: int, upto: int) -> Iterator[Row]:
    """Yields the AI chain's transitions with ``after < id <= upto``, archived ones first."""
    for row in _archived_transitions(session):
        if after < row["id"] <= upto:
            yield row
            after = row["id"]
    names = ("id", "created_at", "old", "new", "source", "run_number")
    rows = AITransition.objects.filter(session=session, pk__lte=upto).order_by("pk")
    while True:
        piece = list(rows.filter(pk__gt=after).values(*names)[:BATCH])
        yield from piece
        if len(piece) < BATCH:
            return
        after = piece[-1]["id"]


def _archived_transitions(session: Session) -> Iterator[Row]:
    archives = event_archive.of_session(session, event_archive.TRANSITIONS).order_by("first")
    # Archived lines name links by their providers' ids, so all links are read, but only when needed.
    links = AILink.objects.filter(session=session) if archives.exists() else AILink.objects.none()
    ids = dict(links.order_by("number").values_list("provider_id", "pk"))
    for packed in archives:
        for line in event_archive.read_lines(packed):
            yield {
                "id": line["id"],
                "created_at": line["at"],
                "old": ids.get(line["old"]),
                "new": ids[line["new"]],
                "source": line["source"],
                "run_number": line["run"],
            }


class SnapshotState(TypedDict):
    """A snapshot as a transfer's cursor stores it: last keys by table, ISO 8601 time."""

    upto: dict[str, int]
    at: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session up to the last key of each table (``upto``), as it was at the moment ``at``."""

    session: Session
    upto: dict[str, int]
    at: datetime

    @property
    def state(self) -> SnapshotState:
        """The JSON from which ``resumed`` makes the same snapshot in a later step."""
        return {"upto": self.upto, "at": self.at.isoformat()}


def taken(session: Session) -> Snapshot:
    """Takes a snapshot of the session now."""
    at = steps.now()
    latest = {table.name: _latest(table.model, table.key) for table in TABLES}
    archived = _latest(Archive, "last", kind=Archive.Kind.TRANSITIONS)
    # One statement reads all keys: with several, a row could be in without a row it points to.
    rows = Session.objects.filter(pk=session.pk)
    keys: Row = rows.values(**latest, archived=archived, head=F("stats__last_seq")).get()  # type: ignore[assignment]
    upto = {table.name: keys[table.name] or 0 for table in TABLES}
    upto[EVENTS] = keys["head"]
    upto[TRANSITIONS] = max(upto[TRANSITIONS], keys["archived"] or 0)
    return Snapshot(session, upto, at)


def _latest(model: type[InSession], key: str, **only: str) -> Subquery:
    rows = model._default_manager.filter(session=OuterRef("pk"), **only)
    return Subquery(rows.order_by(f"-{key}").values(key)[:1])


def resumed(session: Session, state: SnapshotState) -> Snapshot:
    """Makes the snapshot again of which ``state`` was stored."""
    return Snapshot(session, state["upto"], datetime.fromisoformat(state["at"]))


def rows(snapshot: Snapshot, table: Table, after: int = 0) -> Iterator[Row]:
    """Yields the table's rows with a key beyond ``after``, by key, read in batches."""
    if table.name == EVENTS:
        table_rows = events(snapshot.session, after + 1, snapshot.upto[EVENTS])
    elif table.name == TRANSITIONS:
        table_rows = transitions(snapshot.session, after, snapshot.upto[TRANSITIONS])
    else:
        table_rows = _selected_rows(snapshot, table, after)
    usernames = dict(User.objects.values_list("pk", "username")) if table.people else {}
    for row in table_rows:
        # A row can be changed after the snapshot to point to a newer row, which is not exported.
        for name, target in table.references.items():
            if row[name] is not None and row[name] > snapshot.upto[target]:
                row[name] = None
        for name in table.people:
            row[name] = usernames.get(row[name])
        yield row


def _selected_rows(snapshot: Snapshot, table: Table, after: int) -> Iterator[Row]:
    names = [column.name for column in table.columns]
    queryset = selected(snapshot, table).order_by(table.key).values_list(*table.attributes)
    while True:
        piece = list(queryset.filter(**{f"{table.key}__gt": after})[:BATCH])
        for values in piece:
            yield dict(zip(names, values, strict=True))
        if len(piece) < BATCH:
            return
        after = piece[-1][0]


def selected(snapshot: Snapshot, table: Table) -> QuerySet[Any]:
    """Returns the table's rows that existed at the snapshot and are exported."""
    queryset: QuerySet[Any] = table.model._default_manager.filter(
        session=snapshot.session, **{f"{table.key}__lte": snapshot.upto[table.name]}
    )
    if table.model is TokenUsage:
        # A row that was closed later may point to a link or story that is newer than the snapshot.
        return queryset.filter(Q(closed_at=None) | Q(closed_at__lte=snapshot.at))
    if table.model is StateChange:
        return queryset.filter(seq__lte=snapshot.upto[EVENTS])
    if issubclass(table.model, Recorded):
        return queryset.filter(state=Recorded.State.READY)
    return exported_files(queryset) if table.name == ARTIFACTS else queryset


def exported_files(artifacts: QuerySet[Any]) -> QuerySet[Any]:
    """Leaves out incomplete files, archives (their events are exported) and earlier exports."""
    exports = Transfer.objects.filter(artifact=OuterRef("pk")).values("artifact")
    complete = artifacts.filter(state=Artifact.State.READY)
    return complete.exclude(category=Artifact.Category.ARCHIVE).exclude(pk__in=Subquery(exports))


def count(snapshot: Snapshot, names: frozenset[str] | None = None) -> int:
    """Returns the approximate number of rows to write, for the progress display."""
    number = 0
    for table in TABLES:
        if names is None or table.name in names:
            if table.name == EVENTS:
                number += snapshot.upto[EVENTS]
            else:
                number += selected(snapshot, table).count()
    return number


def head(snapshot: Snapshot) -> Row:
    """Returns the session's own fields: settings and figures, without its public addresses."""
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
    """Writes one line of JSON; times are ISO 8601 in UTC with microseconds."""
    return json.dumps(value, ensure_ascii=False, default=_plain, separators=(",", ":"))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be exported")


FOLDERS = {SOUNDS: "sounds", EPISODES: "episodes", ARTIFACTS: "files"}
FILED = tuple(FOLDERS)
HEARD = (SOUNDS, EPISODES)
NAMES = rf"files/\d{{1,19}}|(?:{'|'.join(HEARD)})/\d{{1,19}}\.(?:{'|'.join(SUFFIXES.values())})"


def member(table: str, pk: int, media_type: str) -> str:
    """Returns the name of a row's file; raises KeyError for a sound of an unknown type."""
    suffix = f".{SUFFIXES[media_type]}" if table in HEARD else ""
    return f"{FOLDERS[table]}/{pk}{suffix}"


def is_file(name: str) -> bool:
    return name.partition("/")[0] in FOLDERS.values()


def is_heard(name: str) -> bool:
    return name.partition("/")[0] in HEARD


def row_files(
    snapshot_: Snapshot, name: str, after: int
) -> Iterator[tuple[int, str, int, Iterator[bytes] | None]]:
    """Yields id, member name, size in bytes and content of the files of rows beyond id ``after``.

    The content is None if the row has no file of its own. The file is already open when it is
    yielded, so that all of it is written even if it is deleted meanwhile.
    """
    rows = selected(snapshot_, BY_NAME[name]).order_by("pk")
    while piece := list(
        rows.filter(pk__gt=after).values_list("pk", "path", "media_type", "bytes")[:BATCH]
    ):
        for pk, path, media_type, size in piece:
            own = name in HEARD or path.startswith(f"{ROOT}/")
            yield pk, member(name, pk, media_type), size, _opened(path) if own else None
        after = piece[-1][0]


def _opened(path: str) -> Iterator[bytes] | None:
    chunks = storage.read([path])
    try:
        return chain([next(chunks, b"")], chunks)
    except FileNotFoundError:
        return None


def rows_with_files(table: Table, rows: Iterator[Row], zipper: Zipper) -> Iterator[Row]:
    """Yields the rows whose file is in the ZIP with the SHA-256 of the row."""
    if table.name not in FOLDERS:
        yield from rows
        return
    written = {one.name: one.sha256 for one in zipper.entries if is_file(one.name)}
    episodes = {digest for name, digest in written.items() if name.startswith(f"{EPISODES}/")}
    for row in rows:
        own = written.get(member(table.name, row["id"], row["media_type"]))
        episode_artifact = own is None and table.name == ARTIFACTS and row["sha256"] in episodes
        if episode_artifact or own == row["sha256"]:
            yield row
