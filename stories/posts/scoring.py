"""Scores posts by engagement, recency and quality; each part of a score is stored and shown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from stories.text.sentences import word_count
from stories.types import FetchedPost, Priority

WEIGHTS = {"engagement": 0.4, "recency": 0.3, "quality": 0.3}
# An interest raises or lowers a score by this, beyond the sum of the other parts.
INTEREST = 0.15
HIGH = 0.60
MEDIUM = 0.30
HALF_LIFE_HOURS = 6.0
_FULL_ENGAGEMENT = 1000.0
_DECAY_PER_HOUR = 0.1
_MOST_VOTES = 10**9
_FULL_BODY_WORDS = 150
# Feeds report neither votes nor comments. A post without any counts like one with about a hundred
# votes and a few comments, so that feeds do not lose against Reddit.
NEUTRAL_ENGAGEMENT = 0.15
# A post without a date counts like one that is a half-life old.
NEUTRAL_RECENCY = 0.5

_CLICKBAIT = re.compile(
    r"[!?]{2}|!$|\.{3}$|…$|you won.t believe|what happens next|will shock"
    r"|this one (?:weird|simple) trick",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Score:
    """``priority`` is the sum of ``parts`` by WEIGHTS, all 0..1; ``label`` is it in words.

    The part "interest" is +1 or -1, and present only when an interest matches.
    """

    priority: float
    parts: dict[str, float]
    label: Priority


def score(post: FetchedPost, now: datetime, interest: int = 0) -> Score:
    """Returns the score of a post at ``now`` (aware); ``interest`` is +1, 0 or -1."""
    age = None
    if post.published_at is not None:
        age = max((now - post.published_at).total_seconds() / 3600, 0.0)
    parts = {
        "engagement": engagement(post, age or 0.0),
        "recency": recency(age),
        "quality": quality(post),
    }
    parts = {name: round(value, 4) for name, value in parts.items()}
    if interest:
        parts["interest"] = interest
    priority = priority_of(parts)
    return Score(priority, parts, label_of(priority))


def priority_of(parts: Mapping[str, float]) -> float:
    """Returns the weighted sum of the parts, 0..1."""
    usual = sum(WEIGHTS[name] * parts.get(name, 0.0) for name in WEIGHTS)
    return round(min(max(usual + INTEREST * parts.get("interest", 0), 0.0), 1.0), 4)


def label_of(priority: float) -> Priority:
    """Returns the label of a priority of 0..1."""
    if priority >= HIGH:
        return "high"
    return "medium" if priority >= MEDIUM else "low"


def engagement(post: FetchedPost, age_hours: float) -> float:
    """Returns votes plus twice the comments, decaying with age; 1 at 1,000, neutral at none."""
    if post.score == 0 and post.comments == 0:
        return NEUTRAL_ENGAGEMENT
    # Bounded, so that an absurd count of a feed cannot overflow the exponential.
    raw = min(max(post.score + 2 * post.comments, 0), _MOST_VOTES)
    return min(raw * math.exp(-_DECAY_PER_HOUR * age_hours) / _FULL_ENGAGEMENT, 1.0)


def recency(age_hours: float | None) -> float:
    """Returns 1 for a new post, halved every six hours; None means that it has no date."""
    return NEUTRAL_RECENCY if age_hours is None else math.exp2(-age_hours / HALF_LIFE_HOURS)


def quality(post: FetchedPost) -> float:
    """Returns the quality of form: a headline, a text, a link, few capitals, no clickbait."""
    words = word_count(post.title)
    # Full marks for a headline of five to twenty words.
    headline = words / 5 if words < 5 else min(20 / words, 1.0)
    letters = [char for char in post.title if char.isalpha()]
    capitals = sum(char.isupper() for char in letters)
    # Short headlines such as "NASA" are not judged.
    shouts = len(letters) > 10 and capitals > 0.6 * len(letters)
    return (
        0.25 * headline
        + 0.35 * min(word_count(post.body) / _FULL_BODY_WORDS, 1.0)
        + 0.15 * bool(post.url)
        + 0.10 * (not shouts)
        + 0.15 * (_CLICKBAIT.search(post.title) is None)
    )
