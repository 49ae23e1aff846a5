"""Search in the stories and posts of one session: words, filters, days, and pages by key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal, TypeVar

from django.db import connection
from django.db.models import BooleanField, Model, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThanOrEqual, LessThan
from django.utils import timezone
from pydantic import Field

from sessions_app.errors import Invalid
from sessions_app.models import Session
from stories import stories as stories_module
from stories.models import QuarantinedRecord, SourcePost, Story
from stories.posts import queue, selection
from stories.posts.queue import PostPayload
from stories.posts.selection import Original
from stories.search.index import POSTS, STORIES, Index
from stories.stories import StoryPayload

M = TypeVar("M", bound=Model)
What = Literal["stories", "posts"]
Terms = Sequence[tuple[str, ...]]

PAGE = 30
# More terms would make the query slower and find next to nothing.
MOST_TERMS = 12
SHORTEST_BEGINNING = 3
SNIPPET = 220  # characters
SLACK = timedelta(
    hours=1
)  # by which the order of ids and times may differ: no transaction is longer
_TERM = re.compile(r'"([^"]{1,200})"|([^\s"]{1,80})')
_WORD = re.compile(r"\w+")

FILTERS: dict[What, dict[str, str]] = {
    "stories": {
        "state": "state",
        "tone": "tone",
        "priority": "priority",
        "source": "post__source_id",
    },
    "posts": {"state": "state", "priority": "label", "source": "source_id"},
}


Pieces = Annotated[
    list[tuple[str, bool]], Field(description="The text in pieces, each with whether it matches.")
]


class FoundStory(StoryPayload):
    """A story as a result: headline and snippet in pieces, each with whether it matches."""

    title_parts: Pieces
    parts_found: Pieces


class FoundPost(PostPayload):
    """A post as a result: headline and snippet in pieces, each with whether it matches."""

    author: Annotated[str, Field(description="Author of the post; may be empty.")]
    reason: Annotated[str, Field(description="Why it was skipped, held or failed; may be empty.")]
    original: Annotated[
        Original | None,
        Field(description="What it was skipped for, as a duplicate or as overtaken; else null."),
    ]
    restorable: Annotated[bool, Field(description="Whether it can be returned to the queue.")]
    title_parts: Pieces
    parts_found: Pieces


@dataclass(frozen=True, slots=True)
class Query:
    """A search; empty fields do not filter. Each of ``terms`` is a word, or words in a row."""

    what: What = "stories"
    terms: tuple[tuple[str, ...], ...] = ()
    filters: dict[str, str] = field(default_factory=dict)
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of results; ``next`` is the key of the page after it, or None at the end."""

    items: list[FoundStory] | list[FoundPost]
    next: int | None


def terms_of(text: str) -> tuple[tuple[str, ...], ...]:
    """Splits a typed search into its words and quoted phrases, all of which must match."""
    terms = []
    for match in _TERM.finditer(text[:500]):
        # Only word characters remain, so no operator of either search language gets through.
        words = tuple(word.lower() for word in _WORD.findall(match[1] or match[2]))
        if words:
            terms.append(words)
    return tuple(terms[:MOST_TERMS])


def stories(session: Session, query: Query) -> QuerySet[Story]:
    """Returns the matching stories, newest first."""
    return _matching(stories_module.of_session(session), STORIES, session, query)


def posts(session: Session, query: Query) -> QuerySet[SourcePost]:
    """Returns the matching posts, newest first."""
    rows = SourcePost.objects.filter(session=session).select_related("source").order_by("-id")
    return _matching(rows, POSTS, session, query)


def _matching(rows: QuerySet[M], index: Index, session: Session, query: Query) -> QuerySet[M]:
    for name, column in FILTERS[query.what].items():
        if value := query.filters.get(name):
            if column.endswith("_id") and not value.isdigit():
                raise Invalid(f"{name} must be a number.")
            rows = rows.filter(**{column: value})
    if query.filters.get("bookmarked") and query.what == "stories":
        rows = rows.filter(bookmarked_at__isnull=False)
    if query.since or query.until:
        rows = _between(rows, session, query)
    return _with_terms(rows, index, session, query.terms) if query.terms else rows


def _between(rows: QuerySet[M], session: Session, query: Query) -> QuerySet[M]:
    """Returns the rows of the days of the query."""
    begin = _midnight(query.since) if query.since else None
    end = None
    if query.until and query.until < date.max:
        end = _midnight(query.until + timedelta(days=1))
    # Rows of an import, and records adopted later, have ids that do not follow their times.
    adopted = QuarantinedRecord.objects.filter(adopted_by=session)
    if session.type == Session.Type.IMPORTED or adopted.exists():
        rows = rows.filter(created_at__gte=begin) if begin else rows
        return rows.filter(created_at__lt=end) if end else rows
    # Elsewhere ids grow with time, so the days are a range of ids, which the database reads in the
    # order of the result. With the index over times it would have to sort all matches first.
    keys = rows.model._default_manager.filter(session=session).values_list("pk", flat=True)
    created_at = Coalesce("created_at", "created_at")  # hides the column from its index
    if begin:
        before = keys.filter(created_at__lt=begin - SLACK).order_by("-created_at", "-id").first()
        rows = rows.filter(GreaterThanOrEqual(created_at, begin), pk__gt=before or 0)
    if end:
        after = keys.filter(created_at__gte=end + SLACK).order_by("created_at", "id").first()
        rows = rows.filter(LessThan(created_at, end))
        rows = rows.filter(pk__lt=after) if after else rows
    return rows


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())


def _with_terms(rows: QuerySet[M], index: Index, session: Session, terms: Terms) -> QuerySet[M]:
    # The last word may still be being typed, so it also matches as the beginning of a word. Short
    # beginnings match too many entries of the index, and the other words are matched whole.
    prefix = len(terms[-1][-1]) >= SHORTEST_BEGINNING
    if connection.vendor == "sqlite":
        # All words are quoted, so that none is an operator. The session is a column of the index:
        # only its entries are read, however many rows of other sessions have the word.
        phrases = " AND ".join('"' + " ".join(words) + '"' for words in terms)
        phrases += "*" if prefix else ""
        columns = " ".join(index.columns)
        match = f'session_id : "{session.pk.hex}" AND {{{columns}}} : ({phrases})'
        sql = f'SELECT rowid FROM "{index.name}" WHERE "{index.name}" MATCH %s'
        return rows.filter(pk__in=RawSQL(sql, [match]))
    quoted = [[f"'{word}'" for word in words] for words in terms]
    quoted[-1][-1] += ":*" if prefix else ""
    tsquery = " & ".join("(" + " <-> ".join(words) + ")" for words in quoted)
    sql = f"{index.document} @@ to_tsquery('simple', %s)"
    return rows.filter(RawSQL(sql, [tsquery], BooleanField()))


def page(session: Session, query: Query, before: int | None = None, most: int = PAGE) -> Page:
    """Returns one page of results, newest first; ``before`` is the key of the page before."""
    if query.what == "stories":
        found, following = _cut(stories(session, query), before, most)
        items: list[FoundStory] = [
            {
                **stories_module.payload(story),
                "title_parts": marked(story.title, query.terms),
                "parts_found": marked(snippet(story.narrative, query.terms), query.terms),
            }
            for story in found
        ]
        return Page(items, following)
    rows, following = _cut(selection.with_originals(posts(session, query)), before, most)
    post_items: list[FoundPost] = [
        {
            **queue.payload(post),
            "author": post.author,
            "reason": post.reason,
            "original": (original := selection.original(post)),
            "restorable": original is not None or selection.is_empty(post),
            "title_parts": marked(post.title, query.terms),
            "parts_found": marked(snippet(post.body, query.terms), query.terms),
        }
        for post in rows
    ]
    return Page(post_items, following)


def _cut(rows: QuerySet[M], before: int | None, most: int) -> tuple[list[M], int | None]:
    """Returns the rows of one page, and the key of the next page or None."""
    # By key: an offset would read and discard all earlier rows.
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: most + 1])
    return found[:most], found[most - 1].pk if len(found) > most else None


def _pattern(terms: Terms) -> re.Pattern[str] | None:
    """Returns the pattern of a match in a text: the words of a term, the last one as a beginning."""
    if not terms:
        return None
    runs = (r"\W+".join(map(re.escape, words)) for words in terms)
    return re.compile(rf"\b(?:{'|'.join(runs)})\w*", re.IGNORECASE)


def snippet(text: str, terms: Terms) -> str:
    """Returns the part of ``text`` around the first match, cut at words."""
    pattern = _pattern(terms)
    match = pattern.search(text) if pattern else None
    start = max(0, match.start() - SNIPPET // 3) if match else 0
    if start:
        start = text.find(" ", start) + 1
    cut = text[start : start + SNIPPET]
    if start + SNIPPET < len(text):
        cut = cut.rsplit(" ", 1)[0] + " …"
    return ("… " if start else "") + cut


def marked(text: str, terms: Terms) -> list[tuple[str, bool]]:
    """Returns ``text`` in pieces, each with whether it matches."""
    pattern = _pattern(terms)
    if pattern is None:
        return [(text, False)]
    pieces, at = [], 0
    for match in pattern.finditer(text):
        pieces += [(text[at : match.start()], False), (match[0], True)]
        at = match.end()
    return [piece for piece in [*pieces, (text[at:], False)] if piece[0]]
