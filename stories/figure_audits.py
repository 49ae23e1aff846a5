"""Audits of figures: counters, figures over time and by kind, and the market equal their rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import (
    Aggregate,
    Count,
    F,
    Func,
    IntegerField,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Coalesce

from sessions_app import audits, sessions
from sessions_app.audits import compare
from sessions_app.events import recorder, statistics
from sessions_app.models import Bucket, Message, Session, SessionStats, Tally
from stories.market import trends
from stories.models import SourcePost, Story, TokenUsage, Trend, TrendPost


class ArrayLength(Func):
    """The number of items of a JSON array."""

    output_field = IntegerField()
    function = "json_array_length" if connection.vendor == "sqlite" else "jsonb_array_length"


class Counter(NamedTuple):
    """A counter of sessions: its column, its name for people, and the rows that it sums up."""

    column: str
    name: str
    rows: QuerySet[Any]
    total: Aggregate


def counters_of_stories() -> list[Counter]:
    """Returns the counters of stories and posts."""
    stories, posts = Story.objects.all(), SourcePost.objects.all()
    waiting = posts.filter(state__in=SourcePost.WAITING)
    dropped = Sum(ArrayLength("dropped"))
    aired = Sum("ungrounded_aired")
    return [
        Counter("story_count", "stories", stories, Count("pk")),
        Counter("words", "words", stories, Sum("word_count")),
        Counter("narration_seconds", "seconds of narration", stories, Sum("duration")),
        Counter("sentences_dropped", "sentences dropped", stories, dropped),
        Counter("ungrounded_aired", "ungrounded sentences aired", stories, aired),
        Counter("feed", "posts", posts, Count("pk")),
        Counter("queue", "waiting posts", waiting, Count("pk")),
    ]


def counters_of_usage() -> list[Counter]:
    """Returns the counters of tokens and money."""
    closed = TokenUsage.objects.exclude(state__in=TokenUsage.OPEN)
    names = (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cost_lower",
        "cost_upper",
        "cache_saved",
    )
    written = Sum(F("cache_write_5m_tokens") + F("cache_write_1h_tokens"))
    unpriced = closed.filter(unpriced=True)
    return [
        *(Counter(name, name.replace("_", " "), closed, Sum(name)) for name in names),
        Counter("cache_write_tokens", "cache write tokens", closed, written),
        Counter("unpriced", "calls without a price", unpriced, Count("pk")),
    ]


def all_counters() -> list[Counter]:
    return counters_of_stories() + counters_of_usage()


def story_counters() -> Iterator[tuple[object, str]]:
    """Stories, words, seconds, dropped sentences, posts and queue equal the rows."""
    for counter in counters_of_stories():
        yield from compare(*counter)


def ledger() -> Iterator[tuple[object, str]]:
    """Tokens and money equal the sums of the closed rows."""
    for counter in counters_of_usage():
        yield from compare(*counter)


def count_again(session_id: str) -> None:
    """Sets the counters of a session to the sums of its rows, and records an event with them."""
    session = Session.objects.get(pk=session_id)
    with transaction.atomic():
        # The row of counters first, so that no other event changes them meanwhile.
        SessionStats.objects.select_for_update(no_key=True).get(pk=session.pk)
        sums = {
            counter.column: counter.rows.filter(session=session).aggregate(n=counter.total)["n"]
            for counter in all_counters()
        }
        sums["messages"] = Message.objects.filter(session=session).count()
        statistics.set_counters(session, {name: number or 0 for name, number in sums.items()})
        recorder.record(session, recorder.SESSION_CHANGED, {"session": sessions.payload(session)})


def buckets() -> Iterator[tuple[object, str]]:
    """The figures over time add up to the counters; the 60-minute buckets are never deleted."""
    hours = Bucket.objects.filter(size=60)
    for column in (
        "story_count",
        "words",
        "feed",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cost_lower",
        "cost_upper",
        "cache_saved",
    ):
        name = f"{column.replace('_', ' ')} over time"
        yield from compare(column, name, hours, Sum(column))


def tallies() -> Iterator[tuple[object, str]]:
    """The figures by tone, priority, source, model and operation add up to the counters."""
    for dimension in ("tone", "priority", "source"):
        rows = Tally.objects.filter(dimension=dimension)
        yield from compare("story_count", f"stories by {dimension}", rows, Sum("count"))
        yield from compare("words", f"words by {dimension}", rows, Sum("words"))
    for dimension in ("model", "operation"):
        rows = Tally.objects.filter(dimension=dimension)
        for column in ("input_tokens", "output_tokens", "cost_lower", "cost_upper"):
            name = f"{column.replace('_', ' ')} by {dimension}"
            yield from compare(column, name, rows, Sum(column))


def market() -> Iterator[tuple[object, str]]:
    """A keyword's volume is the number of posts behind it."""
    links = TrendPost.objects.filter(trend=OuterRef("pk")).order_by().values("trend")
    counted = links.annotate(number=Count("pk")).values("number")
    keywords = Trend.objects.filter(kind=Trend.Kind.KEYWORD)
    keywords = keywords.annotate(behind=Coalesce(Subquery(counted), 0))
    for trend in keywords.exclude(posts=F("behind")).iterator():
        behind = getattr(trend, "behind", 0)
        yield trend.session_id, f"trend {trend.pk} counts {trend.posts} posts, but has {behind}"


def register() -> None:
    audits.register("story-counters", story_counters)
    audits.register("ledger", ledger)
    audits.register("buckets", buckets)
    audits.register("tallies", tallies)
    audits.register("market", market)
    for name in ("counters", "story-counters", "ledger", "figures"):
        audits.register_repair(name, "count the rows of the session again", count_again)
    audits.register_repair(
        "market",
        "count the trends of the session again",
        lambda session_id: trends.rebuild(Session.objects.get(pk=session_id)),
    )
