"""The ids that rows had elsewhere, and those they get here."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

from django.db import connection, models

from broadcast.transfer.tables import (
    ARTIFACTS,
    POSTS,
    SOUNDS,
    SOURCES,
    STORIES,
)


class Ids:
    """Old ids of one table in rising order, each with a new one: 16 bytes a row."""

    def __init__(self, new: Sequence[int]) -> None:
        self._old = array("q")
        self._new = new

    def add(self, old: int) -> int:
        """The new id of the next row."""
        self._old.append(old)
        return self._new[len(self._old) - 1]

    def get(self, old: int) -> int | None:
        """The new id, or None for a row that was not brought."""
        at = bisect_left(self._old, old)
        known = at < len(self._old) and self._old[at] == old
        return self._new[at] if known else None


def allot(model: type[models.Model], number: int) -> Sequence[int]:
    """So many ids of the table, rising, for this transaction alone."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # This transaction holds the only lock that writes.
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
            found = cursor.fetchone()
            first = (found[0] if found else 0) + 1
            return range(first, first + number)
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [table, number],
        )
        return array("q", (row[0] for row in cursor.fetchall()))


def attempt(session_id: UUID, old: UUID | str) -> UUID:
    """An attempt's id is unique among all sessions, so that of a copy is made of both."""
    return uuid5(session_id, str(old))


# What the keys of events and plans name. A "version" is a row where it is an object.
_NAMED = {
    "story": STORIES, "joined": STORIES, "retracts": STORIES, "story_id": STORIES,
    "post": POSTS, "queue": POSTS, "held": POSTS, "source": SOURCES, "thread": "threads",
    "draft": "drafts", "version": "draft_versions", "message": "messages",
    "reply_to": "messages", "usage": "usage", "slot": "slots", "slots": "slots",
    "recap": "recaps", "keyword": "keywords", "interest": "interests",
    "interests": "interests", "artifact": ARTIFACTS, "sound": SOUNDS,
}  # fmt: skip


class Renaming:
    """Puts the new ids in the place of the old ones inside of events, plans and the like."""

    def __init__(self, session_id: UUID, ids: dict[str, Ids]) -> None:
        self._session, self._ids = session_id, ids

    def of(self, value: Any, key: str = "") -> Any:
        if isinstance(value, list):
            return [self.of(each, key) for each in value]
        if isinstance(value, dict):
            return self._of_object(value, key)
        if key == "session" and isinstance(value, str):
            return str(self._session)
        names_row = key in _NAMED and key != "version" and type(value) is int
        return self._id(_NAMED[key], value) if names_row else value

    def _of_object(self, value: dict[str, Any], key: str) -> dict[str, Any] | None:
        if key == "sound" and self._id(SOUNDS, value.get("id")) is None:
            return None  # it was taken back
        found = {name: self.of(each, name) for name, each in value.items()}
        if key == "session":
            found["id"] = str(self._session)
        elif key in _NAMED and type(value.get("id")) is int:
            # A turn in the writers' room is called a message too.
            table = "draft_messages" if key == "message" and "turn" in value else _NAMED[key]
            found["id"] = self._id(table, value["id"])
        if key == "usage" and isinstance(value.get("attempt"), str):
            found["attempt"] = str(attempt(self._session, value["attempt"]))
        return found

    def _id(self, table: str, old: Any) -> int | None:
        known = table in self._ids and type(old) is int
        return self._ids[table].get(old) if known else None
