"""The files a session's lines are written to: JSON lines, one file a day and kind, never too long.

Many processes append to the same file; each line is one write to a file opened for appending, so
lines never mix.
"""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import FileIO
from pathlib import Path

from django.conf import settings

from sessions_app import context
from sessions_app.files import storage
from sessions_app.files.storage import ROOT

LOGS, DEVTOOLS = "logs", "devtools"
MEGABYTE = 1_000_000
MAX_OPEN_FILES = 8  # files a thread
GRACE = timedelta(minutes=5)  # after midnight somebody may still be about to write
_NAME = re.compile(r"(?P<stem>[a-z][a-z-]*)-(?P<day>\d{4}-\d\d-\d\d)\.ndjson")


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of lines; ``path`` is relative to the data folder."""

    folder: str
    category: str
    stem: str
    day: date

    @property
    def name(self) -> str:
        return f"{self.stem}-{self.day:%Y-%m-%d}.ndjson"

    @property
    def path(self) -> str:
        return f"{ROOT}/{self.folder}/{self.category}/{self.name}"

    def over(self, now: datetime) -> bool:
        """Whether nobody writes to it any more."""
        return self.day < (now - GRACE).astimezone(UTC).date()


def append(folder: str, category: str, stem: str, line: bytes) -> bool:
    """Add a line to today's file; False when the file has reached its length. Raises OSError."""
    most = settings.SMNB.log_file_mb * MEGABYTE
    handle, size = _open.of(LogFile(folder, category, stem, datetime.now(UTC).date()))
    if size >= most:
        return False
    os.write(handle, line if size + len(line) < most else line + _full())
    return True


class _Open(threading.local):
    """The files that this thread has written to last stay open: lines come in bursts."""

    def __init__(self) -> None:
        self._files: dict[tuple[Path, LogFile], FileIO] = {}

    def of(self, file: LogFile) -> tuple[int, int]:
        """The file's descriptor and its size; opened anew where somebody has removed it."""
        key = (settings.SMNB.data_dir, file)
        if key in self._files:
            handle = self._files[key].fileno()
            found = os.fstat(handle)
            if found.st_nlink:
                return handle, found.st_size
            self._files.pop(key).close()
        elif len(self._files) == MAX_OPEN_FILES:
            self._files.pop(next(iter(self._files))).close()
        self._files[key] = FileIO(_opened(storage.full_path(file.path)), "a")
        handle = self._files[key].fileno()
        return handle, os.fstat(handle).st_size


_open = _Open()


def _full() -> bytes:
    """The last line of a file that has reached its length."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"id": context.new_id(), "timestamp": now, "level": "warning", "event": "log_full"}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def log_files(folder: str, category: str) -> list[LogFile]:
    """The files of a session's folder, newest day first."""
    place = storage.full_path(f"{ROOT}/{folder}/{category}")
    names = [path.name for path in place.iterdir()] if place.is_dir() else []
    matches = [match for name in names if (match := _NAME.fullmatch(name))]
    made = (
        LogFile(folder, category, match["stem"], date.fromisoformat(match["day"]))
        for match in matches
    )
    return sorted(made, key=lambda file: (file.day, file.stem), reverse=True)


def folders() -> list[str]:
    """The names of all session folders there are."""
    root = storage.full_path(ROOT)
    return sorted(each.name for each in root.iterdir() if each.is_dir()) if root.is_dir() else []


def last_written(folder: str) -> float:
    """When a file was last added to the folder's logs or devtools, in seconds since 1970."""
    places = (storage.full_path(f"{ROOT}/{folder}/{category}") for category in (LOGS, DEVTOOLS))
    return max((place.stat().st_mtime for place in places if place.is_dir()), default=0.0)
