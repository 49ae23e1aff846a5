"""What keeps artifacts and files in agreement: an audit of both ways, and a broom for leftovers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from sessions_app import audits
from sessions_app.background import retention
from sessions_app.files import storage
from sessions_app.files.artifacts import State
from sessions_app.files.storage import ROOT
from sessions_app.models import Artifact, Session, Workspace

GRACE = 3600.0  # seconds in which a file may still be without its row
BATCH = 500


def agreement() -> Iterator[tuple[object, str]]:
    """Every artifact has its file with its size and sha256, and every file has its artifact."""
    for row in Artifact.objects.exclude(state=State.DROPPED).order_by("pk").iterator(BATCH):
        wrong = _wrong(row)
        if wrong and Artifact.objects.filter(pk=row.pk, state=row.state, path=row.path).exists():
            yield row.session_id, f"{row.category}/{row.name} {wrong}"
    for path in _strays():
        detail = f"{path.removeprefix(f'{ROOT}/')} is a file without its artifact"
        yield _session_of(path), detail


def _wrong(row: Artifact) -> str:
    try:
        found = _read(row.path)
    except OSError:
        return "has lost its file"
    if row.state == State.OPEN:
        return ""
    return "" if found == (row.bytes, row.sha256) else "is damaged: its size or sha256 is another"


def _read(path: str) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for piece in storage.read([path]):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def _strays() -> Iterator[str]:
    """Files that have been without a row for more than an hour."""
    old = _old_files()
    while piece := list(islice(old, BATCH)):
        rows = Artifact.objects.filter(path__in=piece).exclude(state=State.DROPPED)
        yield from sorted(set(piece) - set(rows.values_list("path", flat=True)))


def _old_files() -> Iterator[str]:
    """Paths, relative to the data folder, of all files that were not touched in the last hour."""
    root = storage.full_path(ROOT)
    before = time.time() - GRACE
    for path in sorted(root.rglob("*")):
        try:
            if path.is_file() and path.stat().st_mtime < before:
                yield f"{ROOT}/{path.relative_to(root).as_posix()}"
        except FileNotFoundError:
            continue  # it was removed while we looked


def _session_of(path: str) -> object:
    folder = Path(path).parts[1]
    return Session.objects.filter(folder=folder).values_list("pk", flat=True).first() or ""


def sweep(_shared: Workspace, _now: datetime) -> int:
    """Remove what an interrupted writer has left, and the files that a person removed."""
    leftovers = [path for path in _strays() if _is_leftover(path)]
    for path in leftovers:
        storage.full_path(path).unlink(missing_ok=True)
    return len(leftovers)


def _is_leftover(path: str) -> bool:
    """An unfinished file, a name that was taken and not used, or one whose removal was cut short."""
    try:
        empty = not storage.full_path(path).stat().st_size
    except FileNotFoundError:
        return False  # another sweeper was first
    if empty or path.endswith(storage.UNFINISHED):
        return True
    return Artifact.objects.filter(path=path, state=State.DROPPED).exists()


def register() -> None:
    audits.register("artifacts", agreement)
    retention.register(sweep)
