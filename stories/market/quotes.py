"""The market of a session at a moment: its largest trends, each with its score and buckets.

It takes four queries, however large the session is: the time span of the posts, the trends by
volume, and the newest buckets of these trends and of all sources.

A score is 100 times the sum of weighted parts (WEIGHTS); every part is 0..1. Momentum and phase
follow from the latest twelve buckets: four windows of three. The newest window is "recent"; the mean
of the windows before it, back to the first post of the session, is the baseline.

- momentum = log2((recent + 1) / (expected + 1)) / 3, limited to -1..1: 0 is as expected, 1 is eight
  times as much. For a source, the baseline is expected. For a keyword, the baseline is scaled by the
  change in all posts of the session, so that a burst of posts does not lift every keyword and a pause
  does not sink it. Without a whole window of history it is 0.
- phase: rising when momentum is at least 0.1; falling when it is at most -0.1; peak when it is
  neither, but was rising one window ago; steady otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.db.models import Max, Min, Sum

from sessions_app.errors import NotFound
from sessions_app.events.statistics import start_of
from sessions_app.models import Session
from stories.models import Trend, TrendBucket

MOST = 60
CHART_BUCKETS = 48
USUAL, SHORT = 5, 1  # minutes of a bucket
LEAST_POSTS = 2  # a keyword is listed from its second post on

BUCKETS = 12
WINDOW = 3
WINDOWS = BUCKETS // WINDOW
FULL_MOMENTUM = 3.0
STEADY = 0.1
FAST = 0.4
FULL_ENGAGEMENT = 1000.0  # votes and twice the comments of one post
HALF_LIFE_BUCKETS = 6

Kind = Trend.Kind
Phase = Literal["rising", "peak", "steady", "falling"]
WEIGHTS: Mapping[str, float] = {
    "volume": 0.30,
    "momentum": 0.25,
    "engagement": 0.15,
    "priority": 0.10,
    "freshness": 0.10,
    "told": 0.10,
}
MEANINGS: Mapping[str, str] = {
    "volume": "posts, against the trend with the most",
    "momentum": "the latest three intervals against the expected number",
    "engagement": "votes and twice the comments per post, full at 1,000",
    "priority": "mean priority of its posts",
    "freshness": "halves with every six intervals without a post",
    "told": "share of its posts that became stories",
}
TIERS: Sequence[tuple[float, str]] = (
    (65.0, "Blue chip"),
    (50.0, "Strong"),
    (35.0, "Fair"),
    (0.0, "Thin"),
)


@dataclass(frozen=True, slots=True)
class Score:
    """``value`` is 0..100; ``parts`` are 0..1 each, named as in WEIGHTS."""

    value: float
    parts: Mapping[str, float]
    tier: str
    momentum: float
    phase: Phase


@dataclass(frozen=True, slots=True)
class Volume:
    """Totals of a trend: posts, their engagement and priorities, and posts that became stories."""

    posts: int
    engagement: int
    quality: float
    published: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the trends of a market are scored against, at ``now`` with buckets of ``size`` minutes.

    ``leading`` is the greatest volume of a trend. ``history`` is the number of windows before the
    newest one in which the session read posts, 0..3. ``all_posts`` are the buckets of the whole
    session, or None for sources, whose momentum does not depend on them.
    """

    now: datetime
    size: int
    leading: int
    history: int
    all_posts: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """A trend on the market; ``buckets`` are the posts of its latest twelve buckets, oldest first."""

    trend: Trend
    score: Score
    buckets: Sequence[int]

    @property
    def per_post(self) -> float:
        """Engagement per post."""
        return self.trend.engagement / max(self.trend.posts, 1)


@dataclass(frozen=True, slots=True)
class Market:
    """The trends at a moment; ``at`` is None while the session has read no post.

    ``early`` is set while there is too little history for any momentum.
    """

    at: datetime | None
    size: int
    quotes: Sequence[Quote]
    early: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """The times of the first and the last post that a session has read."""

    first: datetime
    last: datetime

    def history(self, now: datetime, size: int) -> int:
        """Returns how many whole windows before the newest one lie within the span, 0..3."""
        since = start_of(now, size) - start_of(self.first, size)
        buckets = since // timedelta(minutes=size) + 1
        return max(0, min(buckets // WINDOW - 1, WINDOWS - 1))


def read_market(session: Session, kind: str, size: int, now: datetime | None) -> Market:
    """Returns the market at ``now``; None, off air, means the time of the last post.

    ``size`` is the length of a bucket in minutes. 0 chooses five minutes, or one minute during the
    first three quarters of an hour of a session.
    """
    span = _span(session)
    # Nothing was read yet, so there is no time to refer to.
    if span is None:
        return Market(None, size or USUAL, [])
    at = now or span.last
    # Buckets of five minutes need four windows, an hour, before momentum means something.
    size = size or (USUAL if span.history(at, USUAL) >= WINDOWS - 1 else SHORT)
    rows = Trend.objects.filter(session=session, kind=kind)
    if kind == Kind.KEYWORD:
        rows = rows.filter(posts__gte=LEAST_POSTS)
    # The index trend_volume has this order, so only the listed rows are read.
    trends = list(rows.order_by("-posts", "id")[:MOST])
    leading = trends[0].posts if trends else 1
    quotes = _quotes(trends, _comparison(session, kind, span, at, size, leading))
    if kind == Kind.KEYWORD:
        # A keyword that occurs only as part of a longer one, such as "Elowen" of "Port Elowen",
        # has no post more than the longer one and is left out.
        longer: dict[str, int] = {}
        for quote in quotes:
            words = quote.trend.key.split()
            for length in range(1, len(words)):
                for start in range(len(words) - length + 1):
                    part = " ".join(words[start : start + length])
                    longer[part] = max(longer.get(part, 0), quote.trend.posts)
        quotes = [quote for quote in quotes if longer.get(quote.trend.key, 0) < quote.trend.posts]
    return Market(at, size, quotes, early=span.history(at, size) < 1)


def rising(session: Session, now: datetime | None, size: int = 0) -> list[Quote]:
    """Returns the session's rising keywords, highest score first."""
    quotes = read_market(session, Kind.KEYWORD, size, now).quotes
    matches = [quote for quote in quotes if quote.score.phase == "rising"]
    return sorted(matches, key=lambda quote: -quote.score.value)


def read_trend(
    session: Session, trend_id: int, size: int, now: datetime | None
) -> tuple[Market, Trend]:
    """Returns a market with one trend, scored like in the whole market; or raises NotFound."""
    trend = Trend.objects.filter(session=session, pk=trend_id).first()
    span = _span(session)
    if trend is None or span is None:
        raise NotFound("This session has no such trend.")
    rows = Trend.objects.filter(session=session, kind=trend.kind)
    # The same leader as in the whole market, so that the score is the same.
    leading = rows.order_by("-posts", "id")[0].posts
    at, size = now or span.last, size or USUAL
    comparison = _comparison(session, trend.kind, span, at, size, leading)
    return Market(at, size, _quotes([trend], comparison)), trend


def chart(trend: Trend, size: int, at: datetime) -> list[tuple[datetime, int, int]]:
    """Returns start, posts and engagement of the newest 48 buckets, oldest first, with empty ones."""
    starts = _starts(at, size, CHART_BUCKETS)
    rows = TrendBucket.objects.filter(trend=trend, size=size, start__gte=starts[0])
    figures = {
        start: (posts, engagement)
        for start, posts, engagement in rows.values_list("start", "posts", "engagement")
    }
    return [(start, *figures.get(start, (0, 0))) for start in starts]


def _span(session: Session) -> Span | None:
    # A session has few sources, and every post counts for one: their times are those of all posts.
    sources = Trend.objects.filter(session=session, kind=Kind.SOURCE)
    times = sources.aggregate(first=Min("first_at"), last=Max("last_at"))
    return Span(times["first"], times["last"]) if times["first"] else None


def _starts(at: datetime, size: int, count: int) -> list[datetime]:
    newest = start_of(at, size)
    return [newest - timedelta(minutes=size * back) for back in reversed(range(count))]


def _comparison(
    session: Session, kind: str, span: Span, at: datetime, size: int, leading: int
) -> Comparison:
    # Sources together are the session, so they are not scaled by it.
    all_posts: list[int] | None = None
    if kind == Kind.KEYWORD:
        starts = _starts(at, size, BUCKETS)
        # By the unique index (trend, size, start): a bucket for each source and start.
        rows = TrendBucket.objects.filter(
            trend__in=Trend.objects.filter(session=session, kind=Kind.SOURCE),
            size=size,
            start__in=starts,
        )
        sums = dict(rows.values_list("start").annotate(Sum("posts")))
        all_posts = [sums.get(start, 0) for start in starts]
    return Comparison(at, size, leading, span.history(at, size), all_posts)


def _quotes(trends: Sequence[Trend], comparison: Comparison) -> list[Quote]:
    starts = _starts(comparison.now, comparison.size, BUCKETS)
    index_of = {start: index for index, start in enumerate(starts)}
    buckets = {trend.pk: [0] * BUCKETS for trend in trends}
    # Buckets without posts have no row, hence the zeros above.
    rows = TrendBucket.objects.filter(
        trend__in=list(buckets), size=comparison.size, start__in=starts
    )
    for trend_id, start, posts in rows.values_list("trend_id", "start", "posts"):
        buckets[trend_id][index_of[start]] = posts
    quotes = []
    for trend in trends:
        volume = Volume(trend.posts, trend.engagement, trend.quality, trend.told, trend.last_at)
        scored = score(volume, buckets[trend.pk], comparison)
        quotes.append(Quote(trend, scored, buckets[trend.pk]))
    return quotes


def windows_of(buckets: Sequence[int]) -> list[int]:
    """Returns four sums of three buckets each, oldest first."""
    return [sum(buckets[at : at + WINDOW]) for at in range(0, BUCKETS, WINDOW)]


def momentum_of(buckets: Sequence[int], comparison: Comparison, back: int = 0) -> float:
    """Returns the momentum (-1..1) of twelve buckets as it was ``back`` windows ago."""
    # Further back there are fewer windows before the one that is compared.
    history = min(comparison.history, WINDOWS - 1) - back
    if history < 1:
        return 0.0
    recent, baseline = _window_and_baseline(buckets, history, back)
    if comparison.all_posts is not None:
        recent_of_all, baseline_of_all = _window_and_baseline(comparison.all_posts, history, back)
        baseline *= recent_of_all / baseline_of_all if baseline_of_all else 0.0
    # One post more on both sides keeps the ratio finite, and small numbers from looking dramatic.
    raw = math.log2((recent + 1) / (baseline + 1)) / FULL_MOMENTUM
    return round(max(-1.0, min(raw, 1.0)), 4)


def _window_and_baseline(buckets: Sequence[int], history: int, back: int) -> tuple[int, float]:
    """Returns the posts of a window, and the mean of the windows before it."""
    windows = windows_of(buckets)
    newest = WINDOWS - 1 - back
    return windows[newest], sum(windows[newest - history : newest]) / history


def phase_of(momentum: float, earlier: float) -> Phase:
    """Returns the phase that follows from the momentum now and one window ago."""
    if abs(momentum) >= STEADY:
        return "rising" if momentum > 0 else "falling"
    return "peak" if earlier >= STEADY else "steady"


def step_of(momentum: float) -> int:
    """Returns -2 (falling fast) to 2 (rising fast), for colours and signs."""
    size = 2 if abs(momentum) >= FAST else 1 if abs(momentum) >= STEADY else 0
    return size if momentum > 0 else -size


def tier_of(value: float) -> str:
    return next(name for least, name in TIERS if value >= least)


def score(volume: Volume, buckets: Sequence[int], comparison: Comparison) -> Score:
    """Scores one trend."""
    momentum = momentum_of(buckets, comparison)
    posts = max(volume.posts, 1)
    # Never negative: a post may be read after the moment was chosen.
    quiet = max((comparison.now - volume.last_at) / timedelta(minutes=comparison.size), 0.0)
    parts = {
        # Logarithms, because a few trends have many times the posts of all others.
        "volume": math.log2(1 + volume.posts) / math.log2(1 + max(comparison.leading, 1)),
        "momentum": (momentum + 1) / 2,
        "engagement": math.log2(1 + volume.engagement / posts) / math.log2(1 + FULL_ENGAGEMENT),
        "priority": volume.quality / posts,
        "freshness": math.exp2(-quiet / HALF_LIFE_BUCKETS),
        "told": volume.published / posts,
    }
    parts = {name: round(max(0.0, min(part, 1.0)), 4) for name, part in parts.items()}
    value = round(100 * sum(WEIGHTS[name] * part for name, part in parts.items()), 1)
    phase = phase_of(momentum, momentum_of(buckets, comparison, back=1))
    return Score(value, parts, tier_of(value), momentum, phase)
