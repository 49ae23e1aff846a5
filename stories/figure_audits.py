"""Audits of figures: counters, figures over time and by kind, and the market equal their rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import (
    Aggregate,
    BigIntegerField,
    Count,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Cast, Coalesce, Greatest, TruncHour
from django.utils import timezone

from sessions_app import audits, preferences, sessions
from sessions_app.audits import BATCH, compare
from sessions_app.background import retention
from sessions_app.events import recorder, statistics
from sessions_app.events.statistics import HIGHEST, MAX_KEY_LENGTH
from sessions_app.models import Bucket, Message, Session, SessionStats, Tally
from stories.market import trends
from stories.market.ngrams import key_of
from stories.models import Source, SourcePost, Story, TokenUsage, Trend, TrendBucket, TrendPost
from stories.posts.scoring import priority_of, recency
from stories.text.addresses import credit
from stories.usage import accounting


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
    yield from compared(counters_of_stories())


def ledger() -> Iterator[tuple[object, str]]:
    """Tokens and money equal the sums of the closed rows."""
    yield from compared(counters_of_usage())


def compared(counters: list[Counter]) -> Iterator[tuple[object, str]]:
    """Compares counters with their rows, reading once what several of them sum up."""
    for rows, of_rows in groupby(counters, attrgetter("rows")):
        yield from compare(rows, *((each.column, each.name, each.total) for each in of_rows))


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
    columns = (
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
    )
    sums = ((column, f"{column.replace('_', ' ')} over time", Sum(column)) for column in columns)
    yield from compare(Bucket.objects.filter(size=60), *sums)


def measures() -> Iterator[tuple[object, str]]:
    """The figures that only periods have are the sums of calls and messages."""
    closed = TokenUsage.objects.exclude(state__in=TokenUsage.OPEN).order_by()
    sums = {
        "calls": Count("pk"),
        "bounded": Count("pk", filter=Q(state=TokenUsage.State.BOUNDED)),
        "failed": Count("pk", filter=~Q(error="")),
        "call_ms": Sum("duration_ms"),
        "timed": Count("duration_ms"),
        "first_token_ms": Sum("first_token_ms"),
        "first_tokens": Count("first_token_ms"),
    }
    counted: dict[str, Aggregate] = {f"n_{name}": number for name, number in sums.items()}
    rows: QuerySet[Any, Any] = closed.values("session").annotate(**counted)
    there: dict[object, dict[str, int]] = {row.pop("session"): row for row in rows}
    hours: QuerySet[Any, Any] = Bucket.objects.filter(size=60).order_by().values("session")
    for row in hours.annotate(**{f"n_{name}": Sum(name) for name in sums}):
        session_id = row.pop("session")
        own = there.pop(session_id, {})
        wrong = [name for name, number in row.items() if number != (own.get(name) or 0)]
        if wrong:
            names = ", ".join(name.removeprefix("n_") for name in wrong)
            yield session_id, f"{names} over time differ from the calls"
    for session_id in there:
        yield session_id, "calls have no figures over time"
    messages = Bucket.objects.filter(size=60)
    yield from compare(messages, ("messages", "messages over time", Sum("messages")))


def series() -> Iterator[tuple[object, str]]:
    """Figures of 15 minutes add up to those of their hour, and those of 1 minute to those of 5."""
    for session_id, hour in _unequal_hours(Bucket, "session", sorted(statistics.MEASURES)):
        yield session_id, f"the figures of {hour:%d %B %H:00} UTC differ by the length of a period"
    owners: dict[object, object] = dict(Trend.objects.values_list("pk", "session"))
    for trend_id, hour in _unequal_hours(TrendBucket, "trend", ["posts", "engagement"]):
        what = f"trend {trend_id}: its figures of {hour:%d %B %H:00} UTC differ by their period"
        yield owners.get(trend_id, ""), what


def _unequal_hours(
    model: type[Any], owner: str, measures: list[str]
) -> Iterator[tuple[object, datetime]]:
    """Yields the owners and hours whose buckets of different sizes have different sums."""
    rows = model.objects.annotate(hour=TruncHour("start", tzinfo=UTC)).order_by(owner, "hour")
    sums = {f"sum_{name}": Sum(name) for name in measures}
    rows = rows.values_list(owner, "hour", "size").annotate(**sums)
    before = timezone.now() - timedelta(days=preferences.workspace().keep_fine_days)
    for key, of_owner in groupby(rows.iterator(BATCH), itemgetter(0)):
        earlier = fine_before = False
        for hour, of_hour in groupby(of_owner, itemgetter(1)):
            by_size = {row[2]: row[3:] for row in of_hour}
            fine = bool(by_size.keys() & set(retention.FINE))
            # Retention may have deleted some of the first fine buckets that are left.
            whole = hour >= before and (fine_before or not earlier)
            if by_size.get(15) != by_size.get(60) or (whole and by_size.get(1) != by_size.get(5)):
                yield key, hour
            earlier, fine_before = True, fine_before or fine


def breakdowns() -> Iterator[tuple[object, str]]:
    """The figures of each tone, priority, source, model and operation are those of its rows."""
    there: dict[tuple[object, str, str], dict[str, int]] = {}
    for key, sums in chain(sums_of_calls(), sums_of_stories()):
        found = there.setdefault(key, dict.fromkeys(statistics.SUMS, 0))
        for name, number in sums.items():
            found[name.removeprefix("sum_")] += number or 0
    for row in Tally.objects.iterator(BATCH):
        found = there.pop((row.session_id, row.dimension, row.key), {})
        # A sum ends at the highest number instead of overflowing.
        wrong = sorted(
            name
            for name in statistics.SUMS
            if getattr(row, name) != max(-HIGHEST, min(HIGHEST, found.get(name, 0)))
        )
        if wrong:
            yield row.session_id, f"{row.dimension} {row.key} does not have its {', '.join(wrong)}"
    for (session_id, dimension, name), sums in there.items():
        if any(sums.values()):
            yield session_id, f"{dimension} {name} has no figures"


Summed = Iterator[tuple[tuple[object, str, str], dict[str, int]]]
MONEY: dict[str, Aggregate] = {
    f"sum_{name}": Sum(name) for name in accounting.SUMMED if name != "bounded"
}
MONEY["sum_bounded"] = Count("pk", filter=Q(state=TokenUsage.State.BOUNDED))


def sums_of_calls() -> Summed:
    closed = TokenUsage.objects.exclude(state__in=TokenUsage.OPEN).order_by()
    for dimension in ("model", "operation"):
        rows = closed.values("session", dimension).annotate(sum_count=Count("pk"), **MONEY)
        for row in rows.iterator(BATCH):
            yield (row.pop("session"), dimension, row.pop(dimension)[:MAX_KEY_LENGTH]), row


def sums_of_stories() -> Summed:
    """Yields the sums of stories and of the calls for them, by what tallies count them by."""
    written = {"sum_count": Count("pk"), "sum_words": Sum("word_count")}
    closed = TokenUsage.objects.exclude(state__in=TokenUsage.OPEN).exclude(story=None)
    for rows, way, sums in ((Story.objects.all(), "", written), (closed, "story__", MONEY)):
        columns = ("tone", "priority", "origin", "post__source__locator")
        names = [f"{way}{column}" for column in columns]
        for row in rows.order_by().values("session", *names).annotate(**sums).iterator(BATCH):
            session_id, (tone, priority, origin, locator) = row.pop("session"), map(row.pop, names)
            source = origin if locator is None else credit(locator)
            for dimension, key in (("tone", tone), ("priority", priority), ("source", source)):
                yield (session_id, dimension, key[:MAX_KEY_LENGTH]), row


def tallies() -> Iterator[tuple[object, str]]:
    """The figures by tone, priority, source, model and operation add up to the counters."""
    of_stories = {"story_count": ("stories", "count"), "words": ("words", "words")}
    columns = ("input_tokens", "output_tokens", "cost_lower", "cost_upper")
    of_calls = {column: (column.replace("_", " "), column) for column in columns}
    for dimension in ("tone", "priority", "source", "model", "operation"):
        counted = of_calls if dimension in {"model", "operation"} else of_stories
        yield from compare(
            Tally.objects.filter(dimension=dimension),
            *((name, f"{what} by {dimension}", Sum(of)) for name, (what, of) in counted.items()),
        )


def market() -> Iterator[tuple[object, str]]:
    """A keyword's volume is the number of posts behind it."""
    links = TrendPost.objects.filter(trend=OuterRef("pk")).order_by().values("trend")
    counted = links.annotate(number=Count("pk")).values("number")
    keywords = Trend.objects.filter(kind=Trend.Kind.KEYWORD)
    keywords = keywords.annotate(behind=Coalesce(Subquery(counted), 0))
    for trend in keywords.exclude(posts=F("behind")).iterator():
        behind = getattr(trend, "behind", 0)
        yield trend.session_id, f"trend {trend.pk} counts {trend.posts} posts, but has {behind}"

    yield from spans_of_trends()


def spans_of_trends() -> Iterator[tuple[object, str]]:
    """Compares trends with their posts: the first, the last, and how many became stories."""
    links = TrendPost.objects.filter(trend=OuterRef("pk")).order_by().values("trend")
    buckets = TrendBucket.objects.filter(trend=OuterRef("pk"), size=60).order_by().values("trend")
    rows = Trend.objects.annotate(
        bucket_posts=Coalesce(Subquery(buckets.annotate(n=Sum("posts")).values("n")), 0),
        bucket_engagement=Coalesce(
            Subquery(buckets.annotate(n=Sum("engagement")).values("n")), Value(0, BigIntegerField())
        ),
        first=Subquery(links.annotate(n=Min("post__created_at")).values("n")),
        last=Subquery(links.annotate(n=Max("post__created_at")).values("n")),
        stories=Subquery(links.annotate(n=Count("post__story")).values("n")),
        published=Subquery(
            links.annotate(n=Count("pk", filter=Q(post__state=SourcePost.State.PUBLISHED))).values(
                "n"
            )
        ),
    )
    for trend in rows.iterator(BATCH):
        summed = (trend.posts, trend.engagement)
        if summed != (trend.bucket_posts, trend.bucket_engagement):
            yield trend.session_id, f"trend {trend.pk} is not the sum of its hours"
        if trend.kind != Trend.Kind.KEYWORD:
            if not is_of_its_source(trend):
                yield trend.session_id, f"trend {trend.pk} is not that of its source"
            continue
        if key_of(trend.label) != trend.key or not 0 <= trend.quality <= trend.posts + 1e-6:
            yield trend.session_id, f"trend {trend.pk} has another name, or a quality beyond 1"
        if (trend.first_at, trend.last_at) != (trend.first, trend.last):
            yield trend.session_id, f"trend {trend.pk} begins or ends with other posts"
        # A report of another post's story may count or not: it was published, or became so later.
        if not (trend.stories or 0) <= trend.told <= max(trend.published or 0, trend.stories or 0):
            yield trend.session_id, f"trend {trend.pk} has another number of stories"


def is_of_its_source(trend: Trend) -> bool:
    """Whether the trend of a source counts its posts; one that was a duplicate may count or not."""
    source = Source.objects.filter(session=trend.session_id, pk=int(trend.key or 0))
    posts = SourcePost.objects.filter(source__in=source, duplicate_of=None)
    big = BigIntegerField()
    votes = Cast("score", big) + Value(2, big) * Cast("comments", big)
    engagement = Sum(Greatest(ExpressionWrapper(votes, big), Value(0, big)), default=Value(0, big))
    sums = {"engagement": engagement, "first": Min("created_at"), "last": Max("created_at")}
    most = posts.aggregate(posts=Count("pk"), **sums)
    least = posts.filter(chosen=False).aggregate(posts=Count("pk"), **sums)
    # Posts that an earlier version read are counted by the command rebuild_market.
    counted = least["posts"] <= trend.posts
    votes_counted = least["engagement"] <= trend.engagement <= most["engagement"]
    if not source.exists() or trend.posts > most["posts"]:
        return False
    first, last = least["first"] or trend.first_at, least["last"] or trend.last_at
    spans = not trend.posts or (
        most["first"] <= trend.first_at <= first and last <= trend.last_at <= most["last"]
    )
    return (votes_counted and spans) or not counted


def scores() -> Iterator[tuple[object, str]]:
    """The score of a post is that of its parts, and one of them that of its age when it was read."""
    own = Q(session__made_from=None, session__imported_id="") & ~Q(session__type="imported")
    for post in SourcePost.objects.filter(own).exclude(parts={}).defer("body").iterator(BATCH):
        at = post.published_at
        age = (post.created_at - at) / timedelta(hours=1) if at else None
        # Within a tenth, as a feed may take a while to be read; none is read before it is published.
        known = recency(None if age is None else max(age, 0.0))
        far = abs(known - post.parts.get("recency", 0.0)) > 0.1 or (age is not None and age < -1)
        if far or post.priority != priority_of(post.parts):
            yield post.session_id, f"post {post.pk} has the score of another age, or of other parts"


def register() -> None:
    audits.register("series", series, Bucket, TrendBucket)
    audits.register("measures", measures)
    audits.register("breakdowns", breakdowns, Tally, TokenUsage, Story)
    audits.register("story-counters", story_counters)
    audits.register("ledger", ledger)
    audits.register("buckets", buckets)
    audits.register("tallies", tallies)
    audits.register("market", market, Trend)
    audits.register("scores", scores, SourcePost)
    for name in ("counters", "story-counters", "ledger", "figures"):
        audits.register_repair(name, "count the rows of the session again", count_again)
    audits.register_repair(
        "market",
        "count the trends of the session again",
        lambda session_id: trends.rebuild(Session.objects.get(pk=session_id)),
    )
