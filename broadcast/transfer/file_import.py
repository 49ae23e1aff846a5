"""The files of an archive become files of a session, under names that are given here.

An archive on its way into a session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from django.contrib.auth.models import User
from django.utils.text import get_valid_filename

from broadcast.models import Broadcast, Recorded
from broadcast.speech import episode_artifacts, sounds
from broadcast.transfer import archive_files
from broadcast.transfer.archive import Archive
from broadcast.transfer.tables import ARTIFACTS, EPISODES, RUNS, SOUNDS, Ids
from broadcast.transfer.validation import Row
from sessions_app.errors import Invalid
from sessions_app.files import artifacts, storage
from sessions_app.files.storage import ROOT, StoredFile
from sessions_app.models import Session


@dataclass(slots=True)
class Taking:
    """What has come in so far: ``kept`` are the files that were written, all of them.

    ``heard`` are those of sounds and episodes that no row has named yet, by their members, with
    their paths; ``episodes`` the paths of episodes, by what their artifacts are called and hold.
    """

    archive: Archive
    session: Session
    owner: User
    ids: dict[str, Ids] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    heard: dict[str, tuple[str, StoredFile]] = field(default_factory=dict)
    episodes: dict[tuple[str, StoredFile], str] = field(default_factory=dict)
    rows: int = 0


_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")

_MEDIA_TYPES = {suffix: media_type for media_type, suffix in sounds.SUFFIXES.items()}


def check_room(taking: Taking) -> None:
    members = taking.archive.manifest.members.items()
    wanted = sum(one.bytes for name, one in members if archive_files.is_file(name))
    if wanted > artifacts.free_bytes(taking.session):
        raise Invalid(
            "The archive's files, sounds among them, are more than a session's quota of artifacts. "
            "The staff can raise it in Settings."
        )


def keep_heard(taking: Taking) -> None:
    """Write the sounds and episodes: they are many, so before the rows, which lock others out."""
    for name in filter(archive_files.is_heard, taking.archive.manifest.members):
        place = PurePosixPath(name)
        stem = f"{place.parent.name}-{place.stem}"
        path = sounds.fresh(taking.session.pk, stem, _MEDIA_TYPES[place.suffix[1:]])
        taking.kept.append(path)
        taking.heard[name] = path, storage.write(path, taking.archive.chunks(name))


def drop_unnamed(taking: Taking) -> None:
    """Remove what was written for no row: it was taken back while it was exported."""
    for path, _ in taking.heard.values():
        storage.remove(path)


def sound(taking: Taking, row: Row) -> dict[str, Any]:
    return _recorded(taking, SOUNDS, row)


def episode(taking: Taking, row: Row) -> dict[str, Any]:
    values = _recorded(taking, EPISODES, row)
    run = Broadcast.objects.get(pk=taking.ids[RUNS].get(row["run"]) or 0)
    shown = episode_artifacts.name_of(run.number, values["path"])
    taking.episodes[shown, StoredFile(row["bytes"], row["sha256"])] = values["path"]
    return values


def _recorded(taking: Taking, table: str, row: Row) -> dict[str, Any]:
    called = f"{table}, id {row['id']}"
    if row["media_type"] not in sounds.SUFFIXES or row["seconds"] < 0:
        raise Invalid(f"{called}: this is no sound that can be played.")
    name = archive_files.member(table, row["id"], row["media_type"])
    if name not in taking.heard:
        raise Invalid(f"The file {name} is not in the archive.")
    path, kept = taking.heard.pop(name)
    _check(name, kept, row)
    return {"path": path, "state": Recorded.State.READY}


def artifact(taking: Taking, row: Row) -> dict[str, Any]:
    """The file first; it is what its row and the manifest say, or nothing is brought in."""
    known = _MEDIA_TYPE.fullmatch(row["media_type"])
    return {
        "path": _of_episode(taking, row) or _kept(taking, row),
        "media_type": row["media_type"] if known else "application/octet-stream",
    }


def _of_episode(taking: Taking, row: Row) -> str | None:
    """The path of the episode that the row shows among the artifacts."""
    if _member(row) in taking.archive.manifest.members or row["category"] != "recordings":
        return None
    return taking.episodes.pop((row["name"], StoredFile(row["bytes"], row["sha256"])), None)


def _member(row: Row) -> str:
    return archive_files.member(ARTIFACTS, row["id"], row["media_type"])


def _kept(taking: Taking, row: Row) -> str:
    member, called = _member(row), row["name"][:80]
    if member not in taking.archive.manifest.members or row["category"] == "archive":
        raise Invalid(f"The file {called} is not in the archive.")
    path = _path(taking, row)
    taking.kept.append(path)
    _check(called, storage.write(path, taking.archive.chunks(member)), row)
    return path


def _check(called: str, kept: StoredFile, row: Row) -> None:
    if (kept.bytes, kept.sha256) != (row["bytes"], row["sha256"]):
        raise Invalid(f"The file {called} is not what its row says.")


def _path(taking: Taking, row: Row) -> str:
    safe = get_valid_filename(row["name"].replace("/", "_"))[-120:]
    folder = f"{ROOT}/{taking.session.folder}/{row['category']}"
    return f"{folder}/{taking.ids[ARTIFACTS].get(row['id'])}-{safe}"
