"""Writes the files of an import archive as files of its new session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from django.contrib.auth.models import User
from django.utils.text import get_valid_filename

from broadcast.models import Broadcast, Recorded
from broadcast.speech import episode_artifacts, sounds
from broadcast.transfer import snapshot
from broadcast.transfer.archive import Archive
from broadcast.transfer.tables import ARTIFACTS, EPISODES, RUNS, SOUNDS, Ids
from broadcast.transfer.validation import Row
from sessions_app.errors import Invalid
from sessions_app.files import artifacts, storage
from sessions_app.files.storage import ROOT, StoredFile
from sessions_app.models import Session


@dataclass(slots=True)
class ImportState:
    """An import in progress.

    ``written`` has the paths of all files written so far. ``unclaimed`` has the paths of sounds and
    episodes by archive member, until their row is read. ``episodes`` has the paths of episodes by
    the name and content of their artifact rows.
    """

    archive: Archive
    session: Session
    owner: User
    ids: dict[str, Ids] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    unclaimed: dict[str, tuple[str, StoredFile]] = field(default_factory=dict)
    episodes: dict[tuple[str, StoredFile], str] = field(default_factory=dict)
    rows: int = 0


_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")

_MEDIA_TYPES = {suffix: media_type for media_type, suffix in sounds.SUFFIXES.items()}


def check_quota(state: ImportState) -> None:
    """Raises Invalid if the archive's files exceed the session's quota."""
    members = state.archive.manifest.members.items()
    size = sum(member.bytes for name, member in members if snapshot.is_file(name))
    if size > artifacts.free_bytes(state.session):
        raise Invalid(
            "The archive's files and sounds exceed the artifact quota of a session. "
            "Staff can raise it in Settings."
        )


def write_sounds(state: ImportState) -> None:
    """Writes sounds and episodes; before the rows, whose transaction blocks other writers."""
    for name in filter(snapshot.is_heard, state.archive.manifest.members):
        place = PurePosixPath(name)
        stem = f"{place.parent.name}-{place.stem}"
        path = sounds.fresh(state.session.pk, stem, _MEDIA_TYPES[place.suffix[1:]])
        state.written.append(path)
        state.unclaimed[name] = path, storage.write(path, state.archive.chunks(name))


def remove_unclaimed(state: ImportState) -> None:
    """Removes sounds without a row: they were deleted while the archive was exported."""
    for path, _ in state.unclaimed.values():
        storage.remove(path)


def sound(state: ImportState, row: Row) -> Mapping[str, object]:
    """Returns the columns of a sound's row that depend on its file."""
    return _recorded(state, SOUNDS, row)


def episode(state: ImportState, row: Row) -> Mapping[str, object]:
    """Returns the columns of an episode's row that depend on its file."""
    values = _recorded(state, EPISODES, row)
    run = Broadcast.objects.get(pk=state.ids[RUNS].get(row["run"]) or 0)
    shown = episode_artifacts.name_of(run.number, values["path"])
    state.episodes[shown, StoredFile(row["bytes"], row["sha256"])] = values["path"]
    return values


def _recorded(state: ImportState, table: str, row: Row) -> dict[str, str]:
    called = f"{table}, id {row['id']}"
    if row["media_type"] not in sounds.SUFFIXES or row["seconds"] < 0:
        raise Invalid(f"{called}: not a sound that can be played.")
    name = snapshot.member(table, row["id"], row["media_type"])
    if name not in state.unclaimed:
        raise Invalid(f"The file {name} is not in the archive.")
    path, stored = state.unclaimed.pop(name)
    _check(name, stored, row)
    return {"path": path, "state": Recorded.State.READY}


def artifact(state: ImportState, row: Row) -> Mapping[str, object]:
    """Writes the file before its row is inserted; raises Invalid if it differs from the row."""
    known = _MEDIA_TYPE.fullmatch(row["media_type"])
    return {
        "path": _of_episode(state, row) or _write_file(state, row),
        "media_type": row["media_type"] if known else "application/octet-stream",
    }


def _of_episode(state: ImportState, row: Row) -> str | None:
    """Returns the path of the episode that this artifact row represents, or None."""
    if _member(row) in state.archive.manifest.members or row["category"] != "recordings":
        return None
    return state.episodes.pop((row["name"], StoredFile(row["bytes"], row["sha256"])), None)


def _member(row: Row) -> str:
    return snapshot.member(ARTIFACTS, row["id"], row["media_type"])


def _write_file(state: ImportState, row: Row) -> str:
    member, called = _member(row), row["name"][:80]
    if member not in state.archive.manifest.members or row["category"] == "archive":
        raise Invalid(f"The file {called} is not in the archive.")
    # The name comes from the archive: without its slashes it cannot leave the folder.
    safe_name = get_valid_filename(row["name"].replace("/", "_"))[-120:]
    folder = f"{ROOT}/{state.session.folder}/{row['category']}"
    path = f"{folder}/{state.ids[ARTIFACTS].get(row['id'])}-{safe_name}"
    state.written.append(path)
    _check(called, storage.write(path, state.archive.chunks(member)), row)
    return path


def _check(called: str, stored: StoredFile, row: Row) -> None:
    if (stored.bytes, stored.sha256) != (row["bytes"], row["sha256"]):
        raise Invalid(f"The file {called} does not match its row.")
