"""The rows of an archive become rows of a session, table after table, with ids of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.db import models

from broadcast.transfer import file_import, validation
from broadcast.transfer.file_import import Taking
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
from stories.posts.matching import folded
from stories.posts.queue import digest
from stories.text import canonical_url


def insert(taking: Taking, shown: Callable[[int], None]) -> None:
    """Insert everything, in the caller's transaction; ``shown`` is told how many rows are in."""
    for table in TABLES:
        for some in pieces(_objects(taking, table)):
            _create(table, some)
            taking.rows += len(some)
            shown(taking.rows)


def _objects(taking: Taking, table: Table) -> Iterator[models.Model]:
    if table.name != EVENTS:
        number = taking.archive.rows(table.name)
        taking.ids[table.name] = Ids(allot(table.model, number))
    renaming = Renaming(taking.session.pk, taking.ids)
    for row in validation.rows(taking.archive, table):
        yield table.model(**_columns(taking, table, row, renaming))


def _columns(taking: Taking, table: Table, row: Row, renaming: Renaming) -> dict[str, Any]:
    old = row[table.key]
    values: dict[str, Any] = {"session_id": taking.session.pk}
    if table.name != EVENTS:
        values["id"] = taking.ids[table.name].add(old)
    for column in table.columns:
        if column.primary_key:
            continue
        value = row[column.name]
        if column.name in table.references:
            value = _reference(taking, table, column.name, value)
        elif column.name in table.people:
            value = None if value is None else taking.owner.pk
        elif column.name in RENAMED and isinstance(column, models.JSONField):
            value = renaming.of(value)
        values[str(column.attname)] = value
    derived = _DERIVED.get(table.name)
    return values | (derived(taking, row) if derived else {})


RENAMED = frozenset({"payload", "plan"})
_LINKABLE = re.compile(r"https?://", re.IGNORECASE)


def _reference(taking: Taking, table: Table, name: str, old: int | None) -> int | None:
    if old is None:
        return None
    target = table.references[name]
    found = taking.ids[target].get(old) if target in taking.ids else None
    if found is None:
        raise Invalid(f"{table.name}: {name} {old} is not in the archive before it is named.")
    return found


def _create(table: Table, some: list[Any]) -> None:
    """Insert rows; where Django would stamp the moment of writing, what they say is kept."""
    rows = table.model._default_manager
    stamped = [
        str(column.attname) for column in table.columns if getattr(column, "auto_now", False)
    ]
    given = [[getattr(each, name) for name in stamped] for each in some]
    rows.bulk_create(some)
    if stamped:
        for each, moments in zip(some, given, strict=True):
            for name, moment in zip(stamped, moments, strict=True):
                setattr(each, name, moment)
        rows.bulk_update(some, stamped)


def _source(_taking: Taking, row: Row) -> dict[str, Any]:
    return {"locator_digest": digest(row["locator"])}


def _post(_taking: Taking, row: Row) -> dict[str, Any]:
    """Nobody works on a post that was claimed elsewhere; an address is one that pages may link."""
    state = "queued" if row["state"] == "claimed" else row["state"]
    url = row["url"] if _LINKABLE.match(row["url"]) else ""
    return {"url": url, "url_digest": digest(canonical_url(url)), "state": state}


def _interest(_taking: Taking, row: Row) -> dict[str, Any]:
    return {"folded": folded(row["text"])}


def _usage(taking: Taking, row: Row) -> dict[str, Any]:
    return {"attempt": attempt(taking.session.pk, row["attempt"]), "step": None}


def _slot(_taking: Taking, _row: Row) -> dict[str, Any]:
    """What was scheduled elsewhere goes on air here when its owner says so."""
    return {"enabled": False}


_DERIVED: dict[str, Callable[[Taking, Row], dict[str, Any]]] = {
    "sources": _source, "posts": _post, "interests": _interest, "usage": _usage,
    "slots": _slot, SOUNDS: file_import.sound, EPISODES: file_import.episode, ARTIFACTS: file_import.artifact,
}  # fmt: skip
