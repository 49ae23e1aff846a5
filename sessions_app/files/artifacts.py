"""Artifacts: the files a session has produced, each with its row, in one folder of the session.

A file is written aside, brought to the disk and renamed; only then its row and event follow, in one
transaction. So a row always has its file, and what died in between is a file without a row, which
the audit names.

A word to the owner when a session's artifacts come near to their quota.

Files that come from a person's browser: uploads, and pictures of the desk.
"""

from __future__ import annotations

import mimetypes
import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from sessions_app import commands, workspace
from sessions_app.commands import Call, Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.files.storage import ROOT
from sessions_app.models import Artifact, Session
from sessions_app.realtime import presence

STORED = recorder.declare("artifact.kept", "A file was kept among the session's artifacts.")

REMOVED = recorder.declare("artifact.dropped", "A file is no more among the session's artifacts.")


MEGABYTE = 1_000_000

MOST_STEM, MOST_SUFFIX = 100, 16  # bytes

Category = Artifact.Category

State = Artifact.State


# A full quota stops neither the log nor what leaves the database for a file.
UNLIMITED = (Category.LOGS, Category.ARCHIVE)


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
    return storage.full_path(f"{ROOT}/{session.folder}/{category}")


def store(
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
    path = _free_path(session, category, name)
    with ExitStack() as undo:
        undo.callback(storage.remove, path)
        row = _written(session, category, path, chunks, media_type, note)
        row.made_by = made_by
        with transaction.atomic():
            save_row(row)
        undo.pop_all()
    return row


def write_file(
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
    path = _free_path(session, category, name, reserve=False)
    return _written(session, category, path, chunks, media_type, note)


def _written(
    session: Session, category: str, path: str, chunks: Iterable[bytes], media_type: str, note: str
) -> Artifact:
    kept = storage.write(
        path, chunks if category in UNLIMITED else _within(chunks, free_bytes(session))
    )
    return Artifact(
        session=session, category=category, name=Path(path).name, path=path, note=note[:300],
        media_type=media_type, bytes=kept.bytes, sha256=kept.sha256,
    )  # fmt: skip


def save_row(row: Artifact) -> Artifact:
    """Keep the row of a file that is on the disk; last in the caller's transaction."""
    row.save(force_insert=True)
    recorder.record(row.session, STORED, {"artifact": payload(row)})
    # The counters are locked by now, so no other file can have come in between.
    if row.category not in UNLIMITED and free_bytes(row.session) < 0:
        raise _full()
    return row


def _free_path(session: Session, category: str, name: str, *, reserve: bool = True) -> str:
    """The path of a name that is free, taken with an empty file unless ``reserve`` is False."""
    wanted = Path(safe_name(name))
    base = f"{ROOT}/{session.folder}/{category}"
    rows = Artifact.objects.filter(path__startswith=f"{base}/{wanted.stem}")
    taken = set(rows.values_list("path", flat=True))
    for number in range(1, 10_000):
        mark = f"-{number}" if number > 1 else ""
        path = f"{base}/{wanted.stem}{mark}{wanted.suffix}"
        if path not in taken and (not reserve or storage.reserve(path)):
            return path
    raise Conflict(f"There are too many files called {wanted.name}.", state="full")


def safe_name(name: str) -> str:
    """The last part of a name as every file system takes it, never that of an unfinished file."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1].strip().replace(" ", "_")
    plain = Path(re.sub(r"[^-\w.]", "", last).strip(".") or "file")
    stem, suffix = _cut(plain.stem, MOST_STEM), _cut(plain.suffix, MOST_SUFFIX)
    return f"{stem}_part" if suffix.lower() == storage.UNFINISHED else f"{stem}{suffix}"


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


def used_bytes(session: Session) -> int:
    """Bytes that the session's artifacts take, but for archives, which nobody can remove."""
    counted = listed(session).exclude(category=Category.ARCHIVE)
    return counted.aggregate(total=Sum("bytes"))["total"] or 0


def quota_bytes() -> int:
    """Bytes that the artifacts of one session may take."""
    return workspace.current().artifact_quota_mb * MEGABYTE


def free_bytes(session: Session) -> int:
    """Bytes that are left of the session's quota."""
    return quota_bytes() - used_bytes(session)


def listed(session: Session, category: str = "") -> QuerySet[Artifact]:
    """Those that are there, newest first."""
    rows = Artifact.objects.filter(session=session).exclude(state=State.DROPPED)
    return (rows.filter(category=category) if category else rows).order_by("-id")


def find(session: Session, artifact_id: int) -> Artifact:
    row = listed(session).filter(pk=artifact_id).first()
    if row is None:
        raise NotFound("There is no such file.")
    return row


def why_not_removable(artifact: Artifact) -> str:
    """Why a person cannot remove the file; "" when they can."""
    if artifact.state == State.OPEN:
        return "This file is still written. It can be removed when it is closed."
    if artifact.category == Category.ARCHIVE:
        return "Pages read this archive, so it stays."
    if not artifact.path.startswith(f"{ROOT}/"):
        return "This is an episode of the podcast. It goes when all its stories are pulled."
    return "" if artifact.state == State.READY else "This file is gone already."


def remove(artifact: Artifact) -> Artifact:
    """Remove a file at a person's wish; the row stays and says so."""
    artifact.refresh_from_db(fields=["state"])
    if reason := why_not_removable(artifact):
        raise Conflict(reason, state=artifact.state)
    with transaction.atomic():
        ready = Artifact.objects.filter(pk=artifact.pk, state=State.READY)
        if not ready.update(state=State.DROPPED):
            raise Conflict("This file is gone already.", state=State.DROPPED)
        artifact.state = State.DROPPED
        recorder.record(artifact.session, REMOVED, {"artifact": payload(artifact)})
        transaction.on_commit(lambda: storage.remove(artifact.path), robust=True)
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
        "removable": not why_not_removable(artifact),
        "at": recorder.timestamp(artifact.created_at),
    }


class ArtifactId(Payload):
    artifact: int


def _of(call: Call) -> Artifact:
    return find(call.target, call.payload.artifact)


NEARLY_FULL = "artifacts_nearly_full"

NEARLY = 80  # per cent


def warn_near_quota(session: Session, payload: Mapping[str, Any]) -> None:
    """Say so once, with the file that leads over the mark; archives do not count."""
    if payload["artifact"]["category"] == Category.ARCHIVE:
        return
    quota = quota_bytes()
    mark, used = quota * NEARLY // 100, used_bytes(session)
    if used - payload["artifact"]["bytes"] < mark <= used:
        sentence = (
            f"The files of this session take {used * 100 // quota} % of their quota. Remove some, "
            "or have the staff raise it in Settings."
        )
        recorder.add_message(session, "system", sentence, NEARLY_FULL)


UNKNOWN = "application/octet-stream"

PNG = "image/png"

MAX_PICTURE_BYTES = 10 * MEGABYTE  # bytes

MOST_SIDE = 8192  # pixels

_MAGIC = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"

_END = b"IEND\xaeB`\x82"


def upload(
    session: Session, actor: User, name: str, size: int, chunks: Iterable[bytes]
) -> Artifact:
    """Keep an uploaded file of ``size`` bytes; Invalid when it is empty or too large."""
    most = settings.SMNB.limit_upload_mb
    if not size:
        raise Invalid("The file is empty.")
    if most and size > most * MEGABYTE:
        raise Invalid(f"The file is larger than {most} MB.", code="too_large")
    kept = store(
        session, Category.FILES, name, chunks, note="Uploaded", made_by=actor,
        media_type=mimetypes.guess_type(name)[0] or UNKNOWN,
    )  # fmt: skip
    presence.record_activity(session, actor)
    return kept


def screenshot(session: Session, actor: User, picture: bytes) -> Artifact:
    """Keep a picture of the desk; Invalid when it is no PNG, or too large."""
    wide, high = _measured(picture)
    kept = store(
        session, Category.SCREENSHOTS, f"desk-{timezone.now():%Y-%m-%d-%H%M%S}.png", [picture],
        note=f"{wide} by {high} pixels", made_by=actor, media_type=PNG,
    )  # fmt: skip
    presence.record_activity(session, actor)
    return kept


def _measured(picture: bytes) -> tuple[int, int]:
    """Width and height in pixels, as the file itself says."""
    if len(picture) > MAX_PICTURE_BYTES:
        most = MAX_PICTURE_BYTES // MEGABYTE
        raise Invalid(f"The picture is larger than {most} MB.", code="too_large")
    if not (picture.startswith(_MAGIC) and picture.endswith(_END) and len(picture) >= 45):
        raise Invalid("This is no whole PNG picture.")
    wide, high = struct.unpack(">II", picture[16:24])
    if not (1 <= wide <= MOST_SIDE and 1 <= high <= MOST_SIDE):
        raise Invalid(f"A picture has 1 to {MOST_SIDE} pixels on each side.")
    return wide, high


def register() -> None:
    commands.register(
        "artifact.drop", ArtifactId, lambda call: remove(_of(call)), "Remove a file of the session."
    )
    recorder.on(STORED).subscribe(warn_near_quota)
