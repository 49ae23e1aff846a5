"""What of a session is carried from one installation to another, table by table.

The order is that of insertion: what a row points to comes before it. Left out is what belongs to
this installation alone (steps, places on the disk, public addresses), and what is counted from the
rows (figures over time, the market).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.db import models

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
