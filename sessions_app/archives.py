"""What is archived, read again: a file is checked against its hash before a line of it is believed."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from sessions_app import files
from sessions_app.errors import SmnbError
from sessions_app.models import Archive, Session

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


def lines(archive: Archive) -> list[Line]:
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
    packed = files.where(archive.artifact.path).read_bytes()
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
            items = lines(archive)[::-1]
        except Damaged as error:
            items = [instead(error)]
        found += [each for each in items if before is None or each[key] < before]
        if len(found) >= most:
            break
    return found[:most]
