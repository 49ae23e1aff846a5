"""Exports the stories of a session as a CSV table, one story a row."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from broadcast.models import Airing
from broadcast.transfer.formats.base import Chunk, ExportRequest, State, cell, pieces
from broadcast.transfer.tables import STORIES
from stories import disclosure, reports
from stories.models import Story


@dataclass(frozen=True, slots=True)
class ExportedStory:
    """A story with its post, source and thread, and the time it was first on air."""

    story: Story
    aired_at: datetime | None


def _of_story(name: str) -> Callable[[ExportedStory], object]:
    return lambda row: getattr(row.story, name)


_COLUMNS: dict[str, Callable[[ExportedStory], object]] = {
    "id": _of_story("pk"),
    "created_at": _of_story("created_at"),
    "state": _of_story("state"),
    "origin": _of_story("origin"),
    "title": _of_story("title"),
    "narrative": _of_story("narrative"),
    "summary": _of_story("summary"),
    "tone": _of_story("tone"),
    "priority": _of_story("priority"),
    "sentiment": _of_story("sentiment"),
    "topics": _of_story("topics"),
    "words": _of_story("word_count"),
    "seconds": _of_story("duration"),
    "model": _of_story("model"),
    "aired_at": lambda row: row.aired_at,
    "version": _of_story("version"),
    "correction": _of_story("correction"),
    "thread": lambda row: row.story.thread and row.story.thread.title,
    "relation": _of_story("relation"),
    "post_title": lambda row: row.story.post and row.story.post.title,
    "post_source": lambda row: row.story.post and row.story.post.source.locator,
    "post_url": lambda row: row.story.post and row.story.post.url,
    "other_sources": lambda row: " ".join(
        source["url"] or source["source"] for source in reports.sources_of(row.story)[1:]
    ),
    "disclosure": lambda row: disclosure.of_story(row.story)["text"],
    "digital_source_type": lambda row: disclosure.of_story(row.story)["source_type"],
    "approved_at": _of_story("approved_at"),
}


def write(request: ExportRequest, state: State) -> Iterator[Chunk]:
    """Writes the header and the stories; the state is the id of the last story written."""
    if not state:
        # Without the byte order mark, Excel reads the file in the code page of the system.
        yield Chunk(codecs.BOM_UTF8 + _lines([_COLUMNS]), 0, {"after": 0})
    for batch in pieces(exported_stories(request, state.get("after", 0))):
        lines = _lines([value(row) for value in _COLUMNS.values()] for row in batch)
        yield Chunk(lines, len(batch), {"after": batch[-1].story.pk})


def exported_stories(request: ExportRequest, after: int) -> Iterator[ExportedStory]:
    """Yields the snapshot's stories with an id beyond ``after``, oldest first, read in batches."""
    snapshot = request.snapshot
    rows = Story.objects.filter(session=snapshot.session, pk__lte=snapshot.upto[STORIES])
    rows = rows.select_related("post__source", "thread").order_by("pk")
    rows = rows.prefetch_related("reports__post__source")
    while True:
        stories = list(rows.filter(pk__gt=after)[:500])
        # Latest first, so that of several airings of a story the dictionary has the first.
        airings = Airing.objects.filter(story__in=[story.pk for story in stories]).order_by("-pk")
        first_aired = dict(airings.values_list("story", "aired_at"))
        for story in stories:
            yield ExportedStory(story, first_aired.get(story.pk))
        if len(stories) < 500:
            return
        after = stories[-1].pk


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([cell(value) for value in row] for row in rows)
    return text.getvalue().encode()
