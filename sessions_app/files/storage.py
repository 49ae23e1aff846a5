"""Files under the data folder: write, read and remove them by a path relative to that folder.

Each file is written to a temporary name, synced and renamed, so a name always refers to a complete
file.
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

ROOT = "artifacts"  # the folder with one folder per session
CHUNK = 1 << 16
UNFINISHED = ".part"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The size and the hash of a written file."""

    bytes: int
    sha256: str


def full_path(path: str) -> Path:
    """Returns the absolute path of a path relative to the data folder."""
    return Path(settings.SMNB.data_dir) / path


def reserve(path: str) -> bool:
    """Creates an empty file under a name; returns False when the name is taken."""
    target = full_path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # O_EXCL: of two processes that reserve the same name only one succeeds.
        target.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def write(path: str, chunks: Iterable[bytes]) -> StoredFile:
    """Writes a file and syncs it before it gets its name.

    An error raised by ``chunks`` or by the disk leaves no file behind. When several processes write
    the same file, each writes a temporary file of its own, and the last rename wins.
    """
    target = full_path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{token_hex(4)}{UNFINISHED}")
    digest, size = hashlib.sha256(), 0
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            # Before the renaming: otherwise a power cut could leave the final name on an empty
            # file.
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    # The rename survives a power cut only once the folder is synced too.
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return StoredFile(size, digest.hexdigest())


def read(paths: Iterable[str]) -> Iterator[bytes]:
    """Yields the contents of the files, one after another, in chunks."""
    for path in paths:
        with full_path(path).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


def remove(path: str) -> None:
    """Removes a file and the temporary files of its interrupted writers."""
    if path:
        target = full_path(path)
        target.unlink(missing_ok=True)
        # A name may contain the special characters of glob, such as square brackets.
        for temporary in target.parent.glob(f"{glob.escape(target.name)}.*{UNFINISHED}"):
            temporary.unlink(missing_ok=True)


def folder_name(name: str, made: date, session_id: UUID) -> str:
    """Returns the readable, unique name of a session's folder: ``<label>-<date>-<short id>``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    label = re.sub(r"[^a-z0-9]+", "-", plain.lower())[:40].strip("-") or "session"
    return f"{label}-{made:%Y-%m-%d}-{session_id.hex[:12]}"
