"""Live Stats of a session: figures over time and by kind, from counters, buckets and tallies.

Money is in 10⁻¹² USD; times are aware datetimes. No query reads stories, posts or usage rows, so a
page costs the same at ten stories and at ten million.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from django.db.models import Sum
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.models import Broadcast
from broadcast.states import State
from broadcast.stream import plan
from sessions_app import money
from sessions_app.background import steps
from sessions_app.events import recorder, statistics
from sessions_app.models import Bucket, Session, SessionStats, Tally
from sessions_app.realtime import presence

SIZES = statistics.SIZES
POINTS = 60
DEFAULT_SIZE = 5
MOST_SHARES = 12
OTHER = "other"
HOUR = 3600
MEASURES = tuple(sorted(statistics.MEASURES))
DIMENSIONS = (
    (Tally.Dimension.TONE, "Tone", "stories"),
    (Tally.Dimension.PRIORITY, "Priority", "stories"),
    (Tally.Dimension.MODEL, "Model", "calls"),
    (Tally.Dimension.OPERATION, "Operation", "calls"),
    (Tally.Dimension.SOURCE, "Source", "stories"),
)


def size_of(text: str) -> int:
    """Returns the length of a bucket in a query string; the default for any other text."""
    return next((size for size in SIZES if str(size) == text), DEFAULT_SIZE)


@dataclass(frozen=True, slots=True)
class Window:
    """The last ``POINTS`` buckets of ``size`` minutes; off air it ends at the last event."""

    size: int
    last: datetime
    frozen: bool

    @property
    def first(self) -> datetime:
        return self.last - timedelta(minutes=self.size * (POINTS - 1))

    @property
    def last_at(self) -> str | None:
        """The start of the last bucket, ISO 8601."""
        return recorder.timestamp(self.last)


@dataclass(frozen=True, slots=True)
class Point:
    """The sums of the bucket that starts at ``at``."""

    at: datetime
    sums: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.sums[name]

    @property
    def exact(self) -> int:
        """Calls that ended with the API's own counts."""
        return self["calls"] - self["bounded"]

    @property
    def call_ms(self) -> float | None:
        """Mean time of a call; None if no call was timed."""
        return _mean(self["call_ms"], self["timed"])

    @property
    def first_token_ms(self) -> float | None:
        """Mean time to the first token; None if none came."""
        return _mean(self["first_token_ms"], self["first_tokens"])


NOTHING: Mapping[str, int] = dict.fromkeys(MEASURES, 0)


def _mean(total: int, number: int) -> float | None:
    return total / number if number > 0 else None


def window_of(session: Session, size: int, run: Broadcast | None, at: datetime) -> Window:
    """Returns the window to show at ``at``: it moves during a run and is frozen otherwise."""
    # A run in error has left the air, so its last figures stay in view.
    if run is not None and run.state not in {State.IDLE, State.ERROR}:
        return Window(size, statistics.start_of(at, size), frozen=False)
    rows = Bucket.objects.filter(session=session, size=size)
    last = rows.order_by("-start").values_list("start", flat=True).first()
    return Window(size, last or statistics.start_of(at, size), frozen=True)


def points_of(session: Session, window: Window) -> list[Point]:
    """Returns one point for each bucket of the window, oldest first."""
    rows = Bucket.objects.filter(
        session=session, size=window.size, start__range=(window.first, window.last)
    )
    sums = {row["start"]: row for row in rows.values("start", *MEASURES)}
    step = timedelta(minutes=window.size)
    starts = [window.first + number * step for number in range(POINTS)]
    return [Point(at, sums.get(at, NOTHING)) for at in starts]


@dataclass(frozen=True, slots=True)
class Part:
    """The sums of one key of a dimension; ``share`` is its part of all counts, 0 to 1."""

    key: str
    count: int
    words: int
    tokens: int
    cost_lower: int
    cost_upper: int
    bounded: int
    share: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A dimension with its largest keys; the rest is added up as "other"."""

    dimension: str
    name: str
    counted: str
    parts: list[Part]


def breakdowns_of(tallies: Iterable[Tally]) -> list[Breakdown]:
    """Returns stories by tone, priority and source, and calls by model and operation."""
    by_dimension: dict[str, list[Tally]] = {}
    for tally in tallies:
        by_dimension.setdefault(tally.dimension, []).append(tally)
    breakdowns = []
    for dimension, name, counted in DIMENSIONS:
        rows = by_dimension.get(dimension, [])
        rows.sort(key=lambda row: (-row.count, -row.cost_upper, row.key))
        total = sum(row.count for row in rows)
        parts = [_part(row.key, [row], total) for row in rows[:MOST_SHARES]]
        if len(rows) > MOST_SHARES:
            parts.append(_part(OTHER, rows[MOST_SHARES:], total))
        breakdowns.append(Breakdown(dimension, name, counted, parts))
    return breakdowns


def _part(key: str, rows: list[Tally], total: int) -> Part:
    count = sum(row.count for row in rows)
    return Part(
        key=key,
        count=count,
        words=sum(row.words for row in rows),
        tokens=sum(row.input_tokens + row.output_tokens for row in rows),
        cost_lower=sum(row.cost_lower for row in rows),
        cost_upper=sum(row.cost_upper for row in rows),
        bounded=sum(row.bounded for row in rows),
        share=count / total if total else 0.0,
    )


# Players are up to so many pieces of the audio stream behind, so an older one is complete.
COMPLETE = 5


@dataclass(frozen=True, slots=True)
class Audience:
    """How many watch and listen now, None without Redis, and the most at a time in a run."""

    viewers: int | None
    listeners: int | None
    peak: int

    @property
    def now(self) -> int | None:
        if self.viewers is None or self.listeners is None:
            return None
        return self.viewers + self.listeners


def audience_of(session_id: UUID, run: Broadcast | None) -> Audience:
    piece = plan.slot_of(timezone.now()) - COMPLETE
    viewers, listeners = presence.viewers(session_id), presence.listeners(session_id, piece)
    return Audience(viewers, listeners, run.peak_audience if run else 0)


def note_peak(session_id: UUID) -> None:
    """Stores the present size of the audience with the live run if it is the largest so far."""
    now = audience_of(session_id, None).now
    rows = Broadcast.objects.filter(session_id=session_id, state=State.LIVE)
    if now:
        # Each web process counts; whichever writes last, the condition leaves the largest number.
        rows.filter(peak_audience__lt=now).update(peak_audience=now)


def register() -> None:
    presence.on_count.subscribe(note_peak)


@dataclass(frozen=True, slots=True)
class Totals:
    """The session's figures so far and the means that follow; None without any story."""

    figures: statistics.FiguresPayload
    on_air_seconds: int
    aired: int
    calls: int
    bounded: int
    failed: int

    @property
    def exact(self) -> int:
        return self.calls - self.bounded

    @property
    def uncertain(self) -> int:
        """The most that bounded calls may have cost beyond the lower bound."""
        return int(self.figures["cost_upper"] - self.figures["cost_lower"])

    @property
    def stories_per_hour(self) -> float | None:
        return _mean(self.figures["story_count"] * HOUR, self.on_air_seconds)

    @property
    def tokens_per_story(self) -> float | None:
        return _mean(self.figures["total_tokens"], self.figures["story_count"])

    @property
    def cost_per_aired(self) -> tuple[int, int] | None:
        """Bounds of the mean cost of an aired story."""
        if self.aired <= 0:
            return None
        lower, upper = self.figures["cost_lower"], self.figures["cost_upper"]
        return round(lower / self.aired), round(upper / self.aired)


def totals_of(session: Session, stats: SessionStats, run: Broadcast | None, at: datetime) -> Totals:
    """Returns the totals with the present run's time on air; the few buckets of an hour are added."""
    hours = Bucket.objects.filter(session=session, size=60)
    sums = hours.aggregate(*(Sum(name) for name in ("aired", "calls", "bounded", "failed")))
    live_seconds = 0
    if run is not None and run.state == State.LIVE and run.live_at is not None:
        live_seconds = max(0, int((at - run.live_at).total_seconds()))
    return Totals(
        figures=recorder.figures(stats),
        on_air_seconds=stats.on_air_seconds + live_seconds,
        aired=sums["aired__sum"] or 0,
        calls=sums["calls__sum"] or 0,
        bounded=sums["bounded__sum"] or 0,
        failed=sums["failed__sum"] or 0,
    )


@dataclass(frozen=True, slots=True)
class Statistics:
    """Everything that Live Stats shows of one session at ``at``; ``last_seq`` was read first."""

    at: datetime
    last_seq: int
    run: Broadcast | None
    window: Window
    points: list[Point]
    totals: Totals
    audience: Audience
    breakdowns: list[Breakdown]

    @property
    def empty(self) -> bool:
        """Whether the session has no post, story or call yet."""
        figures = self.totals.figures
        return not (figures["story_count"] or figures["feed"] or self.totals.calls)

    @property
    def too_old(self) -> bool:
        """Whether the buckets of this size have expired, although there were some."""
        return not self.empty and not any(any(point.sums.values()) for point in self.points)


def read(session: Session, size: int) -> Statistics:
    """Reads the statistics of a session, in a constant number of queries."""
    at = steps.now()
    # Read first, so that no event between the queries is missed by the page.
    stats = SessionStats.objects.get(session=session)
    run = orchestrator.latest(session)
    window = window_of(session, size, run, at)
    return Statistics(
        at=at,
        last_seq=stats.last_seq,
        run=run,
        window=window,
        points=points_of(session, window),
        totals=totals_of(session, stats, run, at),
        audience=audience_of(session.pk, run),
        breakdowns=breakdowns_of(Tally.objects.filter(session=session)),
    )


class PointPayload(TypedDict):
    """The figures of one interval of a series."""

    at: Annotated[str, Field(description="Beginning of the interval, ISO 8601 in UTC.")]
    stories: Annotated[int, Field(description="Number of stories written.")]
    posts: Annotated[int, Field(description="Number of posts read.")]
    words: Annotated[int, Field(description="Number of words written.")]
    aired: Annotated[int, Field(description="Number of stories aired.")]
    input_tokens: Annotated[int, Field(description="Tokens sent to models, cache not counted.")]
    output_tokens: Annotated[int, Field(description="Tokens that models wrote.")]
    cache_read_tokens: Annotated[int, Field(description="Tokens read from a provider's cache.")]
    cache_write_tokens: Annotated[int, Field(description="Tokens written to a provider's cache.")]
    calls: Annotated[int, Field(description="Number of finished calls of models.")]
    bounded: Annotated[
        int, Field(description="Number of calls whose cost is known by bounds only.")
    ]
    failed: Annotated[int, Field(description="Number of calls that failed.")]
    messages: Annotated[int, Field(description="Number of messages.")]
    cost_lower: Annotated[str, Field(description="Lower bound of the cost in USD, decimal.")]
    cost_upper: Annotated[str, Field(description="Upper bound of the cost in USD, decimal.")]
    cache_saved: Annotated[
        str, Field(description="Saved by caches in USD; negative where they cost more.")
    ]
    call_ms: Annotated[
        int | None, Field(description="Mean duration of a call in milliseconds, or null.")
    ]
    first_token_ms: Annotated[
        int | None, Field(description="Mean time to the first token in milliseconds, or null.")
    ]


class SeriesPayload(TypedDict):
    """The latest points of a session, oldest first."""

    size: Annotated[int, Field(description="Length of an interval in minutes.")]
    frozen: Annotated[
        bool, Field(description="True off air: the series ends with the latest activity.")
    ]
    points: Annotated[list[PointPayload], Field(description="60 intervals, oldest first.")]


def series_payload(session: Session, size: int) -> SeriesPayload:
    """Returns the series of a session for the API."""
    window = window_of(session, size, orchestrator.latest(session), steps.now())
    points: list[PointPayload] = [
        {
            "at": recorder.timestamp(point.at),
            "stories": point["story_count"],
            "posts": point["feed"],
            "words": point["words"],
            "aired": point["aired"],
            "input_tokens": point["input_tokens"],
            "output_tokens": point["output_tokens"],
            "cache_read_tokens": point["cache_read_tokens"],
            "cache_write_tokens": point["cache_write_tokens"],
            "calls": point["calls"],
            "bounded": point["bounded"],
            "failed": point["failed"],
            "messages": point["messages"],
            "cost_lower": money.decimal_string(point["cost_lower"]),
            "cost_upper": money.decimal_string(point["cost_upper"]),
            "cache_saved": money.decimal_string(point["cache_saved"]),
            "call_ms": _rounded(point.call_ms),
            "first_token_ms": _rounded(point.first_token_ms),
        }
        for point in points_of(session, window)
    ]
    return {"size": size, "frozen": window.frozen, "points": points}


def _rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)
