"""The trends of a session: counts posts and stories by source and by keyword.

``add_posts`` takes a handful of multi-row statements, however many posts there are. The caller's
transaction locks the run, so a session has one writer at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import F

from sessions_app import statements
from sessions_app.background import retention
from sessions_app.events import recorder
from sessions_app.events.statistics import SIZES, database_time, session_key, start_of
from sessions_app.models import Session, Workspace
from stories.market.ngrams import MAX_KEY, keywords_of
from stories.models import Source, SourcePost, Story, Trend, TrendBucket, TrendPost
from stories.posts import queue
from stories.text.cleaning import cut

T = TypeVar("T")
Kind = Trend.Kind
Name = tuple[str, str]  # kind and key of a trend

# A SQLite with RETURNING allows twice as many values in a statement, PostgreSQL four times.
_MOST_VALUES = 15_000
_REBUILT_AT_ONCE = 200

# Earlier and later than the time of any post.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def engagement_of(post: SourcePost) -> int:
    """Returns votes plus twice the comments; a negative result counts as 0."""
    return max(post.score + 2 * post.comments, 0)


@dataclass(slots=True)
class _Totals:
    """The figures that some posts add to one trend."""

    label: str
    first_at: datetime
    last_at: datetime
    posts: int = 0
    engagement: int = 0
    quality: float = 0.0
    published: int = 0
    ids: list[int] = field(default_factory=list)

    def add(self, post: SourcePost) -> None:
        self.posts += 1
        self.engagement += engagement_of(post)
        self.quality += post.priority
        self.published += post.state == SourcePost.State.PUBLISHED
        self.first_at = min(self.first_at, post.created_at)
        self.last_at = max(self.last_at, post.created_at)
        self.ids.append(post.pk)


def add_posts(source: Source, posts: Iterable[SourcePost]) -> None:
    """Counts posts of ``source`` that were just read; duplicates do not count.

    Runs in the caller's transaction.
    """
    totals: dict[Name, _Totals] = {}
    buckets: dict[tuple[Name, int, datetime], list[int]] = {}
    for post in posts:
        if post.duplicate_of_id is not None:
            continue
        labels = {(Kind.SOURCE, str(source.pk)): source_label(source)}
        for keyword in keywords_of(post.title, post.body):
            labels[Kind.KEYWORD, keyword.key] = keyword.label[:MAX_KEY]
        for name, label in labels.items():
            new = _Totals(label, post.created_at, post.created_at)
            totals.setdefault(name, new).add(post)
            # Every size is counted at once, so no chart has to add up smaller buckets.
            for size in SIZES:
                bucket = buckets.setdefault((name, size, start_of(post.created_at, size)), [0, 0])
                bucket[0] += 1
                bucket[1] += engagement_of(post)
    if not totals:
        return
    trend_ids = _merge_trends(source.session_id, totals)
    columns = ("session_id", "trend_id", "size", "start", "posts", "engagement")
    session_id = session_key(source.session_id)
    rows = [
        (session_id, trend_ids[name], size, database_time(start), *figures)
        for (name, size, start), figures in buckets.items()
    ]
    # In batches below the databases' limit of values in one statement.
    for batch in _batches(rows, _MOST_VALUES // len(columns)):
        statements.upsert(TrendBucket, columns, batch, ("trend_id", "size", "start"), columns[-2:])
    # Only keywords are linked to their posts; a post knows its source.
    TrendPost.objects.bulk_create(
        TrendPost(session_id=source.session_id, trend_id=trend_ids[kind, key], post_id=post_id)
        for (kind, key), trend in totals.items()
        if kind == Kind.KEYWORD
        for post_id in trend.ids
    )


def _merge_trends(session_id: UUID, totals: dict[Name, _Totals]) -> dict[Name, int]:
    """Adds the totals to the trends, creating new ones; returns their ids. The first label stays."""
    columns = {
        "session_id": [session_key(session_id)] * len(totals),
        "created_at": [database_time(trend.first_at) for trend in totals.values()],
        "kind": [kind for kind, _ in totals],
        "key": [key for _, key in totals],
        "label": [trend.label for trend in totals.values()],
        "posts": [trend.posts for trend in totals.values()],
        "engagement": [trend.engagement for trend in totals.values()],
        "quality": [trend.quality for trend in totals.values()],
        "told": [trend.published for trend in totals.values()],
        "first_at": [database_time(trend.first_at) for trend in totals.values()],
        "last_at": [database_time(trend.last_at) for trend in totals.values()],
    }
    rows = zip(*columns.values(), strict=True)
    ids: dict[Name, int] = {}
    for batch in _batches(rows, _MOST_VALUES // len(columns)):
        merged = statements.upsert(
            Trend,
            tuple(columns),
            batch,
            unique=("session_id", "kind", "key"),
            summed=("posts", "engagement", "quality", "told"),
            earliest=("first_at",),
            latest=("last_at",),
            returning=("kind", "key", "id"),
        )
        ids |= {(kind, key): trend_id for kind, key, trend_id in merged}
    return ids


def add_story(post: SourcePost) -> None:
    """Counts one more post that became a story for the source and the keywords of ``post``."""
    # In the database, because two stories of one trend may be counted at the same time.
    linked = TrendPost.objects.filter(post=post).values("trend_id")
    source = Trend.objects.filter(
        session_id=post.session_id, kind=Kind.SOURCE, key=str(post.source_id)
    )
    # A union, because PostgreSQL would read all trends for one condition with OR.
    both = linked.union(source.values("pk"), all=True)
    Trend.objects.filter(pk__in=both).update(told=F("told") + 1)


def rebuild(session: Session) -> int:
    """Counts all posts of a session again, in one transaction; returns the number of its trends.

    Trends keep their ids, and so their URLs. Other writers wait for the lock on the session's row,
    which each of their inserts refers to.
    """
    with transaction.atomic():
        # Waits for posts that are being added, and keeps others out until the commit.
        Session.objects.select_for_update().get(pk=session.pk)
        trends = Trend.objects.filter(session=session)
        TrendPost.objects.filter(session=session).delete()
        TrendBucket.objects.filter(session=session).delete()
        # Not deleted, because their ids are in bookmarks and links.
        trends.update(posts=0, engagement=0, quality=0, told=0, first_at=_NEVER, last_at=_LONG_AGO)
        for source in Source.objects.filter(session=session):
            posts = SourcePost.objects.filter(session=session, source=source).order_by("id")
            # In batches, so that the texts of a whole session are never in memory at once.
            for batch in _batches(posts.iterator(), _REBUILT_AT_ONCE):
                add_posts(source, batch)
        # Keywords that the current rules no longer find.
        trends.filter(posts=0).delete()
        return trends.count()


def source_label(source: Source) -> str:
    """Returns the name of a source on the market: without scheme, with an unusual sort order."""
    if source.kind == Source.Kind.RECORDING:
        return f"{source.locator} recording"
    bare = source.locator.partition("://")[2] or source.locator
    order = f" ({source.sort})" if source.sort not in {"", "hot"} else ""
    return cut(bare.removeprefix("www.").rstrip("/"), MAX_KEY) + order


def _batches(rows: Iterable[T], most: int) -> Iterator[list[T]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, most)):
        yield batch


def delete_fine_buckets(workspace: Workspace, now: datetime) -> int:
    """Deletes old buckets of 1 and 5 minutes in batches; those of 15 and 60 minutes stay."""
    before = now - timedelta(days=workspace.keep_fine_days)
    return retention.delete_chunk(
        TrendBucket.objects.filter(size__in=retention.FINE, start__lt=before)
    )


def register() -> None:
    retention.register(delete_fine_buckets)


MOST = 25


@dataclass(frozen=True, slots=True)
class Page:
    """Some posts; ``after`` is the key of the next, older page, None at the end."""

    posts: Sequence[Mapping[str, object]]
    after: int | None


def read_page(trend: Trend, before: int | None = None) -> Page:
    """Returns the newest posts of a trend with ids below ``before``, with their stories."""
    if trend.kind == Trend.Kind.SOURCE:
        # The posts of a source are not linked to its trend, because they know their source.
        rows = SourcePost.objects.filter(source_id=int(trend.key), duplicate_of=None)
        if before is not None:
            rows = rows.filter(pk__lt=before)
        # By the index (source, -id), a page at a time by key.
        posts = list(rows.select_related("source").order_by("-id")[: MOST + 1])
    else:
        links = TrendPost.objects.filter(trend=trend).select_related("post__source")
        if before is not None:
            links = links.filter(post_id__lt=before)
        # The ids of the posts order the links, so no join is needed to find the page.
        posts = [link.post for link in links.order_by("-post_id")[: MOST + 1]]
    shown = posts[:MOST]
    # One query for the stories of all posts of the page.
    rows_of_stories = Story.objects.filter(post__in=shown).only("id", "post_id", "title", "thread")
    stories = {story.post_id: story for story in rows_of_stories}
    payloads: list[Mapping[str, object]] = []
    for post in shown:
        story = stories.get(post.pk)
        payloads.append(
            {
                **queue.payload(post),
                "reason": post.reason,
                "engagement": max(post.score + 2 * post.comments, 0),
                "read_at": recorder.timestamp(post.created_at),
                "story": story
                and {"id": story.pk, "title": story.title, "thread": story.thread_id},
            }
        )
    return Page(payloads, shown[-1].pk if len(posts) > MOST else None)
