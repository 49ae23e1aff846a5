"""Files under the data folder: written aside, synced and renamed, so a name means a whole file.

The folder of a session's artifacts: its name is given once, at the session's creation.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from secrets import token_hex
from uuid import UUID

from django.conf import settings

CHUNK = 1 << 16

UNFINISHED = ".part"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What a row says of its file."""

    bytes: int
    sha256: str


def full_path(path: str) -> Path:
    return Path(settings.SMNB.data_dir) / path


def reserve(path: str) -> bool:
    """Take a name with an empty file, as only one can; False when it is taken."""
    target = full_path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def write(path: str, chunks: Iterable[bytes]) -> StoredFile:
    """Write the file and bring it to the disk before it has its name.

    Whatever ``chunks`` raises, and OSError, leaves nothing behind. Of several that write the same
    file at once each writes its own aside, and the last one's stays.
    """
    target = full_path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{token_hex(4)}{UNFINISHED}")
    digest, size = hashlib.sha256(), 0
    try:
        with aside.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    _sync(target.parent)
    return StoredFile(size, digest.hexdigest())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(paths: Iterable[str]) -> Iterator[bytes]:
    """The files one after another, a piece at a time."""
    for path in paths:
        with full_path(path).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


def remove(path: str) -> None:
    """Remove the file, and what an interrupted writer left of it."""
    if path:
        target = full_path(path)
        target.unlink(missing_ok=True)
        for left in target.parent.glob(f"{glob.escape(target.name)}.*{UNFINISHED}"):
            left.unlink(missing_ok=True)


ROOT = "artifacts"


def folder_name(name: str, made: date, session_id: UUID) -> str:
    """``<label>-<date>-<short id>``: readable and unique."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    label = re.sub(r"[^a-z0-9]+", "-", plain.lower())[:40].strip("-") or "session"
    return f"{label}-{made:%Y-%m-%d}-{session_id.hex[:12]}"
