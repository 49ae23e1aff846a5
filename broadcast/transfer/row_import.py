"""Inserts the rows of an import archive and their files, table by table, under new ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from django.contrib.auth.models import User
from django.db import models
from django.utils.text import get_valid_filename

from broadcast.models import Broadcast, Recorded
from broadcast.speech import episodes, sounds
from broadcast.transfer import snapshot, validation
from broadcast.transfer.archive import Archive
from broadcast.transfer.formats.base import pieces
from broadcast.transfer.tables import (
    ARTIFACTS,
    EPISODES,
    EVENTS,
    RUNS,
    SOUNDS,
    TABLES,
    Ids,
    Renaming,
    Table,
    allot,
    attempt,
)
from broadcast.transfer.validation import Row
from sessions_app.errors import Invalid
from sessions_app.files import artifacts, storage
from sessions_app.files.storage import ROOT, StoredFile
from sessions_app.models import Session
from stories.posts.queue import digest
from stories.posts.scoring import folded
from stories.text.addresses import link_key


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
    shown = episodes.name_of(run.number, values["path"])
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


def insert(state: ImportState, on_progress: Callable[[int], None]) -> None:
    """Inserts all rows in the caller's transaction.

    Calls ``on_progress`` with the number of rows inserted so far.
    """
    for table in TABLES:
        for batch in pieces(_objects(state, table)):
            _create(table, batch)
            state.rows += len(batch)
            on_progress(state.rows)


def _objects(state: ImportState, table: Table) -> Iterator[models.Model]:
    if table.name != EVENTS:
        number = state.archive.rows(table.name)
        state.ids[table.name] = Ids(allot(table.model, number))
    renaming = Renaming(state.session.pk, state.ids)
    for row in validation.rows(state.archive, table):
        yield table.model(**_columns(state, table, row, renaming))


def _columns(state: ImportState, table: Table, row: Row, renaming: Renaming) -> dict[str, object]:
    values: dict[str, object] = {"session_id": state.session.pk}
    if table.name != EVENTS:
        values["id"] = state.ids[table.name].add(row[table.key])
    for column in table.columns:
        if column.primary_key:
            continue
        value = row[column.name]
        if column.name in table.references:
            value = _new_id(state, table, column.name, value)
        elif column.name in table.people:
            value = None if value is None else state.owner.pk
        elif column.name in RENAMED and isinstance(column, models.JSONField):
            value = renaming.of(value)
        values[str(column.attname)] = value
    derived = _DERIVED.get(table.name)
    return {**values, **derived(state, row)} if derived else values


Derived: TypeAlias = Mapping[str, object]  # column values that the archive does not carry

RENAMED = frozenset({"payload", "plan", "contents"})
_LINKABLE = re.compile(r"https?://", re.IGNORECASE)


def _new_id(state: ImportState, table: Table, name: str, old: int | None) -> int | None:
    if old is None:
        return None
    target = table.references[name]
    new = state.ids[target].get(old) if target in state.ids else None
    if new is None:
        raise Invalid(f"{table.name}: {name} {old} does not come before this row in the archive.")
    return new


def _create(table: Table, batch: list[Any]) -> None:
    rows = table.model._default_manager
    # bulk_create sets auto_now columns to the present; the archive's times are written back.
    stamped = [
        str(column.attname) for column in table.columns if getattr(column, "auto_now", False)
    ]
    given = [[getattr(row, name) for name in stamped] for row in batch]
    rows.bulk_create(batch)
    if stamped:
        for row, moments in zip(batch, given, strict=True):
            for name, moment in zip(stamped, moments, strict=True):
                setattr(row, name, moment)
        rows.bulk_update(batch, stamped)


def _post(_: ImportState, row: Row) -> Derived:
    # A claim belongs to a step of the other installation, which is not imported.
    state = "queued" if row["state"] == "claimed" else row["state"]
    # Pages link this address, so only web addresses are accepted.
    url = row["url"] if _LINKABLE.match(row["url"]) else ""
    return {"url": url, "url_digest": digest(link_key(url)), "state": state}


_DERIVED: dict[str, Callable[[ImportState, Row], Derived]] = {
    "sources": lambda _, row: {"locator_digest": digest(row["locator"])},
    "posts": _post,
    "interests": lambda _, row: {"folded": folded(row["text"])},
    "usage": lambda state, row: {
        "attempt": attempt(state.session.pk, row["attempt"]),
        "step": None,
    },
    # An imported session must not go live on its own; the owner enables the slot.
    "slots": lambda _, __: {"enabled": False},
    SOUNDS: sound,
    EPISODES: episode,
    ARTIFACTS: artifact,
}
