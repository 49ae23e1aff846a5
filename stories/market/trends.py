"""What a poll adds to the market: the volume of its source and of the keywords of its posts.

A handful of multi-row statements, however many posts. The caller's transaction holds the run, so
one writer of a session is here at a time.

How long the fine-grained figures of the market are kept; those of 15 and 60 minutes stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from sessions_app.background import retention
from sessions_app.events import statistics
from sessions_app.events.statistics import SIZES, moment, session_key, start_of
from sessions_app.models import Session, Workspace
from stories.market.ngrams import MAX_KEY, keywords_of
from stories.models import Source, SourcePost, Trend, TrendBucket, TrendPost
from stories.text import cut

Kind = Trend.Kind

Name = tuple[str, str]  # kind and key of a trend


# A SQLite that knows RETURNING takes twice as many, PostgreSQL four times.
_MOST_VALUES = 15_000

_REBUILT_AT_ONCE = 200

# Any real moment lies between them.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def engagement_of(post: SourcePost) -> int:
    """Votes and twice the comments; votes against count nothing."""
    return max(post.score + 2 * post.comments, 0)


@dataclass(slots=True)
class _Sum:
    """What some posts add to one trend."""

    label: str
    first_at: datetime
    last_at: datetime
    posts: int = 0
    engagement: int = 0
    quality: float = 0.0
    told: int = 0
    ids: list[int] = field(default_factory=list)

    def add(self, post: SourcePost) -> None:
        self.posts += 1
        self.engagement += engagement_of(post)
        self.quality += post.priority
        self.told += post.state == SourcePost.State.PUBLISHED
        self.first_at = min(self.first_at, post.created_at)
        self.last_at = max(self.last_at, post.created_at)
        self.ids.append(post.pk)


def add_posts(source: Source, posts: Iterable[SourcePost]) -> None:
    """Count posts of ``source`` that were just read, at the moment of their reading.

    Duplicates count for nothing. Runs in the caller's transaction.
    """
    sums: dict[Name, _Sum] = {}
    buckets: dict[tuple[Name, int, datetime], list[int]] = {}
    for post in posts:
        if post.duplicate_of_id is not None:
            continue
        for name, label in _named(source, post):
            one = sums.setdefault(name, _Sum(label, post.created_at, post.created_at))
            one.add(post)
            for size in SIZES:
                bucket = buckets.setdefault((name, size, start_of(post.created_at, size)), [0, 0])
                bucket[0] += 1
                bucket[1] += engagement_of(post)
    if sums:
        ids = _merge_trends(source.session_id, sums)
        _merge_buckets(source.session_id, ids, buckets)
        _link_posts(source.session_id, ids, sums)


def add_story(post: SourcePost) -> None:
    """The post became a story: its source and its keywords count one more as told."""
    named = TrendPost.objects.filter(post=post).values("trend_id")
    Trend.objects.filter(pk__in=named).update(told=F("told") + 1)
    from_source = Trend.objects.filter(session_id=post.session_id, kind=Kind.SOURCE)
    from_source.filter(key=str(post.source_id)).update(told=F("told") + 1)


def rebuild(session: Session) -> int:
    """Count a session's posts anew, in one transaction; returns the number of its trends.

    Trends keep their ids, and so their addresses. Readers of the session wait at its row, which
    every insert of theirs refers to.
    """
    with transaction.atomic():
        Session.objects.select_for_update().get(pk=session.pk)
        trends = Trend.objects.filter(session=session)
        TrendPost.objects.filter(session=session).delete()
        TrendBucket.objects.filter(session=session).delete()
        trends.update(posts=0, engagement=0, quality=0, told=0, first_at=_NEVER, last_at=_LONG_AGO)
        for source in Source.objects.filter(session=session):
            rows = SourcePost.objects.filter(session=session, source=source).order_by("id")
            for some in _batches(rows.iterator(), _REBUILT_AT_ONCE):
                add_posts(source, some)
        trends.filter(posts=0).delete()
        return trends.count()


def source_label(source: Source) -> str:
    """How a source is called on the market: without scheme, with an unusual order."""
    if source.kind == Source.Kind.RECORDING:
        return f"{source.locator} recording"
    bare = source.locator.partition("://")[2] or source.locator
    order = f" ({source.sort})" if source.sort not in {"", "hot"} else ""
    return cut(bare.removeprefix("www.").rstrip("/"), MAX_KEY) + order


def _named(source: Source, post: SourcePost) -> Iterator[tuple[Name, str]]:
    yield (Kind.SOURCE, str(source.pk)), source_label(source)
    for keyword in keywords_of(post.title, post.body):
        yield (Kind.KEYWORD, keyword.key), keyword.label[:MAX_KEY]


def _merge_trends(session_id: UUID, sums: dict[Name, _Sum]) -> dict[Name, int]:
    """Insert or sum up; the first label stays. Returns the ids."""
    columns = (
        "session_id", "created_at", "kind", "key", "label", "posts", "engagement", "quality",
        "told", "first_at", "last_at",
    )  # fmt: skip
    key = session_key(session_id)
    rows = [
        (key, moment(one.first_at), *name, one.label, one.posts, one.engagement, one.quality,
         one.told, moment(one.first_at), moment(one.last_at))
        for name, one in sums.items()
    ]  # fmt: skip
    merged: dict[Name, int] = {}
    for some in _batches(rows, _MOST_VALUES // len(columns)):
        found = statistics.upsert(
            Trend, columns, some, ("session_id", "kind", "key"),
            ("posts", "engagement", "quality", "told"), ("first_at",), ("last_at",),
            ("kind", "key", "id"),
        )  # fmt: skip
        merged |= {(kind, key): id_ for kind, key, id_ in found}
    return merged


def _merge_buckets(
    session_id: UUID,
    ids: dict[Name, int],
    buckets: dict[tuple[Name, int, datetime], list[int]],
) -> None:
    columns = ("session_id", "trend_id", "size", "start", "posts", "engagement")
    key = session_key(session_id)
    rows = [
        (key, ids[name], size, moment(start), *amounts)
        for (name, size, start), amounts in buckets.items()
    ]
    for some in _batches(rows, _MOST_VALUES // len(columns)):
        statistics.upsert(TrendBucket, columns, some, ("trend_id", "size", "start"), columns[-2:])


def _link_posts(session_id: UUID, ids: dict[Name, int], sums: dict[Name, _Sum]) -> None:
    """A keyword knows its posts; those of a source say so themselves."""
    TrendPost.objects.bulk_create(
        TrendPost(session_id=session_id, trend_id=ids[name], post_id=post)
        for name, one in sums.items()
        if name[0] == Kind.KEYWORD
        for post in one.ids
    )


def _batches(rows: Iterable[Any], most: int) -> Iterator[Sequence[Any]]:
    left = iter(rows)
    while some := list(islice(left, most)):
        yield some


def delete_fine_buckets(shared: Workspace, now: datetime) -> int:
    before = now - timedelta(days=shared.keep_fine_days)
    return retention.delete_chunk(
        TrendBucket.objects.filter(size__in=retention.FINE, start__lt=before)
    )


def register() -> None:
    retention.register(delete_fine_buckets)
