"""Artifacts: the files a session has produced, each with its row, in one folder of the session.

A file is written aside, brought to the disk and renamed; only then its row and event follow, in one
transaction. So a row always has its file, and what died in between is a file without a row, which
the audit names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils.text import get_valid_filename

from sessions_app import events, files, workspace
from sessions_app.errors import Conflict, NotFound
from sessions_app.models import Artifact, Session

KEPT = events.declare("artifact.kept", "A file was kept among the session's artifacts.")
DROPPED = events.declare("artifact.dropped", "A person removed a file from the artifacts.")

ROOT = "artifacts"
MEGABYTE = 1_000_000
Category = Artifact.Category
State = Artifact.State


def folder_name(name: str, made: date, session_id: UUID) -> str:
    """``<label>-<date>-<short id>``: readable, unique, and given once at the session's creation."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    label = re.sub(r"[^a-z0-9]+", "-", plain.lower())[:40].strip("-") or "session"
    return f"{label}-{made:%Y-%m-%d}-{session_id.hex[:12]}"


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
    path = _free(session, category, name)
    written = files.keep(path, _within(chunks, room(session)))
    row = Artifact(
        session=session, category=category, name=Path(path).name, path=path, note=note[:300],
        media_type=media_type, bytes=written.bytes, sha256=written.sha256, made_by=made_by,
    )  # fmt: skip
    with transaction.atomic():
        row.save(force_insert=True)
        events.record(session, KEPT, {"artifact": payload(row)})
    return row


def _free(session: Session, category: str, name: str) -> str:
    wanted = Path(get_valid_filename(name)[-120:])
    base = f"{ROOT}/{session.folder}/{category}"
    taken = set(Artifact.objects.filter(session=session, category=category).values_list("path"))
    for number in range(1, 10_000):
        mark = f"-{number}" if number > 1 else ""
        path = f"{base}/{wanted.stem}{mark}{wanted.suffix}"
        if (path,) not in taken and not files.where(path).exists():
            return path
    raise Conflict(f"There are too many files called {wanted.name}.", state="full")


def _within(chunks: Iterable[bytes], left: int) -> Iterator[bytes]:
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise Conflict(
                "The session's artifacts have reached their quota. Remove some, or have the staff "
                "raise it in Settings.",
                code="artifact_quota",
            )
        yield chunk


def used(session: Session) -> int:
    """Bytes that the session's artifacts take."""
    return listed(session).aggregate(total=Sum("bytes"))["total"] or 0


def room(session: Session) -> int:
    """Bytes that are left of the session's quota."""
    return workspace.current().artifact_quota_mb * MEGABYTE - used(session)


def listed(session: Session, category: str = "") -> QuerySet[Artifact]:
    """Those that are there, newest first."""
    rows = Artifact.objects.filter(session=session).exclude(state=State.DROPPED)
    return (rows.filter(category=category) if category else rows).order_by("-id")


def find(session: Session, artifact_id: int) -> Artifact:
    row = listed(session).filter(pk=artifact_id).first()
    if row is None:
        raise NotFound("There is no such file.")
    return row


def drop(artifact: Artifact) -> None:
    """Remove a file at a person's wish; the row stays and says so."""
    with transaction.atomic():
        kept = Artifact.objects.filter(pk=artifact.pk).exclude(state=State.DROPPED)
        if not kept.exclude(category=Category.ARCHIVE).update(state=State.DROPPED):
            raise Conflict("This file cannot be removed, or is gone already.", state=artifact.state)
        artifact.state = State.DROPPED
        events.record(artifact.session, DROPPED, {"artifact": payload(artifact)})
        transaction.on_commit(lambda: files.remove(artifact.path))


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
        "at": events.stamp(artifact.created_at),
    }
