"""What is archived, read again: a file is checked against its hash before a line of it is believed.

Old rows of a session go to compressed files among its artifacts: the oldest, without holes.

A session that is on air is no exception, as it may be for months: its newest rows stay, and what
reads older ones (replays, recordings, traces, exports, the API) reads archives, too.

The file is whole on the disk before its rows appear and what is in it disappears, in one
transaction. What dies in between leaves a file without a row; the next attempt makes the same one
again, or removes it when it has become old.

Events read as one record, whether they are rows still or archived already.

What is archived comes as a SessionEvent without a key, which is not to be saved.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Model, OuterRef, QuerySet, Subquery

from sessions_app.background import retention, sweeper
from sessions_app.errors import SmnbError, StaleClaim
from sessions_app.events import recorder
from sessions_app.files import artifacts, storage
from sessions_app.files.storage import ROOT
from sessions_app.models import Archive, Artifact, Session, SessionEvent, SessionStats, Workspace
from sessions_app.realtime import frames

log = structlog.get_logger(__name__)


EVENTS, TRANSITIONS = Archive.Kind.EVENTS, Archive.Kind.TRANSITIONS

DAMAGED = "archive.damaged"


Line = dict[str, Any]


class Damaged(SmnbError):
    """An archive is not what was kept; everything outside of it can still be read."""

    code = "archive_damaged"

    def __init__(self, archive: Archive) -> None:
        name = archive.artifact.name if archive.artifact else "the database"
        super().__init__(
            f"The {archive.kind} {archive.first} to {archive.last} are in {name}, which is damaged "
            "or gone. Bring it back from a backup."
        )
        self.archive = archive


def of_session(session: Session, kind: str) -> QuerySet[Archive]:
    """The session's archives of a kind, newest first; they do not overlap."""
    rows = Archive.objects.filter(session=session, kind=kind).select_related("artifact")
    return rows.order_by("-last")


def read_lines(archive: Archive) -> list[Line]:
    """All of an archive, oldest first; raises Damaged."""
    try:
        found = [json.loads(line) for line in _unpacked(archive).splitlines()]
    except (OSError, EOFError, zlib.error, ValueError):
        raise Damaged(archive) from None
    if len(found) != archive.count:
        raise Damaged(archive)
    return found


def _unpacked(archive: Archive) -> bytes:
    if archive.artifact is None:
        return zlib.decompress(bytes(archive.packed or b""))
    packed = storage.full_path(archive.artifact.path).read_bytes()
    if hashlib.sha256(packed).hexdigest() != archive.artifact.sha256:
        raise ValueError("not the file that was kept")
    return gzip.decompress(packed)


def newest(
    rows: QuerySet[Archive],
    key: str,
    before: int | None,
    most: int,
    instead: Callable[[Damaged], Line],
) -> list[Line]:
    """Up to ``most`` archived lines whose ``key`` is below ``before``, newest first.

    A damaged archive gives the one line ``instead`` of all of its own.
    """
    if before is not None:
        rows = rows.filter(first__lt=before)
    found: list[Line] = []
    for archive in rows.iterator(chunk_size=10):
        try:
            items = read_lines(archive)[::-1]
        except Damaged as error:
            items = [instead(error)]
        found += [each for each in items if before is None or each[key] < before]
        if len(found) >= most:
            break
    return found[:most]


PIECE = 100


def line_of(event: SessionEvent) -> Line:
    """An event as archives hold it."""
    at = event.at.isoformat()
    return {"seq": event.seq, "type": event.type, "at": at, "data": event.payload}


def _event(session: Session, line: Line) -> SessionEvent:
    at = datetime.fromisoformat(line["at"])
    return SessionEvent(
        session=session, seq=line["seq"], type=line["type"], payload=line["data"], at=at
    )


def newest_events(session: Session, before: int | None, most: int) -> list[SessionEvent]:
    """Up to ``most`` events below the seq ``before``, newest first.

    One event of the type ``archive.damaged`` stands for all of an archive that cannot be read.
    """
    rows = SessionEvent.objects.filter(session=session)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    found = list(rows.order_by("-seq")[:most])
    if len(found) < most:
        # What is archived between the two queries is found by the second one.
        packed = of_session(session, EVENTS)
        oldest = found[-1].seq if found else before
        lines = newest(packed, "seq", oldest, most - len(found), _instead)
        found += [_event(session, line) for line in lines]
    return found


def _instead(error: Damaged) -> Line:
    archive = error.archive
    said = {"first": archive.first, "last": archive.last, "sentence": error.sentence}
    at = archive.created_at.isoformat()
    return {"seq": archive.first, "type": DAMAGED, "at": at, "data": said}


def events_between(
    session: Session, first: int, last: int, audience: str = recorder.OWNER
) -> Iterator[SessionEvent]:
    """What the audience may see of the events from ``first`` to ``last``, oldest first.

    It is read a piece at a time. Raises Damaged where an archive cannot be read.
    """
    at = first
    while at <= last:
        piece = _rows(session, at, last)
        if not piece or piece[0].seq > at:
            # Not there, or archived since: the archive was there before the rows went.
            piece = _archived(session, at, last) or piece
        if not piece:
            return
        yield from (event for event in piece if frames.visible(event.type, audience))
        at = piece[-1].seq + 1


def _rows(session: Session, first: int, last: int) -> list[SessionEvent]:
    rows = SessionEvent.objects.filter(session=session, seq__range=(first, last))
    return list(rows.order_by("seq")[:PIECE])


def _archived(session: Session, first: int, last: int) -> list[SessionEvent]:
    """What the archive that begins the rest holds of it."""
    packed = of_session(session, EVENTS)
    archive = packed.filter(last__gte=first, first__lte=last).last()
    lines = read_lines(archive) if archive else []
    return [_event(session, line) for line in lines if first <= line["seq"] <= last]


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
    lines = [line_of(row) for row in takewhile(lambda row: row.at < until, old)]
    if not lines:
        return 0
    first, last = lines[0]["seq"], lines[-1]["seq"]
    gone = rows.filter(seq__range=(first, last))
    return pack(ripe.session, EVENTS, "seq", lines, gone)


def _ripe(until: datetime, now: datetime) -> SessionStats | None:
    """Figures of a session that has old events: looked up by key, however many there are."""
    rows = SessionEvent.objects.filter(session=OuterRef("session")).order_by("seq")
    found = SessionStats.objects.filter(last_seq__gt=NEWEST).annotate(
        first=Subquery(rows.values("seq")[:1]), oldest=Subquery(rows.values("at")[:1])
    )
    found = found.filter(oldest__lt=until, first__lte=F("last_seq") - NEWEST)
    found = found.exclude(Exists(rested(EVENTS, now).filter(session=OuterRef("session"))))
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
    with sweeper.session_scope(session):
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
    kept = storage.write(path, [data])
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
        recorder.record(kept.session, artifacts.STORED, payload)


def _forget(path: str) -> None:
    """Remove a file that came to nothing; the same one may be another's."""
    if not Artifact.objects.filter(path=path).exists():
        storage.remove(path)


def _clear(session: Session) -> None:
    """Remove what an earlier attempt died with."""
    folder = artifacts.folder(session, Artifact.Category.ARCHIVE)
    old = time.time() - LEFTOVER
    for file in folder.glob("*") if folder.is_dir() else ():
        if file.stat().st_mtime < old:
            _forget(str(file.relative_to(storage.full_path(""))))


def register() -> None:
    retention.register(archive_events)
