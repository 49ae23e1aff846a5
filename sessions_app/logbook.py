"""The logbook: the files of a session's lines become its artifacts, and its lines are found.

A file that is still written has a row that says so; when its day is over the row gets its hash. Rows
follow the files when somebody looks, and every hour.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from sessions_app import artifacts, events, files, logfiles, loglines, sweeper
from sessions_app.logfiles import LogFile
from sessions_app.loglines import Line, Page, Wanted
from sessions_app.models import Artifact, Session

EVERY = 3600.0  # seconds
LOT = 100  # folders a round
MARGIN = 120.0  # seconds by which what one look has seen is looked at once more
MEDIA_TYPE = "application/x-ndjson"
State = Artifact.State


def find(session: Session, wanted: Wanted, limit: int = 100) -> Page:
    """One page of the session's lines."""
    return loglines.find(session.folder, wanted, limit)


def everywhere(id_: str, limit: int = 1000) -> Iterator[tuple[str, Line]]:
    """The lines of all sessions with this id, or of this request: (session, line), oldest first."""
    for name in logfiles.folders():
        by_request = loglines.find(name, Wanted(request=id_), limit).lines
        by_id = loglines.find(name, Wanted(text=id_), limit).lines if not by_request else []
        for line in reversed(by_request or [each for each in by_id if each["id"] == id_]):
            yield str(line.get("session", "")), line


def register(session: Session) -> int:
    """Bring the session's rows up to its files; returns how many were added or changed."""
    if not session.folder:
        return 0
    there = [
        file
        for category in (logfiles.LOGS, logfiles.DEVTOOLS)
        for file in logfiles.found(session.folder, category)
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
    size = files.where(file.path).stat().st_size
    same = Artifact.objects.filter(pk=row.pk, state=row.state)
    return bool(same.update(bytes=size, state=State.OPEN))


def _add(session: Session, file: LogFile, now: datetime) -> bool:
    """A row for the file, once whoever comes first; a finished one at once with its hash."""
    fields = {
        "session": session, "category": file.category, "name": file.name, "state": State.OPEN,
        "media_type": MEDIA_TYPE, "bytes": files.where(file.path).stat().st_size,
    }  # fmt: skip
    with transaction.atomic():
        row, made = Artifact.objects.get_or_create(path=file.path, defaults=fields)
        if made and not file.over(now):
            events.record(session, artifacts.KEPT, {"artifact": artifacts.payload(row)})
    return _close(row) if made and file.over(now) else made


def _close(row: Artifact) -> bool:
    """Give the row of a finished file its hash; of several who see it one does."""
    with files.where(row.path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    with transaction.atomic():
        open_ = Artifact.objects.filter(pk=row.pk, state=State.OPEN)
        if not open_.update(state=State.READY, bytes=size, sha256=digest):
            return False
        row.refresh_from_db()
        events.record(row.session, artifacts.KEPT, {"artifact": artifacts.payload(row)})
    return True


class Keeper:
    """A round of the sweeper: every hour the sessions that were written to, some at a time.

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
        with sweeper.inside(session):
            changed += register(session)
    return changed


def _touched(since: float) -> list[str]:
    """The folders with a new file since then, and those whose file may have to be closed."""
    open_ = Artifact.objects.filter(state=State.OPEN).values_list("session__folder", flat=True)
    new = {name for name in logfiles.folders() if logfiles.written_at(name) >= since}
    return sorted(new | set(open_))


def start() -> None:
    sweeper.register(Keeper())
