"""Lists the tables and columns that an export contains, and gives imported rows new ids.

The tables are in the order of insertion: a row comes after the rows it points to. An export leaves
out what belongs to this installation (steps, paths of files, public addresses) and what an import
counts from the rows (figures over time, the market).
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
    StoryReport,
    StoryThread,
    StoryVersion,
    TokenUsage,
)

EVENTS = "events"
TRANSITIONS = "transitions"
ARTIFACTS = "artifacts"
SOURCES = "sources"
POSTS = "posts"
STORIES = "stories"
RUNS = "runs"
AIRINGS = "airings"
SOUNDS = "sounds"
EPISODES = "episodes"

# Only finished recordings are exported, and their files get other paths when they are imported.
_FILE_COLUMNS = frozenset({"path", "state", "error"})


@dataclass(frozen=True, eq=False)
class Table:
    """A table of an export: rows are in the order of ``key``, columns in ``without`` are left out."""

    name: str
    model: type[InSession]
    without: frozenset[str] = field(default_factory=frozenset)
    key: str = "id"

    @cached_property
    def columns(self) -> tuple[models.Field[Any, Any], ...]:
        """The exported columns, the key first."""
        omitted = self.without | {"session"}
        columns = [c for c in self.model._meta.concrete_fields if c.name not in omitted]
        # The sort is stable, so that the others remain in the order of the model.
        return tuple(sorted(columns, key=lambda column: column.name != self.key))

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of a model instance for the columns, such as ``story_id``."""
        return tuple(str(column.attname) for column in self.columns)

    @cached_property
    def references(self) -> Mapping[str, str]:
        """The foreign keys among the columns, each with the name of the table it points to."""
        return {
            column.name: BY_MODEL[column.related_model].name
            for column in self.columns
            if column.related_model in BY_MODEL
        }

    @cached_property
    def people(self) -> frozenset[str]:
        """The columns that point to a user; an export has the username instead."""
        return frozenset(column.name for column in self.columns if column.related_model is User)


TABLES = (
    Table(SOURCES, Source, frozenset({"locator_digest"})),
    Table(POSTS, SourcePost, frozenset({"step", "epoch", "url_digest"})),
    Table("interests", Interest, frozenset({"folded"})),
    Table("keywords", BoardKeyword),
    Table("slots", Slot, frozenset({"run"})),
    Table(RUNS, Broadcast, frozenset({"ai_head", "ending"})),
    Table("links", AILink),
    Table(TRANSITIONS, AITransition),
    Table("changes", StateChange),
    Table("threads", StoryThread),
    Table("drafts", Draft),
    Table("draft_versions", DraftVersion),
    Table("draft_messages", DraftMessage),
    Table(STORIES, Story, frozenset({"legacy_id"})),
    Table("reports", StoryReport),
    Table("versions", StoryVersion),
    Table("messages", Message),
    Table("usage", TokenUsage, frozenset({"step", "epoch", "legacy_id"})),
    Table(AIRINGS, Airing),
    Table("recaps", Recap),
    Table(SOUNDS, Sound, _FILE_COLUMNS),
    Table(EPISODES, Episode, _FILE_COLUMNS),
    Table(ARTIFACTS, Artifact, frozenset({"path", "state"})),
    Table(EVENTS, SessionEvent, frozenset({"id"}), key="seq"),
)

BY_NAME = {table.name: table for table in TABLES}

BY_MODEL: dict[Any, Table] = {table.model: table for table in TABLES}


class Ids:
    """Maps the old ids of one table, which are added in rising order, to new ones."""

    def __init__(self, new: Sequence[int]) -> None:
        # Arrays take 16 bytes a row; a dictionary would take several times as much.
        self._old = array("q")
        self._new = new

    def add(self, old: int) -> int:
        """Returns the new id of the next row, whose old id is given."""
        self._old.append(old)
        return self._new[len(self._old) - 1]

    def get(self, old: int) -> int | None:
        """Returns the new id, or None for a row that was not imported."""
        index = bisect_left(self._old, old)
        known = index < len(self._old) and self._old[index] == old
        return self._new[index] if known else None


def allot(model: type[models.Model], number: int) -> Sequence[int]:
    """Returns ``number`` new ids of the table in rising order, which no other process will use."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            # SQLite has one writer at a time, which is this transaction: no row comes in between.
            # The table of sequences has no row for a table that never had one.
            cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
            sequence = cursor.fetchone()
            first = (sequence[0] if sequence else 0) + 1
            return range(first, first + number)
        # PostgreSQL never returns the same value of a sequence twice, also to other transactions.
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
            [table, number],
        )
        return array("q", (row[0] for row in cursor.fetchall()))


def attempt(session_id: UUID, old: UUID | str) -> UUID:
    """Returns the id of a copy's attempt: these ids are unique among the attempts of all sessions."""
    return uuid5(session_id, str(old))


# The tables of the rows that keys of events and plans name.
_TABLE_BY_KEY = {
    "story": STORIES,
    "joined": STORIES,
    "retracts": STORIES,
    "story_id": STORIES,
    "post": POSTS,
    "queue": POSTS,
    "held": POSTS,
    "source": SOURCES,
    "thread": "threads",
    "draft": "drafts",
    "version": "draft_versions",
    "message": "messages",
    "reply_to": "messages",
    "usage": "usage",
    "slot": "slots",
    "slots": "slots",
    "recap": "recaps",
    "keyword": "keywords",
    "interest": "interests",
    "interests": "interests",
    "artifact": ARTIFACTS,
    "sound": SOUNDS,
}


class Renaming:
    """Replaces old ids by new ones in JSON: the payloads of events, plans and the like."""

    def __init__(self, session_id: UUID, ids: dict[str, Ids]) -> None:
        self._session, self._ids = session_id, ids

    def of(self, value: Any, key: str = "") -> Any:
        """Returns the value of ``key`` with new ids; None for a row that was not imported."""
        if isinstance(value, list):
            return [self.of(item, key) for item in value]
        if isinstance(value, dict):
            return self._of_object(value, key)
        if key == "session" and isinstance(value, str):
            return str(self._session)
        # A number under "version" is the number of a version, not an id.
        is_id = key in _TABLE_BY_KEY and key != "version" and type(value) is int
        return self._new_id(_TABLE_BY_KEY[key], value) if is_id else value

    def _of_object(self, value: dict[str, object], key: str) -> dict[str, object] | None:
        if key == "sound" and self._new_id(SOUNDS, value.get("id")) is None:
            return None  # the recording was deleted before the export
        renamed: dict[str, object] = {name: self.of(item, name) for name, item in value.items()}
        if key == "session":
            renamed["id"] = str(self._session)
        elif key in _TABLE_BY_KEY and type(value.get("id")) is int:
            # Messages of a draft have the same key as those of the chat, but also a "turn".
            of_draft = key == "message" and "turn" in value
            table = "draft_messages" if of_draft else _TABLE_BY_KEY[key]
            renamed["id"] = self._new_id(table, value["id"])
        old_attempt = renamed.get("attempt")
        if key == "usage" and isinstance(old_attempt, str):
            renamed["attempt"] = str(attempt(self._session, old_attempt))
        return renamed

    def _new_id(self, table: str, old: object) -> int | None:
        # In JSON true and false are no ids, but isinstance would take them for integers.
        if type(old) is int and table in self._ids:
            return self._ids[table].get(old)
        return None
