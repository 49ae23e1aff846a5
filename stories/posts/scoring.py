"""Scores posts by engagement, recency and quality; each part of a score is stored and shown."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from stories.models import Interest
from stories.text.sentences import word_count
from stories.types import FetchedPost, Priority

WEIGHTS = {"engagement": 0.4, "recency": 0.3, "quality": 0.3}
# An interest raises or lowers a score by this, beyond the sum of the other parts.
INTEREST = 0.15
# Of the recent posts of a session, about these shares are "high" and "low".
HIGH_SHARE = 0.18
LOW_SHARE = 0.35
# A post that is older than four half-lives, a day, is never "high".
OLD = 0.0625
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


class ScoredPost(TypedDict):
    """A post that was read from a source, with its score and its state."""

    id: Annotated[int, Field(description="Id of the post.")]
    title: Annotated[str, Field(description="Headline, as plain text.")]
    source: Annotated[str, Field(description="Address of the source: r/NAME, a URL, or demo.")]
    url: Annotated[str, Field(description="Address of the post, or empty.")]
    priority: Annotated[float, Field(description="Score from 0 to 1.")]
    label: Annotated[
        str, Field(description="Place among the session's recent posts: high, medium or low.")
    ]
    parts: Annotated[
        dict[str, float],
        Field(
            description="Parts of the score by name, 0 to 1; interest is 1 or -1; standing is the "
            "share of the recent posts above which it ranks."
        ),
    ]
    reasons: Annotated[list[str], Field(description="Why it has its priority, in words.")]
    state: Annotated[
        str, Field(description="queued, claimed, told (published), skipped, held or failed.")
    ]


@dataclass(frozen=True, slots=True)
class Score:
    """``priority`` is the sum of ``parts`` by WEIGHTS, all 0..1.

    The part "interest" is +1 or -1, and present only when an interest matches.
    """

    priority: float
    parts: dict[str, float]


class Scale:
    """The recent posts of a session, against which a post is "high", "medium" or "low".

    Posts are compared without their recency: otherwise each new post would rank above those that
    were a day old when they were read.
    """

    def __init__(self, recent: Iterable[Mapping[str, float]]) -> None:
        self._weights = sorted(map(_weight, recent))

    def standing(self, parts: Mapping[str, float]) -> float:
        """Returns the share of the recent posts above which a post ranks, 0..1."""
        # One imagined post above and one below, so that among few posts none is at an end.
        return round((self._below(parts) + 1) / (len(self._weights) + 1), 4)

    def label(self, parts: Mapping[str, float]) -> Priority:
        """Returns the label of a post, which is itself one of the recent ones."""
        better = len(self._weights) - bisect_right(self._weights, _weight(parts))
        as_good = len(self._weights) - self._below(parts)
        # Many equal posts are not all "high", and not all "low" if none is better.
        if as_good / (len(self._weights) + 1) < HIGH_SHARE and parts.get("recency", 1.0) >= OLD:
            return "high"
        return "low" if better and self.standing(parts) < LOW_SHARE else "medium"

    def _below(self, parts: Mapping[str, float]) -> int:
        return bisect_left(self._weights, _weight(parts))


def _weight(parts: Mapping[str, float]) -> float:
    return priority_of({**parts, "recency": 0.0})


def reasons(parts: Mapping[str, float]) -> list[str]:
    """Returns in plain words why a post has its priority, the most important reason first."""
    rows = (
        (parts.get("interest", 0) > 0, "matches an interest"),
        (parts.get("interest", 0) < 0, "matches an interest to read less of"),
        (parts.get("engagement", 0.0) >= 0.3, "many votes and comments"),
        (parts.get("engagement", 1.0) < 0.02, "few votes"),
        (parts.get("recency", 0.0) >= 0.8, "fresh"),
        (parts.get("recency", 1.0) < OLD, "older than a day"),
        (parts.get("quality", 0.0) >= 0.85, "full text"),
        (parts.get("quality", 1.0) < 0.6, "little text"),
        ("standing" in parts, f"ranks above {parts.get('standing', 0):.0%} of the recent posts"),
    )
    return [reason for applies, reason in rows if applies]


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
    return Score(priority, parts)


def priority_of(parts: Mapping[str, float]) -> float:
    """Returns the weighted sum of the parts, 0..1."""
    usual = sum(WEIGHTS[name] * parts.get(name, 0.0) for name in WEIGHTS)
    return round(min(max(usual + INTEREST * parts.get("interest", 0), 0.0), 1.0), 4)


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


MOST_READ = 4000  # characters of a body

_WORD = re.compile(r"[^\W_]+")
_SHORTEST_PLURAL = 4
_NO_PLURAL = frozenset({"news", "mars", "texas", "wales", "paris", "chess", "lens"})


def folded(text: str) -> str:
    """Returns the words of ``text`` as they are compared, separated by single spaces."""
    return " ".join(_singular(word) for word in _WORD.findall(text.casefold()))


def _singular(word: str) -> str:
    """Returns one form for singular and plural; crude, but the same for both."""
    if len(word) < _SHORTEST_PLURAL or word in _NO_PLURAL:
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith(("che", "she", "xe", "sse", "oe")):
        return word[:-1]
    return word[:-2] + "y" if word.endswith("ie") and len(word) > _SHORTEST_PLURAL else word


@dataclass(frozen=True, slots=True)
class Interests:
    """A session's interests: pairs of folded words and their weight, +1 or -1."""

    weights: tuple[tuple[str, int], ...] = ()

    def match(self, *texts: str) -> int:
        """Returns +1 for texts to read more of, -1 for less, 0 for neither or both."""
        if not self.weights:
            return 0
        # Spaces around and between the texts make every match one of whole words.
        # The separator is no word character, so no match reaches from one text into the next.
        whole = " | ".join(folded(text[:MOST_READ]) for text in texts)
        padded = f" {whole} "
        total = sum(weight for words, weight in self.weights if f" {words} " in padded)
        return max(-1, min(total, 1))


def of_session(session_id: UUID) -> Interests:
    """Returns the interests of a session."""
    rows = Interest.objects.filter(session_id=session_id)
    return Interests(tuple((row.folded, row.weight) for row in rows))
