"""Old rows of a session go to compressed files among its artifacts: the oldest, without holes.

A session that is on air is no exception, as it may be for months: its newest rows stay, and what
reads older ones (replays, recordings, traces, exports, the API) reads archives, too.

The file is whole on the disk before its rows appear and what is in it disappears, in one
transaction. What dies in between leaves a file without a row; the next attempt makes the same one
again, or removes it when it has become old.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Model, OuterRef, QuerySet, Subquery

from sessions_app import (
    archives,
    artifacts,
    events,
    files,
    record_reading,
    retention,
    sweeper,
)
from sessions_app.archives import Line
from sessions_app.errors import StaleClaim
from sessions_app.folders import ROOT
from sessions_app.models import Archive, Artifact, Session, SessionEvent, SessionStats, Workspace

log = structlog.get_logger(__name__)

NEWEST = 500  # events of a session that stay, so that pages can catch up
LEFTOVER = 3600.0  # seconds after which a file without a row is nobody's
A_DAY = timedelta(days=1)


def archive_events(shared: Workspace, now: datetime) -> int:
    """A rule of retention: archive a piece of one session's old events; returns how many."""
    until = now - timedelta(days=shared.keep_events_days)
    ripe = _ripe(until, now)
    if ripe is None:
        return 0
    rows = SessionEvent.objects.filter(session=ripe.session)
    old = rows.filter(seq__lte=ripe.last_seq - NEWEST).order_by("seq")[: retention.CHUNK]
    lines = [record_reading.line_of(row) for row in takewhile(lambda row: row.at < until, old)]
    if not lines:
        return 0
    first, last = lines[0]["seq"], lines[-1]["seq"]
    gone = rows.filter(seq__range=(first, last))
    return pack(ripe.session, archives.EVENTS, "seq", lines, gone)


def _ripe(until: datetime, now: datetime) -> SessionStats | None:
    """Figures of a session that has old events: looked up by key, however many there are."""
    rows = SessionEvent.objects.filter(session=OuterRef("session")).order_by("seq")
    found = SessionStats.objects.filter(last_seq__gt=NEWEST).annotate(
        first=Subquery(rows.values("seq")[:1]), oldest=Subquery(rows.values("at")[:1])
    )
    found = found.filter(oldest__lt=until, first__lte=F("last_seq") - NEWEST)
    found = found.exclude(Exists(rested(archives.EVENTS, now).filter(session=OuterRef("session"))))
    return found.select_related("session").order_by("session").first()


def rested(kind: str, now: datetime) -> QuerySet[Archive]:
    """Archives of less than a whole piece since yesterday: no session gets more than one a day."""
    return Archive.objects.filter(
        kind=kind, count__lt=retention.CHUNK, created_at__gt=now - A_DAY
    ).order_by()


def pack(
    session: Session,
    kind: str,
    key: str,
    lines: Sequence[Line],
    rows: QuerySet[Model],
    joined: int = 0,
) -> int:
    """Put ``lines`` into an archive in place of ``rows``; returns how many went, 0 when none could.

    ``key`` names what orders the lines. Several that do it at once only lose time.
    """
    with sweeper.inside(session):
        try:
            kept = _keep(session, kind, key, lines)
        except OSError as error:
            log.warning("archive_not_kept", kind=kind, error=type(error).__name__)
            return 0
        span = Archive(
            session=session, kind=kind, first=lines[0][key], last=lines[-1][key],
            count=len(lines), joined=joined, artifact=kept,
        )  # fmt: skip
        try:
            _swap(span, kept, rows)
        except (IntegrityError, StaleClaim):
            log.info("archive_was_there", kind=kind)
            _forget(kept.path)
            return 0
        log.info("archived", kind=kind, first=span.first, last=span.last)
        return span.count


def _keep(session: Session, kind: str, key: str, lines: Sequence[Line]) -> Artifact:
    """The file, and its row that is not saved yet.

    Its name tells its content, so whoever makes the same file makes no difference.
    """
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    data = gzip.compress(text.encode(), mtime=0)
    mark = hashlib.sha256(data).hexdigest()[:8]
    name = f"{kind}-{lines[0][key]:09}-{lines[-1][key]:09}-{mark}.ndjson.gz"
    _clear(session)
    path = f"{ROOT}/{session.folder}/{Artifact.Category.ARCHIVE}/{name}"
    kept = files.keep(path, [data])
    return Artifact(
        session=session, category=Artifact.Category.ARCHIVE, name=name, path=path,
        media_type="application/gzip", bytes=kept.bytes, sha256=kept.sha256,
        note=f"{len(lines):,} {kind}, from before they were archived.",
    )  # fmt: skip


def _swap(span: Archive, kept: Artifact, rows: QuerySet[Model]) -> None:
    # Of the rows that a live run takes only the counters are taken here, as always at the end.
    with transaction.atomic():
        kept.save(force_insert=True)
        span.artifact = kept
        span.save(force_insert=True)
        if rows.delete()[0] != span.count:
            raise StaleClaim("Somebody else has archived these.")
        payload = {"artifact": artifacts.payload(kept)}
        events.record(kept.session, artifacts.KEPT, payload)


def _forget(path: str) -> None:
    """Remove a file that came to nothing; the same one may be another's."""
    if not Artifact.objects.filter(path=path).exists():
        files.remove(path)


def _clear(session: Session) -> None:
    """Remove what an earlier attempt died with."""
    folder = artifacts.folder(session, Artifact.Category.ARCHIVE)
    old = time.time() - LEFTOVER
    for file in folder.glob("*") if folder.is_dir() else ():
        if file.stat().st_mtime < old:
            _forget(str(file.relative_to(files.where(""))))


def register() -> None:
    retention.register(archive_events)
