"""Scores of trends: a score of weighted parts, and the momentum and phase of a trend.

Momentum and phase follow from the latest twelve buckets: four windows of three. The newest window is
"recent"; the mean of the windows before it, back to the first post of the session, is the baseline.

- momentum = log2((recent + 1) / (expected + 1)) / 3, limited to -1..1: 0 is as expected, 1 is eight
  times as much. For a source, the baseline is expected. For a keyword, the baseline is scaled by the
  change in all posts of the session, so that a burst of posts does not lift every keyword and a pause
  does not sink it. Without a whole window of history it is 0.
- phase: rising when momentum is at least 0.1; falling when it is at most -0.1; peak when it is
  neither, but was rising one window ago; steady otherwise.
- score = 100 times the sum of the parts by WEIGHTS; every part is 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

BUCKETS = 12
WINDOW = 3
WINDOWS = BUCKETS // WINDOW
FULL_MOMENTUM = 3.0
STEADY = 0.1
FAST = 0.4
FULL_ENGAGEMENT = 1000.0  # votes and twice the comments of one post
HALF_LIFE_BUCKETS = 6

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
    "momentum": "the latest three buckets against the expected number",
    "engagement": "votes and twice the comments per post, full at 1,000",
    "priority": "mean priority of its posts",
    "freshness": "halves with every six buckets without a post",
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
