"""Search over the stories and posts of one session: words, filters, pages by key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal, TypeVar

from django.db import connection
from django.db.models import BooleanField, Model, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThanOrEqual, LessThan
from django.utils import timezone

from sessions_app.errors import Invalid
from sessions_app.models import Session
from stories import stories as stories_module
from stories.models import QuarantinedRecord, SourcePost, Story
from stories.posts import queue
from stories.search.index import POSTS, STORIES, Index

M = TypeVar("M", bound=Model)
What = Literal["stories", "posts"]

PAGE = 30
MOST_TERMS = 12
LEAST_BEGINNING = 3
_SNIPPET = 220
SLACK = timedelta(hours=1)  # by which ids and moments may disagree: no transaction is as long
_TERM = re.compile(r'"([^"]{1,200})"|([^\s"]{1,80})')
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; empty fields do not filter. ``terms`` are words, or words in a row."""

    what: What = "stories"
    terms: tuple[tuple[str, ...], ...] = ()
    filters: dict[str, str] = field(default_factory=dict)
    since: date | None = None
    until: date | None = None


def terms_of(text: str) -> tuple[tuple[str, ...], ...]:
    """Split what a person typed: each word, and each quoted run of words, must be found."""
    found = []
    for match in _TERM.finditer(text[:500]):
        words = tuple(word.lower() for word in _WORD.findall(match[1] or match[2]))
        if words:
            found.append(words)
    return tuple(found[:MOST_TERMS])


FILTERS: dict[What, dict[str, str]] = {
    "stories": {
        "state": "state", "tone": "tone", "priority": "priority", "source": "post__source_id",
    },
    "posts": {"state": "state", "priority": "label", "source": "source_id"},
}  # fmt: skip


def stories(session: Session, query: Query) -> QuerySet[Story]:
    """The stories that fit, newest first."""
    return _found(stories_module.of_session(session), STORIES, session, query)


def found_posts(session: Session, query: Query) -> QuerySet[SourcePost]:
    """The posts that fit, newest first."""
    rows = SourcePost.objects.filter(session=session).select_related("source").order_by("-id")
    return _found(rows, POSTS, session, query)


def _found(rows: QuerySet[M], index: Index, session: Session, query: Query) -> QuerySet[M]:
    for name, column in FILTERS[query.what].items():
        if value := query.filters.get(name):
            if column.endswith("_id") and not value.isdigit():
                raise Invalid(f"{name}: a number.")
            rows = rows.filter(**{column: value})
    if query.filters.get("bookmarked") and query.what == "stories":
        rows = rows.filter(bookmarked_at__isnull=False)
    if query.since or query.until:
        rows = _between(rows, session, query)
    return _matching(rows, index, session, query.terms) if query.terms else rows


def _between(rows: QuerySet[M], session: Session, query: Query) -> QuerySet[M]:
    """The rows of the days asked for.

    Ids grow with time, so the days are a stretch of ids, read in their order; by the index over
    moments alone, all that fits would be sorted first. Where old rows joined later, they are not.
    """
    if not _in_order(session):
        return _between_moments(rows, query)
    keys = rows.model._default_manager.filter(session=session).values_list("pk", flat=True)
    moment = Coalesce("created_at", "created_at")  # hides the column's index
    if query.since:
        begin = _midnight(query.since)
        before = keys.filter(created_at__lt=begin - SLACK).order_by("-created_at", "-id").first()
        rows = rows.filter(GreaterThanOrEqual(moment, begin), pk__gt=before or 0)
    if query.until and query.until < date.max:
        end = _midnight(query.until + timedelta(days=1))
        after = keys.filter(created_at__gte=end + SLACK).order_by("created_at", "id").first()
        rows = rows.filter(LessThan(moment, end))
        rows = rows.filter(pk__lt=after) if after else rows
    return rows


def _in_order(session: Session) -> bool:
    """Whether ids and moments agree: rows of an import may have come in several goes."""
    adopted = QuarantinedRecord.objects.filter(adopted_by=session)
    return session.type != Session.Type.IMPORTED and not adopted.exists()


def _between_moments(rows: QuerySet[M], query: Query) -> QuerySet[M]:
    if query.since:
        rows = rows.filter(created_at__gte=_midnight(query.since))
    if query.until and query.until < date.max:
        rows = rows.filter(created_at__lt=_midnight(query.until + timedelta(days=1)))
    return rows


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())


def _matching(
    rows: QuerySet[M], index: Index, session: Session, terms: Sequence[tuple[str, ...]]
) -> QuerySet[M]:
    if connection.vendor == "sqlite":
        # The session stands in the index itself: only its entries are walked, however many rows
        # of other sessions have the word.
        match = (
            f'session_id : "{session.pk.hex}" AND {{{" ".join(index.columns)}}} : ({_fts5(terms)})'
        )
        sql = f'SELECT rowid FROM "{index.name}" WHERE "{index.name}" MATCH %s'
        return rows.filter(pk__in=RawSQL(sql, [match]))
    sql = f"{index.document} @@ to_tsquery('simple', %s)"
    return rows.filter(RawSQL(sql, [_tsquery(terms)], BooleanField()))


def _goes_on(terms: Sequence[tuple[str, ...]]) -> bool:
    """Whether the last word is taken for the beginning of one: it may still be being typed.

    The others are whole words, because the index walks those without gathering all they stand for.
    """
    return len(terms[-1][-1]) >= LEAST_BEGINNING


def _fts5(terms: Sequence[tuple[str, ...]]) -> str:
    """Words are quoted, so none is an operator."""
    said = " AND ".join('"' + " ".join(words) + '"' for words in terms)
    return said + "*" if _goes_on(terms) else said


def _tsquery(terms: Sequence[tuple[str, ...]]) -> str:
    rows = [[f"'{word}'" for word in words] for words in terms]
    if _goes_on(terms):
        rows[-1][-1] += ":*"
    return " & ".join("(" + " <-> ".join(words) + ")" for words in rows)


@dataclass(frozen=True, slots=True)
class Page:
    """``items`` are result rows; ``next`` is the key of the page after, None at the end."""

    items: list[dict[str, Any]]
    next: int | None


def page(session: Session, query: Query, before: int | None = None) -> Page:
    """One page of results, newest first, by key."""
    if query.what == "stories":
        return _page(stories(session, query), before, lambda row: _story(row, query.terms))
    return _page(found_posts(session, query), before, lambda row: _post(row, query.terms))


def _page(rows: QuerySet[M], before: int | None, shown: Callable[[M], dict[str, Any]]) -> Page:
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE + 1])
    following = found[PAGE - 1].pk if len(found) > PAGE else None
    return Page([shown(row) for row in found[:PAGE]], following)


def _story(story: Story, terms: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    return stories_module.payload(story) | {
        "title_parts": marked(story.title, terms),
        "parts_found": marked(snippet(story.narrative, terms), terms),
    }


def _post(post: SourcePost, terms: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    return queue.payload(post) | {
        "author": post.author,
        "reason": post.reason,
        "title_parts": marked(post.title, terms),
        "parts_found": marked(snippet(post.body, terms), terms),
    }


def _pattern(terms: Sequence[tuple[str, ...]]) -> re.Pattern[str] | None:
    if not terms:
        return None
    runs = (r"\W+".join(map(re.escape, words)) for words in terms)
    return re.compile(rf"\b(?:{'|'.join(runs)})\w*", re.IGNORECASE)


def snippet(text: str, terms: Sequence[tuple[str, ...]]) -> str:
    """The part of ``text`` around the first hit, cut at words."""
    pattern = _pattern(terms)
    hit = pattern.search(text) if pattern else None
    start = max(0, hit.start() - _SNIPPET // 3) if hit else 0
    if start:
        start = text.find(" ", start) + 1
    cut = text[start : start + _SNIPPET]
    if start + _SNIPPET < len(text):
        cut = cut.rsplit(" ", 1)[0] + " …"
    return ("… " if start else "") + cut


def marked(text: str, terms: Sequence[tuple[str, ...]]) -> list[tuple[str, bool]]:
    """``text`` in pieces, each with whether it is a hit."""
    pattern = _pattern(terms)
    if pattern is None:
        return [(text, False)]
    pieces, at = [], 0
    for hit in pattern.finditer(text):
        pieces += [(text[at : hit.start()], False), (hit[0], True)]
        at = hit.end()
    return [piece for piece in [*pieces, (text[at:], False)] if piece[0]]
