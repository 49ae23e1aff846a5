"""How the writers' room is put into words on pages and in frames.

How scores are put into words on pages and in frames.
"""

from __future__ import annotations

from django import template

from stories.posts.queue import AGEING_PER_DAY
from stories.posts.scoring import INTEREST, WEIGHTS
from stories.sources.registry import KINDS

register = template.Library()


SHORT = 4  # lines


STATE_WORDS = {
    "running": "At work",
    "waiting": "Waiting",
    "finished": "Finished",
    "failed": "Failed",
    "expired": "Expired",
}

PHASE_WORDS = {
    "research": "The researcher looks through posts and stories",
    "outline": "The outline is made",
    "writing": "The writer writes",
    "review": "The reader reviews what was written",
    "final": "The expert has the last word",
    "done": "All have spoken",
}

KIND_WORDS = {
    "research": "what was found",
    "outline": "an outline",
    "text": "a text",
    "review": "a review",
    "verdict": "a verdict",
}

ICONS = {
    "researcher": "search",
    "writer": "pen-line",
    "reader": "glasses",
    "expert": "scale",
    "human": "user",
}


@register.filter
def draft_word(state: str) -> str:
    """Name a state of a draft for people."""
    return STATE_WORDS.get(state, state)


@register.filter
def phase_word(phase: str) -> str:
    """Say what is done in a phase of a draft."""
    return PHASE_WORDS.get(phase, phase)


@register.filter
def kind_word(kind: str) -> str:
    """Name what an agent hands over."""
    return KIND_WORDS.get(kind, kind)


@register.filter
def role_icon(role: str) -> str:
    return ICONS.get(role, "user")


@register.filter
def opening(text: str) -> str:
    """The first lines of what an agent said; all of it when it is short."""
    lines = text.splitlines()
    return text if len(lines) <= SHORT else "\n".join([*lines[:SHORT], "…"])


MINUS = "\N{MINUS SIGN}"

READ_PER_MINUTE = 230


@register.filter
def weight(part: str) -> str:
    """How much a part counts in the priority: ``engagement`` is 40 %."""
    return f"{WEIGHTS[part]:.0%}"


@register.filter
def points_of(share: float | None, part: str) -> str:
    """What a part adds to a score of 0..100: 22 % of engagement, which counts 40 %, is +8.8."""
    return points((share or 0.0) * WEIGHTS[part])


@register.filter
def interest_points(share: float | None) -> str:
    """What an interest of +1 or -1 adds to a score, with its sign."""
    return points((share or 0.0) * INTEREST)


@register.filter
def points(amount: float) -> str:
    """Write a part of a score (0..1) in hundredths with its sign: ``0.031`` is +3.1."""
    return f"{amount * 100:+.1f}".replace("-", MINUS)


@register.simple_tag
def ageing_per_hour() -> str:
    """How many points a post gains in each hour that it waits."""
    return points(AGEING_PER_DAY / 24)


@register.simple_tag
def ageing_per_day() -> int:
    return round(AGEING_PER_DAY * 100)


@register.filter
def reading_time(words: int) -> str:
    """How long a person reads ``words``, in whole minutes."""
    return f"{max(1, round(words / READ_PER_MINUTE))} min read"


@register.filter
def source_icon(kind: str) -> str:
    """Returns the Lucide icon of a kind of source."""
    return KINDS[kind].icon
