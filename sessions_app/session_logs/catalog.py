"""The logbook: the files of a session's lines become its artifacts, and its lines are found.

A file that is still written has a row that says so; when its day is over the row gets its hash. Rows
follow the files when somebody looks, and every ten minutes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from sessions_app.background import sweeper
from sessions_app.events import recorder
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Session
from sessions_app.session_logs import reader, writer
from sessions_app.session_logs.reader import Line, LogQuery, Page
from sessions_app.session_logs.writer import LogFile

LINES = 50  # on a page
FIRST = ("id", "timestamp", "level", "environment", "event", "request", "stack", "exception")
HIDDEN = {*FIRST, "session", "logger", "user"}
EVERY = 600.0  # seconds
LOT = 100  # folders a round
MARGIN = 120.0  # seconds by which what one look has seen is looked at once more
MEDIA_TYPE = "application/x-ndjson"
State = Artifact.State


def find(session: Session, wanted: LogQuery, limit: int = LINES) -> Page:
    """One page of the session's lines, newest first."""
    return reader.find(session.folder, wanted, limit)


def page(session: Session, wanted: LogQuery) -> dict[str, Any]:
    """One page as people read it: {lines, next, stopped}."""
    found = find(session, wanted)
    lines = [_shown(line) for line in found.lines]
    return {"lines": lines, "next": found.next, "stopped": recorder.timestamp(found.stopped)}


def _shown(line: Line) -> dict[str, Any]:
    """A line with what everybody looks for first, and the rest by name."""
    first = {name: str(line.get(name, "")) for name in FIRST}
    return {**first, "rest": [(name, line[name]) for name in line if name not in HIDDEN]}


def find_by_id(id_: str, session_id: UUID | None = None) -> Iterator[Line]:
    """The lines of all sessions, or of one, with this id, or else of this request; newest first."""
    chosen = Session.objects.exclude(folder="")
    if session_id is not None:
        chosen = chosen.filter(pk=session_id)
    for folder in chosen.order_by("-created_at").values_list("folder", flat=True).iterator():
        named = [each for each in _all(folder, LogQuery(text=id_)) if each["id"] == id_]
        yield from named or _all(folder, LogQuery(request=id_))


def _all(folder: str, wanted: LogQuery) -> Iterator[Line]:
    while True:
        found = reader.find(folder, wanted, 1000)
        yield from found.lines
        if not found.next:
            return
        wanted = replace(wanted, before=found.next)


def update_artifacts(session: Session) -> int:
    """Bring the session's rows up to its files; returns how many were added or changed."""
    if not session.folder:
        return 0
    there = [
        file
        for category in (writer.LOGS, writer.DEVTOOLS)
        for file in writer.log_files(session.folder, category)
    ]
    rows = {row.path: row for row in Artifact.objects.filter(path__in=[f.path for f in there])}
    now = timezone.now()
    return sum(_follow(session, file, rows.get(file.path), now) for file in there)


def _follow(session: Session, file: LogFile, row: Artifact | None, now: datetime) -> bool:
    if row is None:
        return _add(session, file, now)
    if row.state == State.READY:
        return False
    if file.over(now) and row.state == State.OPEN:
        return _close(row)
    # A file that was removed and is written to again is there again.
    size = storage.full_path(file.path).stat().st_size
    same = Artifact.objects.filter(pk=row.pk, state=row.state)
    return bool(same.update(bytes=size, state=State.OPEN))


def _add(session: Session, file: LogFile, now: datetime) -> bool:
    """A row for the file, once whoever comes first; a finished one at once with its hash."""
    fields = {
        "session": session, "category": file.category, "name": file.name, "state": State.OPEN,
        "media_type": MEDIA_TYPE, "bytes": storage.full_path(file.path).stat().st_size,
    }  # fmt: skip
    with transaction.atomic():
        row, made = Artifact.objects.get_or_create(path=file.path, defaults=fields)
        if made and not file.over(now):
            recorder.record(session, artifacts.STORED, {"artifact": artifacts.payload(row)})
    return _close(row) if made and file.over(now) else made


def _close(row: Artifact) -> bool:
    """Give the row of a finished file its hash; of several who see it one does."""
    with storage.full_path(row.path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    with transaction.atomic():
        open_ = Artifact.objects.filter(pk=row.pk, state=State.OPEN)
        if not open_.update(state=State.READY, bytes=size, sha256=digest):
            return False
        row.refresh_from_db()
        recorder.record(row.session, artifacts.STORED, {"artifact": artifacts.payload(row)})
    return True


class CatalogRound:
    """A round of the sweeper: every ten minutes the sessions that were written to, some at a time.

    The first look of a process is at all of them, so nothing is left from before it.
    """

    def __init__(self) -> None:
        self._due, self._since, self._left = float("-inf"), 0.0, list[str]()

    def __call__(self, _up: float) -> None:
        if not self._left and time.monotonic() < self._due:
            return
        if not self._left:
            self._left, self._since = _touched(self._since), time.time() - MARGIN
            self._due = time.monotonic() + EVERY
        lot, self._left = self._left[:LOT], self._left[LOT:]
        follow(lot)


def follow(names: Iterable[str]) -> int:
    """Bring the rows of these folders up to their files."""
    changed = 0
    for session in Session.objects.filter(folder__in=list(names)).exclude(folder=""):
        with sweeper.session_scope(session):
            changed += update_artifacts(session)
    return changed


def _touched(since: float) -> list[str]:
    """The folders with a new file since then, and those whose file may have to be closed."""
    open_ = Artifact.objects.filter(state=State.OPEN).values_list("session__folder", flat=True)
    new = {name for name in writer.folders() if writer.last_written(name) >= since}
    return sorted(new | set(open_))


def register() -> None:
    sweeper.register(CatalogRound())
