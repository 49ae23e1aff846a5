"""Registers a session's log files as artifacts, and finds lines in them.

A file of today has an open row. Once its day is over, the row gets its size and hash. Rows are
brought up to date every ten minutes by the sweeper.
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
from typing_extensions import TypedDict

from sessions_app.background import sweeper
from sessions_app.events import recorder
from sessions_app.files import artifacts, storage
from sessions_app.models import Artifact, Session
from sessions_app.session_logs import reader, writer
from sessions_app.session_logs.reader import Line, LogQuery, Page
from sessions_app.session_logs.writer import LogFile

State = Artifact.State

LINES = 50  # on a page
FIRST = ("id", "timestamp", "level", "environment", "event", "request", "stack", "exception")
HIDDEN = {*FIRST, "session", "logger", "user"}
INTERVAL = 600.0  # seconds
BATCH = 100  # folders that one round of the sweeper looks at
OVERLAP = 120.0  # seconds of writes that two successive rounds both look at
MEDIA_TYPE = "application/x-ndjson"


class ShownLine(TypedDict):
    """A log line on the page; ``rest`` has the name and the value of its other fields."""

    id: str
    timestamp: str
    level: str
    environment: str
    event: str
    request: str
    stack: str
    exception: str
    rest: list[tuple[str, Any]]


class ShownPage(TypedDict):
    """A page of the log; ``next`` and ``stopped`` as in ``reader.Page``."""

    lines: list[ShownLine]
    next: str
    stopped: str | None


def find(session: Session, query: LogQuery, limit: int = LINES) -> Page:
    """Returns one page of the session's matching lines, newest first."""
    return reader.find(session.folder, query, limit)


def page(session: Session, query: LogQuery) -> ShownPage:
    """Returns one page of the log as its template shows it."""
    result = find(session, query)
    return {
        "lines": [_shown(line) for line in result.lines],
        "next": result.next,
        "stopped": recorder.timestamp(result.stopped),
    }


def _shown(line: Line) -> ShownLine:
    first = {name: str(line.get(name, "")) for name in FIRST}
    return ShownLine(
        id=first["id"],
        timestamp=first["timestamp"],
        level=first["level"],
        environment=first["environment"],
        event=first["event"],
        request=first["request"],
        stack=first["stack"],
        exception=first["exception"],
        rest=[(name, line[name]) for name in line if name not in HIDDEN],
    )


def find_by_id(id_: str, session_id: UUID | None = None) -> Iterator[Line]:
    """Yields the line with this id, or else the lines of the request with this id, newest first.

    Searches all sessions, or only the given one.
    """
    sessions = Session.objects.exclude(folder="")
    if session_id is not None:
        sessions = sessions.filter(pk=session_id)
    for folder in sessions.order_by("-created_at").values_list("folder", flat=True).iterator():
        matches = [line for line in _all_lines(folder, LogQuery(text=id_)) if line["id"] == id_]
        # Both kinds of ids have the same form, so the id of a line is tried first.
        yield from matches or _all_lines(folder, LogQuery(request=id_))


def _all_lines(folder: str, query: LogQuery) -> Iterator[Line]:
    while True:
        result = reader.find(folder, query, 1000)
        yield from result.lines
        if not result.next:
            return
        query = replace(query, before=result.next)


def update_artifacts(session: Session) -> int:
    """Adds and updates the rows of the session's log files; returns how many have changed."""
    if not session.folder:
        return 0
    files = [
        file
        for category in (writer.LOGS, writer.DEVTOOLS)
        for file in writer.log_files(session.folder, category)
    ]
    rows = {row.path: row for row in Artifact.objects.filter(path__in=[f.path for f in files])}
    now = timezone.now()
    return sum(_update(session, file, rows.get(file.path), now) for file in files)


def _update(session: Session, file: LogFile, row: Artifact | None, now: datetime) -> bool:
    """Adds, updates or closes the row of a file; returns whether this call changed it."""
    path = storage.full_path(file.path)
    if row is None:
        with transaction.atomic():
            # The path is unique: of several processes that see the new file one adds the row.
            row, created = Artifact.objects.get_or_create(
                path=file.path,
                defaults={
                    "session": session,
                    "category": file.category,
                    "name": file.name,
                    "state": State.OPEN,
                    "media_type": MEDIA_TYPE,
                    "bytes": path.stat().st_size,
                },
            )
            if created and not file.over(now):
                recorder.record(session, artifacts.STORED, {"artifact": artifacts.payload(row)})
        return _close(row) if created and file.over(now) else created
    if row.state == State.READY:
        return False
    if file.over(now) and row.state == State.OPEN:
        return _close(row)
    # A removed file that has been written to since then is listed again.
    unchanged = Artifact.objects.filter(pk=row.pk, state=row.state)
    return bool(unchanged.update(bytes=path.stat().st_size, state=State.OPEN))


def _close(row: Artifact) -> bool:
    """Sets size and hash of a finished file; of several processes only one succeeds."""
    with storage.full_path(row.path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    with transaction.atomic():
        still_open = Artifact.objects.filter(pk=row.pk, state=State.OPEN)
        if not still_open.update(state=State.READY, bytes=size, sha256=digest):
            return False
        row.refresh_from_db()
        recorder.record(row.session, artifacts.STORED, {"artifact": artifacts.payload(row)})
    return True


class CatalogRound:
    """The sweeper's round: every ten minutes the sessions that were written to, in batches.

    The first round of a process looks at all sessions, so it also finds what was written before.
    """

    def __init__(self) -> None:
        self._due, self._since, self._left = float("-inf"), 0.0, list[str]()

    def __call__(self, _up: float) -> float | None:
        if not self._left and time.monotonic() < self._due:
            return None
        if not self._left:
            # Folders written to since the last round, and those with a file that may be finished.
            rows = Artifact.objects.filter(state=State.OPEN)
            changed = {
                name for name in writer.folders() if writer.last_written(name) >= self._since
            }
            self._left = sorted(changed.union(rows.values_list("session__folder", flat=True)))
            # The clock of the files, as it is compared with their modification times.
            self._since = time.time() - OVERLAP
            self._due = time.monotonic() + INTERVAL
        batch, self._left = self._left[:BATCH], self._left[BATCH:]
        update_folders(batch)
        return sweeper.SOON if self._left else None


def update_folders(names: Iterable[str]) -> int:
    """Updates the rows of the sessions with these folders; returns how many have changed."""
    changed: list[int] = []
    rows = Session.objects.filter(folder__in=list(names)).exclude(folder="")
    sweeper.for_each(
        "Listing of log files", rows, lambda session: changed.append(update_artifacts(session))
    )
    return sum(changed)


def register() -> None:
    sweeper.register(CatalogRound())
