"""Artifacts: the files of a session, each with a row, in the session's folder.

A file is written and renamed first; its row and its event follow in one transaction. A row therefore
always has its file, and a crash leaves at most a file without a row, which the audit reports.
"""

from __future__ import annotations

import mimetypes
import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import commands, preferences
from sessions_app.commands import Call, Command, Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.files.storage import ROOT
from sessions_app.models import Artifact, Session
from sessions_app.realtime import presence

Category = Artifact.Category
State = Artifact.State

MEGABYTE = 1_000_000
MAX_STEM, MAX_SUFFIX = 100, 16  # bytes of a file name
NEARLY_FULL = "artifacts_nearly_full"
NEARLY_FULL_PERCENT = 80
# Logs and archives are written even when the quota is used up.
UNLIMITED = (Category.LOGS, Category.ARCHIVE)
MEANINGS: dict[str, str] = {
    Category.LOGS: "log lines of each part of the studio about this session, by environment and day",
    Category.RECORDINGS: "the events of each finished broadcast, and the episodes of the podcast",
    Category.SCREENSHOTS: "screenshots taken in the studio",
    Category.DEVTOOLS: "trace bundles, and errors of the browser",
    Category.FILES: "exports and uploads",
    Category.ARCHIVE: "archived events and transitions, which pages still read",
}

PNG = "image/png"
MAX_PICTURE_BYTES = 10 * MEGABYTE
MAX_LOGO_BYTES = MEGABYTE
MAX_PICTURE_SIDE = 8192  # pixels
LOGO = "overlay-logo.png"
_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_PNG_END = b"IEND\xaeB`\x82"


class ArtifactPayload(TypedDict):
    """A file of a session as pages, frames and the API show it."""

    id: Annotated[int, Field(description="The file's number, unique in this installation.")]
    category: Annotated[
        str,
        Field(description="One of logs, recordings, screenshots, devtools, files or archive."),
    ]
    state: Annotated[
        str, Field(description="open while the file is written, ready, or dropped once removed.")
    ]
    name: Annotated[str, Field(description="The file name, unique in its category.")]
    media_type: Annotated[str, Field(description="The media type, such as text/plain.")]
    bytes: Annotated[int, Field(description="The size in bytes.")]
    sha256: Annotated[
        str, Field(description="The SHA-256 in hexadecimal; empty while the file is written.")
    ]
    note: Annotated[str, Field(description="A sentence about the file; may be empty.")]
    removable: Annotated[bool, Field(description="Whether a user can remove the file.")]
    at: Annotated[
        str | None,
        Field(description="The time of creation, in ISO 8601 and UTC with milliseconds."),
    ]


class ArtifactEvent(TypedDict):
    """The payload of the events about one file."""

    artifact: Annotated[ArtifactPayload, Field(description="The file as it is now.")]


STORED = recorder.declare(
    "artifact.kept", "A file was stored among the session's artifacts.", ArtifactEvent
)
REMOVED = recorder.declare(
    "artifact.dropped", "A file was removed from the session's artifacts.", ArtifactEvent
)


def folder(session: Session, category: str) -> Path:
    """Returns the folder with the session's files of a category."""
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
    """Writes a file and its row; a number is added to a name that is taken.

    Raises Conflict when the session's quota is used up, and OSError; neither leaves a file behind.
    Must not run inside a long transaction: it takes as long as ``chunks`` takes.
    """
    path = _free_path(session, category, name)
    # Any error until the commit removes the file, also the reserved empty one.
    with ExitStack() as undo:
        undo.callback(storage.remove, path)
        row = _write(session, category, path, chunks, media_type, note)
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
    """Writes a file for a step, which saves the row with ``save_row`` when it completes.

    Replaces the file that an interrupted attempt left under this name. Raises as ``store`` does.
    """
    path = _free_path(session, category, name, reserve=False)
    return _write(session, category, path, chunks, media_type, note)


def _write(
    session: Session, category: str, path: str, chunks: Iterable[bytes], media_type: str, note: str
) -> Artifact:
    # Checked while the chunks arrive: their size is not known before, e.g. of an export.
    if category not in UNLIMITED:
        chunks = _limited(chunks, free_bytes(session))
    file = storage.write(path, chunks)
    return Artifact(
        session=session,
        category=category,
        name=Path(path).name,
        path=path,
        note=note[:300],
        media_type=media_type,
        bytes=file.bytes,
        sha256=file.sha256,
    )


def _limited(chunks: Iterable[bytes], left: int) -> Iterator[bytes]:
    """Passes the chunks on until they exceed what is left of the quota."""
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise _quota_used_up()
        yield chunk


def _quota_used_up() -> Conflict:
    return Conflict(
        "The session's artifacts have reached their quota. Remove some, or ask the staff to raise "
        "it in Settings.",
        code="artifact_quota",
    )


def save_row(row: Artifact) -> Artifact:
    """Saves the row of a written file and records its event; last in the caller's transaction."""
    row.save(force_insert=True)
    recorder.record(row.session, STORED, {"artifact": payload(row)})
    # Recording the event locked the session's counters, so the sum cannot change any more. Files
    # that were written at the same time are counted now, and the last one is refused.
    if row.category not in UNLIMITED and free_bytes(row.session) < 0:
        raise _quota_used_up()
    return row


def _free_path(session: Session, category: str, name: str, *, reserve: bool = True) -> str:
    """Returns a path that no row has; reserves it with an empty file unless ``reserve`` is False."""
    safe = Path(safe_name(name))
    base = f"{ROOT}/{session.folder}/{category}"
    # Names of removed files stay taken, as their rows remain and the path is unique.
    rows = Artifact.objects.filter(path__startswith=f"{base}/{safe.stem}")
    taken = set(rows.values_list("path", flat=True))
    for number in range(1, 10_000):
        suffix = f"-{number}" if number > 1 else ""
        path = f"{base}/{safe.stem}{suffix}{safe.suffix}"
        if path not in taken and (not reserve or storage.reserve(path)):
            return path
    raise Conflict(f"There are too many files called {safe.name}.", state="full")


def safe_name(name: str) -> str:
    """Returns the last part of a name so that every file system accepts it."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1].strip().replace(" ", "_")
    plain = Path(re.sub(r"[^-\w.]", "", last).strip(".") or "file")
    # File systems limit a name in bytes; a character that is cut in half is dropped.
    stem = plain.stem.encode()[:MAX_STEM].decode(errors="ignore")
    suffix = plain.suffix.encode()[:MAX_SUFFIX].decode(errors="ignore")
    # The sweeper removes names with this suffix as leftovers.
    return f"{stem}_part" if suffix.lower() == storage.UNFINISHED else f"{stem}{suffix}"


def used_bytes(session: Session) -> int:
    """Returns the size of the session's artifacts, without archives, which no user can remove."""
    rows = listed(session).exclude(category=Category.ARCHIVE)
    return rows.aggregate(total=Sum("bytes"))["total"] or 0


def quota_bytes() -> int:
    """Returns the size that the artifacts of one session may have."""
    return preferences.workspace().artifact_quota_mb * MEGABYTE


def free_bytes(session: Session) -> int:
    """Returns how much of the session's quota is left; negative when it is exceeded."""
    return quota_bytes() - used_bytes(session)


def listed(session: Session, category: str = "") -> QuerySet[Artifact]:
    """Returns the files that have not been removed, newest first."""
    rows = Artifact.objects.filter(session=session).exclude(state=State.DROPPED)
    return (rows.filter(category=category) if category else rows).order_by("-id")


def find(session: Session, artifact_id: int) -> Artifact:
    """Returns a file of the session; raises NotFound when it has none with this id."""
    row = listed(session).filter(pk=artifact_id).first()
    if row is None:
        raise NotFound("There is no such file.")
    return row


def why_not_removable(artifact: Artifact) -> str:
    """Returns why a user cannot remove the file; "" when they can."""
    if artifact.state == State.OPEN:
        return "This file is still written. It can be removed once it is closed."
    if artifact.category == Category.ARCHIVE:
        return "This archive cannot be removed, as pages still read it."
    if not artifact.path.startswith(f"{ROOT}/"):
        return "This is an episode of the podcast. It is removed once all its stories are pulled."
    return "" if artifact.state == State.READY else "This file has already been removed."


def remove(artifact: Artifact) -> Artifact:
    """Removes a file for a user; the row stays and is marked as removed."""
    # The caller's object may be old: the page could have been open for hours.
    artifact.refresh_from_db(fields=["state"])
    if reason := why_not_removable(artifact):
        raise Conflict(reason, state=artifact.state)
    with transaction.atomic():
        # Of two removals at the same time only one finds the row ready.
        ready = Artifact.objects.filter(pk=artifact.pk, state=State.READY)
        if not ready.update(state=State.DROPPED):
            raise Conflict("This file has already been removed.", state=State.DROPPED)
        artifact.state = State.DROPPED
        recorder.record(artifact.session, REMOVED, {"artifact": payload(artifact)})
        # A crash before this call leaves the file to the sweeper.
        transaction.on_commit(lambda: storage.remove(artifact.path), robust=True)
    return artifact


def payload(artifact: Artifact) -> ArtifactPayload:
    """Returns an artifact as pages, frames and the API show it, without its path."""
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


def warn_near_quota(session: Session, payload: Mapping[str, Any]) -> None:
    """Adds a message when a new file takes the session over 80 % of its quota."""
    if payload["artifact"]["category"] == Category.ARCHIVE:
        return
    quota = quota_bytes()
    threshold, used = quota * NEARLY_FULL_PERCENT // 100, used_bytes(session)
    # Only the file that crosses the threshold warns, so later ones do not repeat the message.
    if used - payload["artifact"]["bytes"] < threshold <= used:
        sentence = (
            f"The files of this session take {used * 100 // quota} % of their quota. Remove some, "
            "or ask the staff to raise it in Settings."
        )
        recorder.add_message(session, "system", sentence, NEARLY_FULL)


def upload(
    session: Session, actor: User, name: str, size: int, chunks: Iterable[bytes]
) -> Artifact:
    """Stores an uploaded file of ``size`` bytes; raises Invalid when it is empty or too large."""
    limit = settings.SMNB.limit_upload_mb
    if not size:
        raise Invalid("The file is empty.")
    if limit and size > limit * MEGABYTE:
        raise Invalid(f"The file is larger than {limit} MB.", code="too_large")
    row = store(
        session,
        Category.FILES,
        name,
        chunks,
        media_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
        note="Uploaded",
        made_by=actor,
    )
    presence.record_activity(session, actor)
    return row


def screenshot(session: Session, actor: User, picture: bytes) -> Artifact:
    """Stores a screenshot; raises Invalid when it is not a complete PNG, or is too large."""
    name = f"desk-{timezone.now():%Y-%m-%d-%H%M%S}.png"
    return _store_picture(session, actor, Category.SCREENSHOTS, name, picture, MAX_PICTURE_BYTES)


def replace_logo(session: Session, actor: User, picture: bytes) -> Artifact:
    """Stores the logo of the overlay, which the audience can read, and removes the one before.

    Raises Invalid as ``screenshot`` does.
    """
    before = logo(session)
    row = _store_picture(session, actor, Category.FILES, LOGO, picture, MAX_LOGO_BYTES)
    if before:
        remove(before)
    return row


def logo(session: Session) -> Artifact | None:
    """Returns the newest logo of the session's overlay, or None."""
    rows = listed(session, Category.FILES).filter(state=State.READY, media_type=PNG)
    return rows.filter(name__startswith=Path(LOGO).stem).first()


def copy_logo(origin: Session, session: Session, actor: User) -> None:
    """Gives a new session the logo of another one, after the commit, as files have no transaction."""
    row = logo(origin)
    file = storage.full_path(row.path) if row else None
    if file and file.is_file():
        transaction.on_commit(lambda: replace_logo(session, actor, file.read_bytes()), robust=True)


def _store_picture(
    session: Session, actor: User, category: str, name: str, picture: bytes, limit: int
) -> Artifact:
    if len(picture) > limit:
        raise Invalid(f"The picture is larger than {limit // MEGABYTE} MB.", code="too_large")
    # The first and the last chunk show a complete file without decoding an untrusted picture; 45
    # bytes are the shortest possible header with an end.
    if not (picture.startswith(_PNG_START) and picture.endswith(_PNG_END) and len(picture) >= 45):
        raise Invalid("The picture is not a complete PNG.")
    width, height = struct.unpack(">II", picture[16:24])
    if not (1 <= width <= MAX_PICTURE_SIDE and 1 <= height <= MAX_PICTURE_SIDE):
        raise Invalid(f"The picture must have 1 to {MAX_PICTURE_SIDE} pixels on each side.")
    note = f"{width} by {height} pixels"
    row = store(session, category, name, [picture], media_type=PNG, note=note, made_by=actor)
    presence.record_activity(session, actor)
    return row


class ArtifactId(Payload):
    artifact: int


def remove_by_id(call: Call) -> Artifact:
    return remove(find(call.target, call.payload.artifact))


REMOVE = Command("artifact.drop", ArtifactId, remove_by_id, "Removes a file of the session.")


def register() -> None:
    commands.register(REMOVE)
    recorder.on(STORED).subscribe(warn_near_quota)
