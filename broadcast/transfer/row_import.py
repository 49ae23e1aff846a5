"""Inserts the rows of an import archive, table by table, under new ids."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from django.db import models

from broadcast.transfer import file_import, validation
from broadcast.transfer.file_import import ImportState
from broadcast.transfer.formats.base import pieces
from broadcast.transfer.tables import (
    ARTIFACTS,
    EPISODES,
    EVENTS,
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
from stories.posts.queue import digest
from stories.posts.scoring import folded
from stories.text.addresses import link_key


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
    SOUNDS: file_import.sound,
    EPISODES: file_import.episode,
    ARTIFACTS: file_import.artifact,
}
