"""How much a post deserves air time: engagement, recency and quality, each shown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from stories.text import word_count
from stories.types import FetchedPost, Priority

WEIGHTS = {"engagement": 0.4, "recency": 0.3, "quality": 0.3}
# What a person wants more or less of is lifted or lowered by this, beyond the sum of the others.
INTEREST = 0.15
HIGH = 0.60
MEDIUM = 0.30
HALF_LIFE_HOURS = 6.0
_FULL_ENGAGEMENT = 1000.0
_DECAY_PER_HOUR = 0.1
_MOST_VOTES = 10**9
_FULL_BODY_WORDS = 150
# Feeds report neither votes nor comments. Silence is no verdict, so it counts like a post with some
# hundred votes and a few comments.
NEUTRAL_ENGAGEMENT = 0.15
# A post without a date is taken for one that is a half-life old.
NEUTRAL_RECENCY = 0.5

_CLICKBAIT = re.compile(
    r"[!?]{2}|!$|\.{3}$|…$|you won.t believe|what happens next|will shock"
    r"|this one (?:weird|simple) trick",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Score:
    """``priority`` is the sum of ``parts`` by WEIGHTS; all 0..1. People filter by the label.

    A part "interest" of +1 or -1 is there when the owner wants more or less of it.
    """

    priority: float
    parts: dict[str, float]
    label: Priority


def score(post: FetchedPost, now: datetime, interest: int = 0) -> Score:
    """Score one post as it stands at ``now`` (aware); ``interest`` is +1, 0 or -1."""
    age = _age_hours(post, now)
    parts = {
        "engagement": engagement(post, age or 0.0),
        "recency": recency(age),
        "quality": quality(post),
    }
    parts = {name: round(value, 4) for name, value in parts.items()}
    if interest:
        parts["interest"] = interest
    priority = weighed(parts)
    return Score(priority, parts, label_of(priority))


def weighed(parts: Mapping[str, float]) -> float:
    """The priority that parts add up to, 0..1."""
    usual = sum(WEIGHTS[name] * parts.get(name, 0.0) for name in WEIGHTS)
    return round(min(max(usual + INTEREST * parts.get("interest", 0), 0.0), 1.0), 4)


def _age_hours(post: FetchedPost, now: datetime) -> float | None:
    if post.published_at is None:
        return None
    return max((now - post.published_at).total_seconds() / 3600, 0.0)


def label_of(priority: float) -> Priority:
    """The word for a priority of 0..1."""
    if priority >= HIGH:
        return "high"
    return "medium" if priority >= MEDIUM else "low"


def engagement(post: FetchedPost, age_hours: float) -> float:
    """Votes and twice the comments, fading with age, full at 1,000; neutral without any."""
    if post.score == 0 and post.comments == 0:
        return NEUTRAL_ENGAGEMENT
    raw = min(max(post.score + 2 * post.comments, 0), _MOST_VOTES)
    return min(raw * math.exp(-_DECAY_PER_HOUR * age_hours) / _FULL_ENGAGEMENT, 1.0)


def recency(age_hours: float | None) -> float:
    """1 when new, half of it after each six hours; None means that no date was given."""
    return NEUTRAL_RECENCY if age_hours is None else math.exp2(-age_hours / HALF_LIFE_HOURS)


def quality(post: FetchedPost) -> float:
    """What shows without understanding: a headline, a text, a link, no shouting, no bait."""
    return (
        0.25 * _headline(post.title)
        + 0.35 * min(word_count(post.body) / _FULL_BODY_WORDS, 1.0)
        + 0.15 * bool(post.url)
        + 0.10 * (not _shouts(post.title))
        + 0.15 * (_CLICKBAIT.search(post.title) is None)
    )


def _headline(title: str) -> float:
    """Full marks from five to twenty words, less outside."""
    words = word_count(title)
    return words / 5 if words < 5 else min(20 / words, 1.0)


def _shouts(title: str) -> bool:
    letters = [char for char in title if char.isalpha()]
    return len(letters) > 10 and sum(char.isupper() for char in letters) > 0.6 * len(letters)
