"""The figures that a ledger row and a story add to their session: counters, series and tallies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter

from sessions_app.events.statistics import Share
from sessions_app.models import Tally
from stories.models import Story, TokenUsage
from stories.text.addresses import credit

Dimension = Tally.Dimension
COUNTED = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_lower",
    "cost_upper",
    "cache_saved",
    "unpriced",
)
SUMMED = ("input_tokens", "output_tokens", "cost_lower", "cost_upper", "bounded")


@dataclass(frozen=True, slots=True)
class Booking:
    """The amounts that a ledger row adds to the figures; all zero while it is open."""

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
        """Returns the amounts of a row; a bounded one counts with its input and lower bounds."""
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

    def minus(self, other: Booking) -> Booking:
        """Returns the difference to ``other``; it can be negative."""
        # One attrgetter call for each side is much faster than a getattr for every field.
        pairs = zip(_NAMES, _ALL(self), _ALL(other), strict=True)
        return Booking(**{name: own - before for name, own, before in pairs})

    def counters(self) -> dict[str, int]:
        """Returns the amounts that are counters of the session."""
        return {name: getattr(self, name) for name in COUNTED}

    def measures(self) -> dict[str, int]:
        """Returns the amounts that only the buckets over time have."""
        return {name: getattr(self, name) for name in _NAMES if name not in COUNTED}

    def figures(self) -> dict[str, int]:
        """Returns all amounts that are not zero."""
        return {name: getattr(self, name) for name in _NAMES if getattr(self, name)}

    def sums(self) -> dict[str, int]:
        """Returns the amounts that the tallies sum up."""
        return {name: getattr(self, name) for name in SUMMED}


_NAMES = tuple(field.name for field in fields(Booking))
_ALL = attrgetter(*_NAMES)
NOTHING = Booking()


def call_shares(row: TokenUsage, earlier: Booking, old_model: str) -> list[Share]:
    """Returns what the closing of ``row`` adds to the tallies of its model, operation and story.

    ``earlier`` was booked before, under ``old_model``. When a late answer names another model, the
    amounts of the old one are taken back.
    """
    booked = Booking.of(row)
    added = booked.minus(earlier)
    by_model = {row.model: added}
    # The tally of the old model holds what was booked under it, so only its own amounts are taken
    # off.
    if row.model != old_model and earlier != NOTHING:
        by_model = {old_model: NOTHING.minus(earlier), row.model: booked}
    shares = [_call(Dimension.MODEL, model, amounts) for model, amounts in by_model.items()]
    shares.append(_call(Dimension.OPERATION, row.operation, added))
    if row.story is not None:
        shares += shares_of(row.story, added.sums())
    return shares


def kind_shares(row: TokenUsage, booked: Booking) -> list[Share]:
    """Returns what ``booked`` adds to the tallies of the row's model and operation."""
    return [
        _call(Dimension.MODEL, row.model, booked),
        _call(Dimension.OPERATION, row.operation, booked),
    ]


def _call(dimension: str, key: str, booked: Booking) -> Share:
    return Share(dimension, key, {"count": booked.calls, **booked.sums()})


def story_shares(story: Story, calls: Iterable[TokenUsage]) -> list[Share]:
    """Returns what a new story adds to the tallies of its tone, priority and source.

    This includes the cost of its calls, as they are after they refer to the story: one that closes
    later then adds the difference.
    """
    sums = {"count": 1, "words": story.word_count, **NOTHING.sums()}
    for call in calls:
        # An open one adds nothing yet; its own closing adds it to the same shares.
        for name, number in Booking.of(call).sums().items():
            sums[name] += number
    return shares_of(story, sums)


def source_key(story: Story) -> str:
    """Returns the key of the story's source: its public name, or the origin without a post."""
    return credit(story.post.source.locator) if story.post is not None else str(story.origin)


def shares_of(story: Story, sums: Mapping[str, int]) -> list[Share]:
    """Returns ``sums`` as shares of the story's tone, priority and source."""
    keys = (
        (Dimension.TONE, story.tone),
        (Dimension.PRIORITY, story.priority),
        (Dimension.SOURCE, source_key(story)),
    )
    return [Share(dimension, str(key), sums) for dimension, key in keys]
