"""The Insight Market as its page and the API show it, during a broadcast and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from django.urls import reverse
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import charts, orchestrator
from broadcast.models import Broadcast
from broadcast.orchestrator import AirPayload
from broadcast.states import ON_AIR
from sessions_app.background import steps
from sessions_app.errors import Invalid
from sessions_app.events import recorder
from sessions_app.events.statistics import SIZES
from sessions_app.models import Session, SessionStats
from stories.market import quotes, treemap
from stories.market.quotes import Kind, Market, Quote
from stories.models import Trend

SORTS: Mapping[str, Callable[[Quote], float | str]] = {
    "score": lambda quote: quote.score.value,
    "volume": lambda quote: quote.trend.posts,
    "momentum": lambda quote: quote.score.momentum,
    "engagement": lambda quote: quote.per_post,
    "label": lambda quote: quote.trend.label.casefold(),
}
MINUS = "\N{MINUS SIGN}"
COLUMNS = (
    ("label", "Name"),
    ("score", "Score"),
    ("volume", "Volume"),
    ("momentum", "Momentum"),
    ("engagement", "Engagement"),
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a query string selects; a value that does not exist becomes the default."""

    kind: str
    size: int  # minutes of a bucket; 0 leaves the choice to ``quotes.read_market``
    sort: str
    descending: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Selection:
        sort = query.get("sort", "")
        sort = sort if sort in SORTS else "score"
        default_order = "asc" if sort == "label" else "desc"
        kind = query.get("kind", "")
        return cls(
            kind if kind in Kind.values else Kind.KEYWORD.value,
            size_of(query),
            sort,
            query.get("dir", default_order) != "asc",
        )

    def query(self, session: Session, **changes: object) -> str:
        """Returns the query string of the same page with some values changed."""
        order = "desc" if self.descending else "asc"
        values = {"kind": self.kind, "size": self.size, "sort": self.sort, "dir": order}
        pairs = {"session": session.pk} | values | changes
        return "?" + "&".join(f"{name}={value}" for name, value in pairs.items())


def size_of(query: Mapping[str, str]) -> int:
    """Returns the minutes of a bucket in a query string; 0 for any other text."""
    text = query.get("size", "")
    return next((size for size in SIZES if str(size) == text), 0)


def moment(run: Broadcast | None) -> datetime | None:
    """Returns the time of the market: now on air; None off air, where it does not change."""
    return steps.now() if run is not None and run.state in ON_AIR else None


class Column(TypedDict):
    """A heading of the table; ``query`` sorts by it, or reverses the order."""

    label: str
    query: str
    order: str


class Part(TypedDict):
    """A part of the score in words; ``most`` is the points that it can add."""

    name: str
    most: int
    meaning: str


class Share(Part):
    """A part of the score with the points that it adds."""

    points: float


class MarketRow(TypedDict):
    """One line of the table: figures as text, and what each adds to the score."""

    id: int
    label: str
    score: float
    tier: str
    phase: str
    momentum: str
    step: int
    sign: str
    volume: str
    engagement: str
    priority: str
    share: str
    last_at: str
    last_word: str
    points: dict[str, float]
    line: str


class MarketPage(TypedDict):
    """Everything that the page of the market shows."""

    last_seq: int
    air: AirPayload
    asked: Selection
    early: bool
    early_minutes: int
    frozen: bool
    at: str | None
    maps: list[treemap.Map]
    rows: list[MarketRow]
    columns: list[Column]
    kinds: list[tuple[str, str, bool]]
    sizes: list[tuple[str, int, bool]]
    query: str
    base: str
    legend: list[tuple[int, str, str]]
    explained: list[Part]


def page(session: Session, selection: Selection) -> MarketPage:
    """Reads the page of the market, in a constant number of queries."""
    last_seq = SessionStats.objects.values_list("last_seq", flat=True).get(session=session)
    run = orchestrator.latest(session)
    now = moment(run)
    market = quotes.read_market(session, selection.kind, selection.size, now)
    selection = replace(selection, size=market.size)
    # Sorting is stable, so trends with equal values stay in the order of their volume.
    by_volume = sorted(market.quotes, key=lambda quote: (-quote.trend.posts, quote.trend.pk))
    ordered = sorted(by_volume, key=SORTS[selection.sort], reverse=selection.descending)
    kinds = ((Kind.KEYWORD.value, "Keywords"), (Kind.SOURCE.value, "Sources"))
    return {
        "last_seq": last_seq,
        "air": orchestrator.payload(run),
        "asked": selection,
        "early": market.early,
        "early_minutes": 2 * quotes.WINDOW * market.size,
        "frozen": now is None,
        "at": recorder.timestamp(market.at),
        "maps": treemap.maps(market.quotes),
        "rows": [row(quote) for quote in ordered],
        "columns": [_column(session, selection, sort, label) for sort, label in COLUMNS],
        "kinds": [
            (selection.query(session, kind=kind), label, kind == selection.kind)
            for kind, label in kinds
        ],
        "sizes": [
            (selection.query(session, size=size), size, size == selection.size) for size in SIZES
        ],
        "query": selection.query(session),
        # Resolved once, because a page has a hundred links to trends.
        "base": reverse("market_trend", args=(session.pk, 0)).removesuffix("0/"),
        "legend": [
            (step, treemap.SIGNS[step], treemap.STEP_WORDS[step]) for step in (2, 1, 0, -1, -2)
        ],
        "explained": explained(),
    }


def _column(session: Session, selection: Selection, sort: str, label: str) -> Column:
    current = sort == selection.sort
    descending = not selection.descending if current else sort != "label"
    order = "descending" if selection.descending else "ascending"
    return {
        "label": label,
        "query": selection.query(session, sort=sort, dir="desc" if descending else "asc"),
        "order": order if current else "",
    }


def row(quote: Quote) -> MarketRow:
    trend, score = quote.trend, quote.score
    momentum = f"{score.momentum:+.2f}".replace("-", MINUS)
    return {
        "id": trend.pk,
        "label": trend.label,
        "score": score.value,
        "tier": score.tier,
        "phase": score.phase,
        "momentum": momentum if round(score.momentum, 2) else "0.00",
        "step": quotes.step_of(score.momentum),
        "sign": treemap.SIGNS[quotes.step_of(score.momentum)],
        "volume": treemap.posts_text(trend.posts),
        "engagement": f"{round(quote.per_post):,} a post",
        "priority": f"{trend.quality / max(trend.posts, 1):.0%}",
        "share": f"{trend.told:,} of {trend.posts:,}",
        "last_at": recorder.timestamp(trend.last_at),
        "last_word": f"{trend.last_at:%H:%M} UTC",
        "points": points(score.parts),
        "line": treemap.line(quote.buckets),
    }


def points(parts: Mapping[str, float]) -> dict[str, float]:
    """Returns the points that each part adds to the score of 0 to 100."""
    return {name: round(100 * quotes.WEIGHTS[name] * part, 1) for name, part in parts.items()}


def shares(quote: Quote) -> list[Share]:
    added = points(quote.score.parts)
    return [{**part, "points": added[part["name"]]} for part in explained()]


def explained() -> list[Part]:
    return [
        {"name": name, "most": round(100 * weight), "meaning": quotes.MEANINGS[name]}
        for name, weight in quotes.WEIGHTS.items()
    ]


def chart(trend: Trend, market: Market) -> charts.Chart:
    """Draws the newest 48 buckets of a trend as an area."""
    assert market.at is not None
    buckets = quotes.chart(trend, market.size, market.at)
    plan = charts.Plan(
        key="trend",
        title="Posts over time",
        unit="posts read",
        moments=[start for start, _, _ in buckets],
        size=market.size,
        write=lambda value: f"{value:,.0f}",
        axis=lambda value: f"{value:g}",
    )
    posts = [float(posts) for _, posts, _ in buckets]
    return charts.areas(plan, [charts.Series("Posts", "one", posts)])


class TrendPayload(TypedDict):
    """A keyword or a source with its figures and its score."""

    id: Annotated[int, Field(description="Id of the trend.")]
    kind: Annotated[str, Field(description="keyword or source.")]
    label: Annotated[str, Field(description="The keyword, or the name of the source.")]
    posts: Annotated[int, Field(description="Number of posts.")]
    told: Annotated[int, Field(description="Number of these posts that became stories.")]
    engagement: Annotated[
        int, Field(description="Votes plus twice the comments, summed over the posts.")
    ]
    first_at: Annotated[str, Field(description="Time of the first post, ISO 8601 in UTC.")]
    last_at: Annotated[str, Field(description="Time of the latest post, ISO 8601 in UTC.")]
    score: Annotated[float, Field(description="The score, 0 to 100.")]
    parts: Annotated[dict[str, float], Field(description="Parts of the score by name, 0 to 1.")]
    tier: Annotated[str, Field(description="The score in one word, by thresholds.")]
    phase: Annotated[str, Field(description="The momentum in one word, such as rising.")]
    momentum: Annotated[
        float,
        Field(description="Recent posts against the expected number, -1 to 1; 0 is as expected."),
    ]
    buckets: Annotated[list[int], Field(description="Posts per interval, oldest first.")]


class MarketPayload(TypedDict):
    """The market of a session at one moment."""

    at: Annotated[
        str | None, Field(description="The moment, ISO 8601 in UTC; null before the first post.")
    ]
    size: Annotated[int, Field(description="Length of an interval in minutes.")]
    items: Annotated[list[TrendPayload], Field(description="Trends, most posts first.")]


def listing(session: Session, kind: str, size: int) -> MarketPayload:
    """Reads the market for the API."""
    if size not in {0, *SIZES}:
        raise Invalid(f"size: must be one of {', '.join(map(str, SIZES))} minutes.")
    market = quotes.read_market(session, kind, size, moment(orchestrator.latest(session)))
    return {
        "at": recorder.timestamp(market.at),
        "size": market.size,
        "items": [payload(quote) for quote in market.quotes],
    }


def payload(quote: Quote) -> TrendPayload:
    trend, score = quote.trend, quote.score
    return {
        "id": trend.pk,
        "kind": trend.kind,
        "label": trend.label,
        "posts": trend.posts,
        "told": trend.told,
        "engagement": trend.engagement,
        "first_at": recorder.timestamp(trend.first_at),
        "last_at": recorder.timestamp(trend.last_at),
        "score": score.value,
        "parts": dict(score.parts),
        "tier": score.tier,
        "phase": score.phase,
        "momentum": score.momentum,
        "buckets": list(quote.buckets),
    }
