"""Checks that artifacts and files agree: an audit in both directions, and removal of leftovers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from sessions_app import audits
from sessions_app.background import retention
from sessions_app.files import artifacts, storage
from sessions_app.files.artifacts import State
from sessions_app.files.storage import ROOT
from sessions_app.models import Artifact, Session, Workspace

GRACE = 3600.0  # seconds in which a file may exist without its row
BATCH = 500


def agreement() -> Iterator[tuple[object, str]]:
    """Every artifact has its file with its size and sha256, and every file has its artifact."""
    for row in Artifact.objects.exclude(state=State.DROPPED).order_by("pk").iterator(BATCH):
        size = None if row.state == State.OPEN else row.bytes
        problem = problem_of_file(row.path, size, row.sha256)
        # Reading takes long; a row that changed meanwhile is checked by the next audit.
        if problem and Artifact.objects.filter(pk=row.pk, state=row.state, path=row.path).exists():
            yield row.session_id, f"{row.category}/{row.name} {problem}"
    for path in _files_without_row():
        folder = Path(path).parts[1]
        owner = Session.objects.filter(folder=folder).values_list("pk", flat=True).first()
        yield owner or "", f"{path.removeprefix(f'{ROOT}/')} is a file without its artifact"


def problem_of_file(path: str, size: int | None, sha256: str) -> str:
    """Returns what is wrong with a file, or ""; a size of None is that of an unfinished file."""
    digest, read = hashlib.sha256(), 0
    try:
        for chunk in storage.read([path]):
            digest.update(chunk)
            read += len(chunk)
    except OSError:
        return "has lost its file"
    if size is None or (read, digest.hexdigest()) == (size, sha256):
        return ""
    return "is damaged: its size or sha256 differs"


def _files_without_row() -> Iterator[str]:
    """Yields the paths of files that have had no row for more than an hour."""
    paths = _unchanged_files()
    # In batches, so that the query has fewer parameters than SQLite's limit.
    while batch := list(islice(paths, BATCH)):
        rows = Artifact.objects.filter(path__in=batch).exclude(state=State.DROPPED)
        yield from sorted(set(batch) - set(rows.values_list("path", flat=True)))


def _unchanged_files() -> Iterator[str]:
    """Yields the paths of files last changed more than an hour ago, relative to the data folder."""
    root = storage.full_path(ROOT)
    before = time.time() - GRACE
    for path in sorted(root.rglob("*")):
        try:
            if path.is_file() and path.stat().st_mtime < before:
                yield f"{ROOT}/{path.relative_to(root).as_posix()}"
        except FileNotFoundError:
            continue  # removed since the folder was listed


def sweep(_shared: Workspace, _now: datetime) -> int:
    """Removes the leftovers of interrupted writers, and files that a user removed."""
    leftovers = [path for path in _files_without_row() if _is_leftover(path)]
    for path in leftovers:
        storage.full_path(path).unlink(missing_ok=True)
    return len(leftovers)


def _is_leftover(path: str) -> bool:
    """Whether a file is unfinished, a reserved name without content, or was removed by a user."""
    try:
        empty = not storage.full_path(path).stat().st_size
    except FileNotFoundError:
        return False  # another sweeper removed it first
    if empty or path.endswith(storage.UNFINISHED):
        return True
    # The removal of this artifact was interrupted between its row and its file.
    return Artifact.objects.filter(path=path, state=State.DROPPED).exists()


def register() -> None:
    audits.register("artifacts", agreement)
    audits.register_record(
        audits.Record(
            "artifact",
            lambda session_id: Artifact.objects.filter(session=session_id),
            artifacts.payload,
            # A log grows without events; the audit of files compares sizes.
            frozenset({"removable", "bytes"}),
        )
    )
    retention.register(sweep)
