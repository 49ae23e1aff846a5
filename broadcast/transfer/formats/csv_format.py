"""The stories of a session as a table that any spreadsheet opens, and takes for text alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from broadcast.models import Airing
from broadcast.transfer.formats.base import Chunk, State, Wanted, cell, pieces
from broadcast.transfer.tables import STORIES
from stories.models import Story

COLUMNS = (
    "id", "created_at", "state", "origin", "title", "narrative", "summary", "tone", "priority",
    "sentiment", "topics", "words", "seconds", "model", "aired_at", "version", "correction",
    "thread", "relation", "post_title", "post_source", "post_url",
)  # fmt: skip


def write(wanted: Wanted, state: State) -> Iterator[Chunk]:
    if not state:
        yield Chunk(_lines([list(COLUMNS)]), 0, {"after": 0})
    for some in pieces(told_rows(wanted, state.get("after", 0))):
        yield Chunk(_lines(map(_cells, some)), len(some), {"after": some[-1].pk})


def told_rows(wanted: Wanted, after: int) -> Iterator[Any]:
    """The stories with post, source and thread, oldest first, and their first time on air."""
    rows = Story.objects.filter(
        session=wanted.snapshot.session, pk__lte=wanted.snapshot.upto[STORIES]
    )
    rows = rows.select_related("post__source", "thread").order_by("pk")
    while True:
        piece = list(rows.filter(pk__gt=after)[:500])
        first = dict(_airings(piece))
        for story in piece:
            story.aired_at = first.get(story.pk)  # type: ignore[attr-defined]
            yield story
        if len(piece) < 500:
            return
        after = piece[-1].pk


def _airings(stories: list[Story]) -> Any:
    found = Airing.objects.filter(story__in=[story.pk for story in stories]).order_by("-pk")
    return found.values_list("story", "aired_at")


def _cells(story: Any) -> list[Any]:
    post, thread = story.post, story.thread
    return [
        story.pk, story.created_at, story.state, story.origin, story.title, story.narrative,
        story.summary, story.tone, story.priority, story.sentiment, story.topics,
        story.word_count, story.duration, story.model, story.aired_at, story.version,
        story.correction, thread and thread.title, story.relation, post and post.title,
        post and post.source.locator, post and post.url,
    ]  # fmt: skip


def _lines(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()
