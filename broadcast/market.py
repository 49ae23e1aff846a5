"""The Insight Market as its page shows it: what was asked for, and the market at its moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from django.urls import reverse
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import charts, orchestrator
from broadcast.models import Broadcast
from broadcast.states import ON_AIR
from sessions_app.background import steps
from sessions_app.errors import Invalid
from sessions_app.events import recorder
from sessions_app.events.statistics import SIZES
from sessions_app.models import Session, SessionStats
from stories.market import quotes, scores, treemap
from stories.market.quotes import Kind, Market, Quote
from stories.models import Trend

SORTS: Mapping[str, Callable[[Quote], Any]] = {
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
class Wanted:
    """What an address asks for; what is none of ours becomes the default."""

    kind: str
    size: int
    sort: str
    down: bool

    def query(self, session: Session, **changes: Any) -> str:
        """The query string of the same page with some things changed."""
        named = {"kind": self.kind, "size": self.size, "sort": self.sort, "dir": self.direction}
        pairs = {"session": session.pk} | named | changes
        return "?" + "&".join(f"{name}={value}" for name, value in pairs.items())

    @property
    def direction(self) -> str:
        return "desc" if self.down else "asc"


def wanted(params: Mapping[str, str]) -> Wanted:
    sort = params.get("sort", "")
    sort = sort if sort in SORTS else "score"
    down = params.get("dir", "asc" if sort == "label" else "desc") != "asc"
    kind = params.get("kind", "")
    return Wanted(kind if kind in Kind.values else Kind.KEYWORD.value, size_of(params), sort, down)


def size_of(params: Mapping[str, str]) -> int:
    """Minutes of a bucket; 0 leaves the choice to what was read."""
    asked = params.get("size", "")
    return next((size for size in SIZES if str(size) == asked), 0)


def moment(run: Broadcast | None) -> datetime | None:
    """The present while the session is on air; None off air, where the market stands still."""
    return steps.now() if run is not None and run.state in ON_AIR else None


def page(session: Session, asked: Wanted) -> dict[str, Any]:
    """Everything the market's page shows, in a constant number of queries."""
    last_seq = SessionStats.objects.values_list("last_seq", flat=True).get(session=session)
    run = orchestrator.latest(session)
    now = moment(run)
    market = quotes.read_market(session, asked.kind, asked.size, now)
    asked = replace(asked, size=market.size)
    return {
        "last_seq": last_seq,
        "air": orchestrator.payload(run),
        "asked": asked,
        "early": market.early,
        "early_minutes": 2 * scores.WINDOW * market.size,
        "frozen": now is None,
        "at": recorder.timestamp(market.at),
        "maps": treemap.maps(market.quotes),
        "rows": [row(quote) for quote in ordered(market.quotes, asked)],
        "columns": [_column(session, asked, *column) for column in COLUMNS],
        "kinds": [
            (asked.query(session, kind=kind), label, kind == asked.kind)
            for kind, label in ((Kind.KEYWORD.value, "Keywords"), (Kind.SOURCE.value, "Sources"))
        ],
        "sizes": [(asked.query(session, size=size), size, size == asked.size) for size in SIZES],
        "query": asked.query(session),
        # One lookup of the address, not one for each of a hundred links.
        "base": reverse("market_trend", args=(session.pk, 0)).removesuffix("0/"),
        "legend": [
            (step, treemap.SIGNS[step], treemap.STEP_WORDS[step]) for step in (2, 1, 0, -1, -2)
        ],
        "explained": explained(),
    }


def ordered(found: Sequence[Quote], asked: Wanted) -> list[Quote]:
    by_volume = sorted(found, key=lambda quote: (-quote.trend.posts, quote.trend.pk))
    return sorted(by_volume, key=SORTS[asked.sort], reverse=asked.down)


def _column(session: Session, asked: Wanted, sort: str, label: str) -> dict[str, Any]:
    """A heading that sorts; the one that does turns the order round."""
    current = sort == asked.sort
    down = not asked.down if current else sort != "label"
    return {
        "label": label,
        "query": asked.query(session, sort=sort, dir="desc" if down else "asc"),
        "order": ("descending" if asked.down else "ascending") if current else "",
    }


def row(quote: Quote) -> dict[str, Any]:
    """One line of the table: figures as they are, and what each adds to the score."""
    trend, score = quote.trend, quote.score
    return {
        "id": trend.pk,
        "label": trend.label,
        "score": score.value,
        "tier": score.tier,
        "phase": score.phase,
        "momentum": signed(score.momentum),
        "step": scores.step_of(score.momentum),
        "sign": treemap.SIGNS[scores.step_of(score.momentum)],
        "volume": treemap.posts_text(trend.posts),
        "engagement": f"{round(quote.per_post):,} a post",
        "priority": f"{trend.quality / max(trend.posts, 1):.0%}",
        "share": f"{trend.told:,} of {trend.posts:,}",
        "last_at": recorder.timestamp(trend.last_at),
        "last_word": f"{trend.last_at:%H:%M} UTC",
        "points": points(score.parts),
        "line": treemap.line(quote.buckets),
    }


def signed(momentum: float) -> str:
    return f"{momentum:+.2f}".replace("-", MINUS) if round(momentum, 2) else "0.00"


def points(parts: Mapping[str, float]) -> dict[str, float]:
    """What each part adds to the score of 0..100."""
    return {name: round(100 * scores.WEIGHTS[name] * part, 1) for name, part in parts.items()}


def shares(quote: Quote) -> list[dict[str, Any]]:
    """The parts in words, with what each adds."""
    added = points(quote.score.parts)
    return [part | {"points": added[part["name"]]} for part in explained()]


def explained() -> list[dict[str, Any]]:
    """The parts of a score with their weights, in words."""
    return [
        {"name": name, "most": round(100 * weight), "meaning": scores.MEANINGS[name]}
        for name, weight in scores.WEIGHTS.items()
    ]


def chart(trend: Trend, market: Market) -> charts.Chart:
    """The newest 48 buckets of a trend, as bars with the table behind them."""
    assert market.at is not None
    buckets = quotes.chart(trend, market.size, market.at)
    plan = charts.Plan(
        "trend",
        "Posts over time",
        "posts read",
        [start for start, _, _ in buckets],
        market.size,
        lambda value: f"{value:,.0f}",
        lambda value: f"{value:g}",
    )
    return charts.bars(
        plan, [charts.Series("Posts", "one", [float(posts) for _, posts, _ in buckets])]
    )


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
    """Returns the market for the API."""
    if size not in {0, *SIZES}:
        raise Invalid(f"size: must be one of {', '.join(map(str, SIZES))} minutes.")
    found = quotes.read_market(session, kind, size, moment(orchestrator.latest(session)))
    return {
        "at": recorder.timestamp(found.at),
        "size": found.size,
        "items": [payload(quote) for quote in found.quotes],
    }


def payload(quote: Quote) -> TrendPayload:
    """Returns a trend for the API."""
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
