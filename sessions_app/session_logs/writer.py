"""Appends log lines to a session's files: JSON lines, one file per day and kind, of limited size.

Many processes append to the same file. Each line is one write to a file opened for appending, so
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
MAX_OPEN_FILES = 8  # per thread
GRACE = timedelta(minutes=5)  # a writer may still append to the file of yesterday after midnight
_NAME = re.compile(r"(?P<stem>[a-z][a-z-]*)-(?P<day>\d{4}-\d\d-\d\d)\.ndjson")


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of log lines; ``path`` is relative to the data folder."""

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
        """Whether its day is over, so that no process writes to it any more."""
        return self.day < (now - GRACE).astimezone(UTC).date()


def append(folder: str, category: str, stem: str, line: bytes) -> bool:
    """Adds a line to today's file; returns False when the file is full. Raises OSError."""
    limit = settings.SMNB.log_file_mb * MEGABYTE
    handle, size = _open_files.handle_of(LogFile(folder, category, stem, datetime.now(UTC).date()))
    # Another process may have filled the file, so the size is read each time.
    if size >= limit:
        return False
    if size + len(line) >= limit:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        last = {"id": context.new_id(), "timestamp": now, "level": "warning", "event": "log_full"}
        line += json.dumps(last, separators=(",", ":")).encode() + b"\n"
    # One unbuffered call: with O_APPEND the system places it as a whole behind all others.
    os.write(handle, line)
    return True


class _OpenFiles(threading.local):
    """Keeps open the files that this thread wrote to last, as lines come in bursts."""

    def __init__(self) -> None:
        self._files: dict[tuple[Path, LogFile], FileIO] = {}

    def handle_of(self, file: LogFile) -> tuple[int, int]:
        """Returns the file's descriptor and size; reopens a file that was removed."""
        key = (settings.SMNB.data_dir, file)
        if key in self._files:
            handle = self._files[key].fileno()
            status = os.fstat(handle)
            # Without a link the file was removed: lines written to it would be lost.
            if status.st_nlink:
                return handle, status.st_size
            self._files.pop(key).close()
        elif len(self._files) == MAX_OPEN_FILES:
            self._files.pop(next(iter(self._files))).close()
        self._files[key] = FileIO(_open(storage.full_path(file.path)), "a")
        handle = self._files[key].fileno()
        return handle, os.fstat(handle).st_size


_open_files = _OpenFiles()


def _open(path: Path) -> int:
    """Opens a file for appending, readable by its owner alone; creates it and its folder."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        # Only for the first line of a session: checking the folder each time would be slower.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def log_files(folder: str, category: str) -> list[LogFile]:
    """Returns the files in a session's folder, newest day first."""
    parent = storage.full_path(f"{ROOT}/{folder}/{category}")
    names = [path.name for path in parent.iterdir()] if parent.is_dir() else []
    matches = [match for name in names if (match := _NAME.fullmatch(name))]
    files = (
        LogFile(folder, category, match["stem"], date.fromisoformat(match["day"]))
        for match in matches
    )
    return sorted(files, key=lambda file: (file.day, file.stem), reverse=True)


def folders() -> list[str]:
    """Returns the names of all session folders."""
    root = storage.full_path(ROOT)
    return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def last_written(folder: str) -> float:
    """Returns when a file was last added to the folder's logs or devtools, in seconds since 1970."""
    parents = (storage.full_path(f"{ROOT}/{folder}/{category}") for category in (LOGS, DEVTOOLS))
    return max((parent.stat().st_mtime for parent in parents if parent.is_dir()), default=0.0)
