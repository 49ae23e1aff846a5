"""Moves old events and transitions to compressed files, and reads them together with the rows.

The oldest rows of a session go to gzipped files of JSON lines among its artifacts, without gaps. A
session may be on air for months, so it is archived too: its newest rows stay, and replays,
recordings, traces, exports and the API read the archives as well. A file is checked against its hash
before it is used. An archived event is returned as an unsaved SessionEvent without a key.

The file is complete on disk before one transaction adds its rows and deletes the archived ones. A
process that dies in between leaves a file without a row; the next attempt writes the same file, and
an old one is removed. The correction of a story replaces the files that have its old text.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Model, OuterRef, QuerySet, Subquery

from sessions_app import audits
from sessions_app.background import retention, sweeper
from sessions_app.errors import Retry, SmnbError, StaleClaim
from sessions_app.events import recorder
from sessions_app.files import artifacts, storage
from sessions_app.files.storage import ROOT
from sessions_app.models import Archive, Artifact, Session, SessionEvent, SessionStats, Workspace
from sessions_app.realtime import frames

log = structlog.get_logger(__name__)

EVENTS, TRANSITIONS = Archive.Kind.EVENTS, Archive.Kind.TRANSITIONS

DAMAGED = "archive.damaged"

NEWEST = 500  # events of a session that are never archived, so that pages can catch up
PIECE = 100  # events that are read at a time
LEFTOVER = 3600.0  # seconds after which a file without a row is removed
A_DAY = timedelta(days=1)

# A line of an archive, as JSON.
Line = Mapping[str, Any]
L = TypeVar("L", bound=Line)


class Damaged(SmnbError):
    """An archive does not have its stored content; all else can still be read."""

    code = "archive_damaged"

    def __init__(self, archive: Archive) -> None:
        name = archive.artifact.name if archive.artifact else "the database"
        super().__init__(
            f"The {archive.kind} {archive.first} to {archive.last} are in {name}, which is damaged "
            "or gone. Restore it from a backup."
        )
        self.archive = archive


def of_session(session: Session, kind: str) -> QuerySet[Archive]:
    """Returns the session's archives of a kind, newest first; they do not overlap."""
    rows = Archive.objects.filter(session=session, kind=kind).select_related("artifact")
    return rows.order_by("-last")


def read_lines(archive: Archive) -> list[Any]:
    """Returns all lines of an archive, oldest first; raises Damaged."""
    try:
        if archive.artifact is None:
            data = zlib.decompress(bytes(archive.packed or b""))
        else:
            packed = _packed(archive.artifact)
            # The hash shows damage that gzip's own checksum misses, e.g. a file of another archive.
            if hashlib.sha256(packed).hexdigest() != archive.artifact.sha256:
                raise Damaged(archive)
            data = gzip.decompress(packed)
        lines = [json.loads(line) for line in data.splitlines()]
    except (OSError, EOFError, zlib.error, ValueError):
        raise Damaged(archive) from None
    if len(lines) != archive.count:
        raise Damaged(archive)
    return lines


def _packed(artifact: Artifact) -> bytes:
    try:
        return storage.full_path(artifact.path).read_bytes()
    except FileNotFoundError:
        # A correction may have replaced the file since the row was read.
        artifact.refresh_from_db()
        return storage.full_path(artifact.path).read_bytes()


def newest(
    archives: QuerySet[Archive],
    key: str,
    before: int | None,
    most: int,
    placeholder: Callable[[Damaged], L],
) -> list[L]:
    """Returns up to ``most`` archived lines whose ``key`` is below ``before``, newest first.

    For a damaged archive, the one line ``placeholder`` is returned instead of its own.
    """
    if before is not None:
        archives = archives.filter(first__lt=before)
    found: list[L] = []
    # An iterator, as usually one archive is enough for a page.
    for archive in archives.iterator(chunk_size=10):
        try:
            lines: list[L] = read_lines(archive)[::-1]
        except Damaged as error:
            lines = [placeholder(error)]
        found += [line for line in lines if before is None or line[key] < before]
        if len(found) >= most:
            break
    return found[:most]


def line_of(event: SessionEvent) -> Line:
    """Returns an event as archives store it."""
    at = event.at.isoformat()
    return {"seq": event.seq, "type": event.type, "at": at, "data": event.payload}


def _event(session: Session, line: Line) -> SessionEvent:
    at = datetime.fromisoformat(line["at"])
    return SessionEvent(
        session=session, seq=line["seq"], type=line["type"], payload=line["data"], at=at
    )


def newest_events(session: Session, before: int | None, most: int) -> list[SessionEvent]:
    """Returns up to ``most`` events below the seq ``before``, newest first.

    One event of the type ``archive.damaged`` replaces those of an archive that cannot be read.
    """
    rows = SessionEvent.objects.filter(session=session)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    events = list(rows.order_by("-seq")[:most])
    if len(events) < most:
        # Read after the rows: what is archived between the two queries is in the archive by now.
        archives = of_session(session, EVENTS)
        oldest = events[-1].seq if events else before
        lines = newest(archives, "seq", oldest, most - len(events), _damaged_archive)
        events += [_event(session, line) for line in lines]
    return events


def _damaged_archive(error: Damaged) -> Line:
    """Returns the one line shown for an archive that cannot be read."""
    archive = error.archive
    data = {"first": archive.first, "last": archive.last, "sentence": error.sentence}
    at = archive.created_at.isoformat()
    return {"seq": archive.first, "type": DAMAGED, "at": at, "data": data}


def events_between(
    session: Session, first: int, last: int, audience: str = recorder.OWNER
) -> Iterator[SessionEvent]:
    """Yields the events from ``first`` to ``last`` that the audience may see, oldest first.

    They are read a piece at a time. Raises Damaged where an archive cannot be read.
    """
    at = first
    while at <= last:
        rows = SessionEvent.objects.filter(session=session, seq__range=(at, last))
        piece = list(rows.order_by("seq")[:PIECE])
        if not piece or piece[0].seq > at:
            # The events are archived, perhaps since the query: an archive's row is committed
            # together with the deletion of its events.
            archives = of_session(session, EVENTS).filter(last__gte=at, first__lte=last)
            archive = archives.last()
            lines = read_lines(archive) if archive else []
            archived = [_event(session, line) for line in lines if at <= line["seq"] <= last]
            piece = archived or piece
        if not piece:
            return
        yield from (event for event in piece if frames.visible(event.type, audience))
        at = piece[-1].seq + 1


def archive_events(settings: Workspace, now: datetime) -> int:
    """Archives some old events of one session (a retention rule); returns how many."""
    until = now - timedelta(days=settings.keep_events_days)
    # Sessions whose first event is old, looked up by key, however many events they have.
    first_event = SessionEvent.objects.filter(session=OuterRef("session")).order_by("seq")
    paused = recently_archived(EVENTS, now).filter(session=OuterRef("session"))
    stats = (
        SessionStats.objects.filter(last_seq__gt=NEWEST)
        .annotate(
            first=Subquery(first_event.values("seq")[:1]),
            oldest=Subquery(first_event.values("at")[:1]),
        )
        .filter(oldest__lt=until, first__lte=F("last_seq") - NEWEST)
        .exclude(Exists(paused))
        .select_related("session")
        .order_by("session")
        .first()
    )
    if stats is None:
        return 0
    rows = SessionEvent.objects.filter(session=stats.session)
    old = rows.filter(seq__lte=stats.last_seq - NEWEST).order_by("seq")[: retention.CHUNK]
    # Times need not ascend with seq, so the first event that is too new ends the archive: it has no
    # gaps.
    lines = [line_of(row) for row in takewhile(lambda row: row.at < until, old)]
    if not lines:
        return 0
    archived = rows.filter(seq__range=(lines[0]["seq"], lines[-1]["seq"]))
    return pack(stats.session, EVENTS, "seq", lines, archived)


def recently_archived(kind: str, now: datetime) -> QuerySet[Archive]:
    """Returns the archives of the last day that hold less than a full chunk.

    Their sessions are skipped, so that none gets more than one small archive a day.
    """
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
    """Replaces ``rows`` by an archive of ``lines``; returns how many, or 0 when it was not possible.

    ``key`` names the field that orders the lines. If several processes archive the same rows, one of
    them succeeds.
    """
    with sweeper.session_scope(session):
        try:
            artifact = _write_file(session, kind, key, lines)
        # E.g. the disk is full: the rows stay, and a later round tries again.
        except OSError as error:
            log.warning("archive_not_kept", kind=kind, error=type(error).__name__)
            return 0
        archive = Archive(
            session=session,
            kind=kind,
            first=lines[0][key],
            last=lines[-1][key],
            count=len(lines),
            joined=joined,
        )
        try:
            # Of the rows that a live run locks, this locks the counters alone, and last.
            with transaction.atomic():
                # A correction may have changed the events since they were read. They are locked now.
                locked: QuerySet[Any] = rows.order_by(key).select_for_update()
                if kind == EVENTS and [line_of(row) for row in locked] != lines:
                    raise StaleClaim("These events have changed.")
                artifact.save(force_insert=True)
                archive.artifact = artifact
                archive.save(force_insert=True)
                # Fewer rows than lines: another process deleted some of them between our read and
                # this lock.
                if rows.delete()[0] != archive.count:
                    raise StaleClaim("Another process has archived these rows.")
                payload = {"artifact": artifacts.payload(artifact)}
                recorder.record(session, artifacts.STORED, payload)
        # Another process was faster: its archive has the same unique key, or the rows are gone.
        except (IntegrityError, StaleClaim):
            log.info("archive_refused", kind=kind)
            _remove_unused(artifact.path)
            return 0
        log.info("archived", kind=kind, first=archive.first, last=archive.last)
        return archive.count


def rewrite(archive: Archive, change: Callable[[Line], Line]) -> bool:
    """Replaces the file of an archive by one with its lines as ``change`` returns them.

    Returns whether a line is different. Raises Damaged, OSError, and Retry where another process
    has replaced the file meanwhile.
    """
    session, lines = archive.session, read_lines(archive)
    old, changed = archive.artifact, [change(line) for line in lines]
    if changed == lines or old is None:
        return False
    key = "seq" if archive.kind == EVENTS else "id"
    new = _write_file(session, archive.kind, key, changed)
    with transaction.atomic():
        # By the hash of what was read: of two corrections at once, the later one reads it again.
        row = Artifact.objects.filter(pk=old.pk, sha256=old.sha256)
        if not row.update(name=new.name, path=new.path, bytes=new.bytes, sha256=new.sha256):
            raise Retry("Another process has replaced the file of this archive.")
        payload = artifacts.payload(Artifact.objects.get(pk=old.pk))
        recorder.record(session, artifacts.STORED, {"artifact": payload})
        # A crash before this call leaves the file to the next archive.
        transaction.on_commit(lambda: _remove_unused(old.path), robust=True)
    return True


def _write_file(session: Session, kind: str, key: str, lines: Sequence[Line]) -> Artifact:
    """Writes the lines to a file and returns its artifact, which is not saved yet.

    The name contains a hash of the content, so that several processes write the same file.
    """
    folder = artifacts.folder(session, Artifact.Category.ARCHIVE)
    for file in folder.glob("*") if folder.is_dir() else ():
        # A file that an earlier attempt left when its process died.
        if file.stat().st_mtime < time.time() - LEFTOVER:
            _remove_unused(str(file.relative_to(storage.full_path(""))))
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    # mtime=0: the same lines give the same bytes and therefore the same name.
    data = gzip.compress(text.encode(), mtime=0)
    digest = hashlib.sha256(data).hexdigest()[:8]
    name = f"{kind}-{lines[0][key]:09}-{lines[-1][key]:09}-{digest}.ndjson.gz"
    path = f"{ROOT}/{session.folder}/{Artifact.Category.ARCHIVE}/{name}"
    stored = storage.write(path, [data])
    return Artifact(
        session=session,
        category=Artifact.Category.ARCHIVE,
        name=name,
        path=path,
        media_type="application/gzip",
        bytes=stored.bytes,
        sha256=stored.sha256,
        note=f"{len(lines):,} archived {kind}.",
    )


def _remove_unused(path: str) -> None:
    """Removes the file, unless it belongs to an artifact of another process."""
    if not Artifact.objects.filter(path=path).exists():
        storage.remove(path)


def archived_payloads(session_id: UUID) -> Iterator[Any]:
    """Yields the payloads of archived events, newest first, up to a damaged archive."""
    for archive in of_session(Session(pk=session_id), EVENTS).iterator(chunk_size=10):
        try:
            yield from (line["data"] for line in reversed(read_lines(archive)))
        # It is a finding of the audit of archives.
        except Damaged:
            return


def audit_archives() -> Iterator[tuple[object, str]]:
    """Every archive can be read, and holds what its row says."""
    for archive in Archive.objects.select_related("artifact").iterator(chunk_size=50):
        key = "seq" if archive.kind == Archive.Kind.EVENTS else "id"
        try:
            lines = read_lines(archive)
        except Damaged as error:
            yield archive.session_id, error.sentence
        else:
            if (lines[0][key], lines[-1][key]) != (archive.first, archive.last):
                yield archive.session_id, f"archive {archive.pk} begins or ends elsewhere"


def register() -> None:
    audits.register("archives", audit_archives, Archive)
    audits.register_archived(archived_payloads)
    retention.register(archive_events)
