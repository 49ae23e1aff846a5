"""What of a session is carried from one installation to another, table by table.

The order is that of insertion: what a row points to comes before it. Left out is what belongs to
this installation alone (steps, places on the disk, public addresses), and what is counted from the
rows (figures over time, the market).

The ids that rows had elsewhere, and those they get here.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID, uuid5

from django.contrib.auth.models import User
from django.db import connection, models

from broadcast.models import Airing, Broadcast, Episode, Recap, Slot, Sound, StateChange
from sessions_app.models import AILink, AITransition, Artifact, InSession, Message, SessionEvent
from stories.models import (
    BoardKeyword,
    Draft,
    DraftMessage,
    DraftVersion,
    Interest,
    Source,
    SourcePost,
    Story,
    StoryThread,
    StoryVersion,
    TokenUsage,
)

EVENTS, TRANSITIONS, ARTIFACTS, SOURCES, POSTS, STORIES = (
    "events", "transitions", "artifacts", "sources", "posts", "stories",
)  # fmt: skip

RUNS, SOUNDS, EPISODES = "runs", "sounds", "episodes"

# Of what is recorded only that is carried which can be heard; its place is another one elsewhere.
_PLACE = frozenset({"path", "state", "error"})


@dataclass(frozen=True, eq=False)
class Table:
    """One table; rows are in the order of ``key``, and ``without`` names columns that stay here."""

    name: str
    model: type[InSession]
    without: frozenset[str] = field(default_factory=frozenset)
    key: str = "id"

    @cached_property
    def columns(self) -> tuple[models.Field[Any, Any], ...]:
        """The columns that are carried, the key first."""
        kept = [
            column
            for column in self.model._meta.concrete_fields
            if column.name not in self.without | {"session", self.key}
        ]
        return (self.model._meta.get_field(self.key), *kept)  # type: ignore[arg-type]

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        return tuple(str(column.attname) for column in self.columns)

    @cached_property
    def references(self) -> Mapping[str, str]:
        """Which of the columns point to rows of which table."""
        return {
            column.name: BY_MODEL[column.related_model].name
            for column in self.columns
            if column.related_model in BY_MODEL
        }

    @cached_property
    def people(self) -> frozenset[str]:
        """The columns that name a person."""
        return frozenset(each.name for each in self.columns if each.related_model is User)


TABLES = (
    Table(SOURCES, Source, frozenset({"locator_digest"})),
    Table(POSTS, SourcePost, frozenset({"step", "epoch", "url_digest"})),
    Table("interests", Interest, frozenset({"folded"})),
    Table("keywords", BoardKeyword),
    Table("slots", Slot, frozenset({"run"})),
    Table(RUNS, Broadcast, frozenset({"ai_head"})),
    Table("links", AILink),
    Table(TRANSITIONS, AITransition),
    Table("changes", StateChange),
    Table("threads", StoryThread),
    Table("drafts", Draft),
    Table("draft_versions", DraftVersion),
    Table("draft_messages", DraftMessage),
    Table(STORIES, Story, frozenset({"legacy_id"})),
    Table("versions", StoryVersion),
    Table("messages", Message),
    Table("usage", TokenUsage, frozenset({"step", "epoch", "legacy_id"})),
    Table("airings", Airing),
    Table("recaps", Recap),
    Table(SOUNDS, Sound, _PLACE),
    Table(EPISODES, Episode, _PLACE),
    Table(ARTIFACTS, Artifact, frozenset({"path", "state"})),
    Table(EVENTS, SessionEvent, frozenset({"id"}), key="seq"),
)

BY_NAME = {table.name: table for table in TABLES}

BY_MODEL: dict[Any, Table] = {table.model: table for table in TABLES}


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
