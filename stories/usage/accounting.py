"""What a ledger row and a story add to the figures of their session: counters, series and tallies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from uuid import UUID

from django.db.models import Count, Q, Sum

from sessions_app.events.statistics import Share
from sessions_app.models import Tally
from stories.models import Story, TokenUsage
from stories.text import credit

Dimension = Tally.Dimension
COUNTED = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_lower",
    "cost_upper", "cache_saved", "unpriced",
)  # fmt: skip
SUMMED = ("input_tokens", "output_tokens", "cost_lower", "cost_upper", "bounded")


@dataclass(frozen=True, slots=True)
class Booking:
    """What a ledger row stands for at present; a reserved row stands for nothing."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_lower: int = 0
    cost_upper: int = 0
    cache_saved: int = 0
    unpriced: int = 0
    calls: int = 0
    bounded: int = 0
    failed: int = 0
    call_ms: int = 0
    timed: int = 0
    first_token_ms: int = 0
    first_tokens: int = 0

    @classmethod
    def of(cls, row: TokenUsage) -> Booking:
        """A bounded row books its known input and its lower bounds."""
        if row.state in TokenUsage.OPEN:
            return cls()
        return cls(
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cache_read_tokens=row.cache_read_tokens,
            cache_write_tokens=row.cache_write_5m_tokens + row.cache_write_1h_tokens,
            cost_lower=row.cost_lower,
            cost_upper=row.cost_upper,
            cache_saved=row.cache_saved,
            unpriced=int(row.unpriced),
            calls=1,
            bounded=int(not row.exact),
            failed=int(bool(row.error)),
            call_ms=row.duration_ms or 0,
            timed=int(row.duration_ms is not None),
            first_token_ms=row.first_token_ms or 0,
            first_tokens=int(row.first_token_ms is not None),
        )

    def beyond(self, other: Booking) -> Booking:
        """What this books more than ``other``, which may be less than nothing."""
        before = other._figures()
        return Booking(**{name: each - before[name] for name, each in self._figures().items()})

    def counters(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in COUNTED}

    def measures(self) -> dict[str, int]:
        """Columns of the buckets that are no counters of the session."""
        return {name: each for name, each in self._figures().items() if name not in COUNTED}

    def figures(self) -> dict[str, int]:
        """Counters and measures that are not zero."""
        return {name: each for name, each in self._figures().items() if each}

    def _figures(self) -> dict[str, int]:
        return dict(zip(_NAMES, _ALL(self), strict=True))

    def sums(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in SUMMED}


_NAMES = tuple(each.name for each in fields(Booking))
_ALL = attrgetter(*_NAMES)
NOTHING = Booking()


def call_shares(row: TokenUsage, earlier: Booking, old_model: str) -> list[Share]:
    """What the closing of ``row`` adds by model and operation, and to the kinds of its story.

    A late answer may name another model than was booked: the first one gives everything back.
    """
    now = Booking.of(row)
    more = now.beyond(earlier)
    by_model = {row.model: more}
    if row.model != old_model and earlier != NOTHING:
        by_model = {old_model: NOTHING.beyond(earlier), row.model: now}
    shares = [_call(Dimension.MODEL, model, each) for model, each in by_model.items()]
    shares.append(_call(Dimension.OPERATION, row.operation, more))
    if row.story is not None:
        shares += shares_of(row.story, more.sums())
    return shares


def kind_shares(row: TokenUsage, booked: Booking) -> list[Share]:
    """What ``booked`` adds by the model and the operation of the row."""
    return [
        _call(Dimension.MODEL, row.model, booked), _call(Dimension.OPERATION, row.operation, booked)
    ]  # fmt: skip


def _call(dimension: str, key: str, booked: Booking) -> Share:
    return Share(dimension, key, {"count": booked.calls, **booked.sums()})


def story_shares(story: Story, attempts: Iterable[UUID]) -> list[Share]:
    """What a new story adds by tone, priority and source, with the cost of its attempts.

    Call it after the attempts' rows were given to the story: a late close then sees the story and
    brings the difference itself.
    """
    rows = TokenUsage.objects.filter(attempt__in=list(attempts)).exclude(state__in=TokenUsage.OPEN)
    spent = rows.aggregate(
        **{name: Sum(name, default=0) for name in SUMMED if name != "bounded"},
        bounded=Count("pk", filter=Q(state=TokenUsage.State.BOUNDED)),
    )
    return shares_of(story, {"count": 1, "words": story.word_count, **spent})


def source_key(story: Story) -> str:
    """The source as its credit names it; a story without a post is named by its origin."""
    return credit(story.post.source.locator) if story.post is not None else str(story.origin)


def shares_of(story: Story, sums: Mapping[str, int]) -> list[Share]:
    keys = (
        (Dimension.TONE, story.tone),
        (Dimension.PRIORITY, story.priority),
        (Dimension.SOURCE, source_key(story)),
    )
    return [Share(dimension, str(key), sums) for dimension, key in keys]
