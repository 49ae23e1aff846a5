"""Artifacts: the files a session has produced, each with its row, in one folder of the session.

A file is written aside, brought to the disk and renamed; only then its row and event follow, in one
transaction. So a row always has its file, and what died in between is a file without a row, which
the audit names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet, Sum

from sessions_app import commands, events, files, workspace
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, NotFound
from sessions_app.folders import ROOT
from sessions_app.models import Artifact, Session

KEPT = events.declare("artifact.kept", "A file was kept among the session's artifacts.")
DROPPED = events.declare("artifact.dropped", "A file is no more among the session's artifacts.")

MEGABYTE = 1_000_000
MOST_STEM, MOST_SUFFIX = 100, 16  # bytes
Category = Artifact.Category
State = Artifact.State

# A full quota stops neither the log nor what leaves the database for a file.
GO_ON = (Category.LOGS, Category.ARCHIVE)

MEANINGS: dict[str, str] = {
    Category.LOGS: "what each part of the studio wrote about this session, by environment and day",
    Category.RECORDINGS: "each finished broadcast as its events, and the episodes of the podcast",
    Category.SCREENSHOTS: "pictures taken on the desk",
    Category.DEVTOOLS: "trace bundles, and errors of the browser",
    Category.FILES: "exports and uploads",
    Category.ARCHIVE: "old events and transitions, still read by every page",
}


def folder(session: Session, category: str) -> Path:
    """Where the session's files of a category lie."""
    return files.where(f"{ROOT}/{session.folder}/{category}")


def keep(
    session: Session,
    category: str,
    name: str,
    chunks: Iterable[bytes],
    *,
    media_type: str,
    note: str = "",
    made_by: User | None = None,
) -> Artifact:
    """Write a file and its row; a name that is taken gets a number.

    Raises Conflict when the session has used up its quota (nothing is left behind), and OSError.
    Must not run inside a transaction that may be long: it writes as fast as ``chunks`` comes.
    """
    path = _place(session, category, name)
    with ExitStack() as undo:
        undo.callback(files.remove, path)
        row = _written(session, category, path, chunks, media_type, note)
        row.made_by = made_by
        with transaction.atomic():
            enter(row)
        undo.pop_all()
    return row


def write(
    session: Session,
    category: str,
    name: str,
    chunks: Iterable[bytes],
    *,
    media_type: str,
    note: str = "",
) -> Artifact:
    """Write a file for a step, whose row ``enter`` keeps in the transaction that ends the step.

    What an attempt that was killed has left under this name is replaced. Raises as ``keep`` does.
    """
    path = _place(session, category, name, reserve=False)
    return _written(session, category, path, chunks, media_type, note)


def _written(
    session: Session, category: str, path: str, chunks: Iterable[bytes], media_type: str, note: str
) -> Artifact:
    kept = files.keep(path, chunks if category in GO_ON else _within(chunks, room(session)))
    return Artifact(
        session=session, category=category, name=Path(path).name, path=path, note=note[:300],
        media_type=media_type, bytes=kept.bytes, sha256=kept.sha256,
    )  # fmt: skip


def enter(row: Artifact) -> Artifact:
    """Keep the row of a file that is on the disk; last in the caller's transaction."""
    row.save(force_insert=True)
    events.record(row.session, KEPT, {"artifact": payload(row)})
    # The counters are locked by now, so no other file can have come in between.
    if row.category not in GO_ON and room(row.session) < 0:
        raise _full()
    return row


def _place(session: Session, category: str, name: str, *, reserve: bool = True) -> str:
    """The path of a name that is free, taken with an empty file unless ``reserve`` is False."""
    wanted = Path(safe_name(name))
    base = f"{ROOT}/{session.folder}/{category}"
    rows = Artifact.objects.filter(path__startswith=f"{base}/{wanted.stem}")
    taken = set(rows.values_list("path", flat=True))
    for number in range(1, 10_000):
        mark = f"-{number}" if number > 1 else ""
        path = f"{base}/{wanted.stem}{mark}{wanted.suffix}"
        if path not in taken and (not reserve or files.reserve(path)):
            return path
    raise Conflict(f"There are too many files called {wanted.name}.", state="full")


def safe_name(name: str) -> str:
    """The last part of a name as every file system takes it, never that of an unfinished file."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1].strip().replace(" ", "_")
    plain = Path(re.sub(r"[^-\w.]", "", last).strip(".") or "file")
    stem, suffix = _cut(plain.stem, MOST_STEM), _cut(plain.suffix, MOST_SUFFIX)
    return f"{stem}_part" if suffix.lower() == files.UNFINISHED else f"{stem}{suffix}"


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


def _within(chunks: Iterable[bytes], left: int) -> Iterator[bytes]:
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise _full()
        yield chunk


def _full() -> Conflict:
    return Conflict(
        "The session's artifacts have reached their quota. Remove some, or have the staff "
        "raise it in Settings.",
        code="artifact_quota",
    )


def used(session: Session) -> int:
    """Bytes that the session's artifacts take, but for archives, which nobody can remove."""
    counted = listed(session).exclude(category=Category.ARCHIVE)
    return counted.aggregate(total=Sum("bytes"))["total"] or 0


def quota() -> int:
    """Bytes that the artifacts of one session may take."""
    return workspace.current().artifact_quota_mb * MEGABYTE


def room(session: Session) -> int:
    """Bytes that are left of the session's quota."""
    return quota() - used(session)


def listed(session: Session, category: str = "") -> QuerySet[Artifact]:
    """Those that are there, newest first."""
    rows = Artifact.objects.filter(session=session).exclude(state=State.DROPPED)
    return (rows.filter(category=category) if category else rows).order_by("-id")


def find(session: Session, artifact_id: int) -> Artifact:
    row = listed(session).filter(pk=artifact_id).first()
    if row is None:
        raise NotFound("There is no such file.")
    return row


def fixed(artifact: Artifact) -> str:
    """Why a person cannot remove the file; "" when they can."""
    if artifact.state == State.OPEN:
        return "This file is still written. It can be removed when it is closed."
    if artifact.category == Category.ARCHIVE:
        return "Pages read this archive, so it stays."
    if not artifact.path.startswith(f"{ROOT}/"):
        return "This is an episode of the podcast. It goes when all its stories are pulled."
    return "" if artifact.state == State.READY else "This file is gone already."


def drop(artifact: Artifact) -> Artifact:
    """Remove a file at a person's wish; the row stays and says so."""
    artifact.refresh_from_db(fields=["state"])
    if reason := fixed(artifact):
        raise Conflict(reason, state=artifact.state)
    with transaction.atomic():
        ready = Artifact.objects.filter(pk=artifact.pk, state=State.READY)
        if not ready.update(state=State.DROPPED):
            raise Conflict("This file is gone already.", state=State.DROPPED)
        artifact.state = State.DROPPED
        events.record(artifact.session, DROPPED, {"artifact": payload(artifact)})
        transaction.on_commit(lambda: files.remove(artifact.path), robust=True)
    return artifact


def payload(artifact: Artifact) -> dict[str, Any]:
    """An artifact as pages, frames and the API show it, without its place on the disk."""
    return {
        "id": artifact.pk,
        "category": artifact.category,
        "state": artifact.state,
        "name": artifact.name,
        "media_type": artifact.media_type,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "note": artifact.note,
        "removable": not fixed(artifact),
        "at": events.stamp(artifact.created_at),
    }


class ArtifactId(Payload):
    artifact: int


def register() -> None:
    commands.register(
        "artifact.drop", ArtifactId, lambda call: drop(_of(call)), "Remove a file of the session."
    )


def _of(call: Call) -> Artifact:
    return find(call.target, call.payload.artifact)
