"""The market of a session at a moment: its most named trends with score, parts and buckets.

Four queries, whatever the session holds: the span of what was read, the trends by volume, and the
newest buckets of them and of the sources by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Min, Sum

from sessions_app.errors import NotFound
from sessions_app.events.statistics import start_of
from sessions_app.models import Session
from stories.market import scores
from stories.market.scores import BUCKETS, WINDOW, WINDOWS, Scene, Score, Volume
from stories.models import Trend, TrendBucket

MOST = 60
CHART_BUCKETS = 48
USUAL, SHORT = 5, 1  # minutes of a bucket
LEAST_POSTS = 2  # a keyword counts from its second post on

Kind = Trend.Kind


@dataclass(frozen=True, slots=True)
class Quote:
    """One trend as the market quotes it; ``buckets`` are posts, twelve of them, oldest first."""

    trend: Trend
    score: Score
    buckets: Sequence[int]

    @property
    def per_post(self) -> float:
        """Engagement per post."""
        return self.trend.engagement / max(self.trend.posts, 1)


@dataclass(frozen=True, slots=True)
class Market:
    """``at`` is the moment of reference: None while nothing was read; off air it stands still."""

    at: datetime | None
    size: int
    quotes: Sequence[Quote]
    early: bool = False  # too little was read for any momentum


@dataclass(frozen=True, slots=True)
class Span:
    """From the first to the last moment that a session read something."""

    first: datetime
    last: datetime

    def history(self, now: datetime, size: int) -> int:
        """How many whole windows before the newest one lie within what was read, 0..3."""
        since = start_of(now, size) - start_of(self.first, size)
        buckets = since // timedelta(minutes=size) + 1
        return max(0, min(buckets // WINDOW - 1, WINDOWS - 1))


def read_market(session: Session, kind: str, size: int, now: datetime | None) -> Market:
    """The market at ``now``, or, off air (None), at the last moment something was read.

    Size 0 is the best for what was read: five minutes, or one in a session's first three quarters of an
    hour.
    """
    span = _span(session)
    if span is None:
        return Market(None, size or USUAL, [])
    at = now or span.last
    size = size or (USUAL if span.history(at, USUAL) >= WINDOWS - 1 else SHORT)
    found = Trend.objects.filter(session=session, kind=kind)
    if kind == Kind.KEYWORD:
        found = found.filter(posts__gte=LEAST_POSTS)
    trends = list(found.order_by("-posts", "id")[:MOST])
    leading = trends[0].posts if trends else 1
    quotes = _quotes(trends, _scene(session, kind, span, at, size, leading))
    shown = _without_pieces(quotes) if kind == Kind.KEYWORD else quotes
    return Market(at, size, shown, early=span.history(at, size) < 1)


def rising(session: Session, now: datetime | None, size: int = 0) -> list[Quote]:
    """The session's keywords that rise, the best first."""
    found = read_market(session, Kind.KEYWORD, size, now).quotes
    up = [quote for quote in found if quote.score.phase == "rising"]
    return sorted(up, key=lambda quote: -quote.score.value)


def read_trend(
    session: Session, trend_id: int, size: int, now: datetime | None
) -> tuple[Market, Trend]:
    """A market of one trend, scored against the whole; NotFound when the session has none such."""
    trend = Trend.objects.filter(session=session, pk=trend_id).first()
    span = _span(session)
    if trend is None or span is None:
        raise NotFound("This session has no such trend.")
    leader = Trend.objects.filter(session=session, kind=trend.kind).order_by("-posts", "id")[:1]
    at, size = now or span.last, size or USUAL
    scene = _scene(session, trend.kind, span, at, size, max(each.posts for each in leader))
    return Market(at, size, _quotes([trend], scene)), trend


def chart(trend: Trend, size: int, at: datetime) -> list[tuple[datetime, int, int]]:
    """Start, posts and engagement of the newest 48 buckets, oldest first, empty ones included."""
    starts = _starts(at, size, CHART_BUCKETS)
    rows = TrendBucket.objects.filter(trend=trend, size=size, start__gte=starts[0])
    found = {
        start: (posts, engagement)
        for start, posts, engagement in rows.values_list("start", "posts", "engagement")
    }
    return [(start, *found.get(start, (0, 0))) for start in starts]


def _span(session: Session) -> Span | None:
    sources = Trend.objects.filter(session=session, kind=Kind.SOURCE)
    found = sources.aggregate(first=Min("first_at"), last=Max("last_at"))
    return Span(found["first"], found["last"]) if found["first"] else None


def _starts(at: datetime, size: int, count: int) -> list[datetime]:
    newest = start_of(at, size)
    return [newest - timedelta(minutes=size * back) for back in reversed(range(count))]


def _scene(session: Session, kind: str, span: Span, at: datetime, size: int, leading: int) -> Scene:
    reading = _reading(session, size, at) if kind == Kind.KEYWORD else None
    return Scene(at, size, leading, span.history(at, size), reading)


def _reading(session: Session, size: int, at: datetime) -> list[int]:
    """The newest twelve buckets of all sources together."""
    starts = _starts(at, size, BUCKETS)
    rows = TrendBucket.objects.filter(
        trend__in=Trend.objects.filter(session=session, kind=Kind.SOURCE),
        size=size, start__in=starts,
    )  # fmt: skip
    found = dict(rows.values_list("start").annotate(Sum("posts")))
    return [found.get(start, 0) for start in starts]


def _quotes(trends: Sequence[Trend], scene: Scene) -> list[Quote]:
    buckets = _buckets(trends, scene.size, scene.now)
    return [
        Quote(trend, scores.score(_volume(trend), buckets[trend.pk], scene), buckets[trend.pk])
        for trend in trends
    ]


def _volume(trend: Trend) -> Volume:
    return Volume(trend.posts, trend.engagement, trend.quality, trend.told, trend.last_at)


def _buckets(trends: Iterable[Trend], size: int, at: datetime) -> dict[int, list[int]]:
    """The newest twelve buckets of each trend, oldest first."""
    places = {start: place for place, start in enumerate(_starts(at, size, BUCKETS))}
    series = {trend.pk: [0] * BUCKETS for trend in trends}
    rows = TrendBucket.objects.filter(trend__in=list(series), size=size, start__in=list(places))
    for trend, start, posts in rows.values_list("trend_id", "start", "posts"):
        series[trend][places[start]] = posts
    return series


def _without_pieces(quotes: Sequence[Quote]) -> list[Quote]:
    """Leave out what stands only inside a longer keyword: no post more than that one has."""
    longer: dict[str, int] = {}
    for quote in quotes:
        words = quote.trend.key.split()
        for length in range(1, len(words)):
            for at in range(len(words) - length + 1):
                piece = " ".join(words[at : at + length])
                longer[piece] = max(longer.get(piece, 0), quote.trend.posts)
    return [quote for quote in quotes if longer.get(quote.trend.key, 0) < quote.trend.posts]
