"""How scores are put into words on pages and in frames."""

from __future__ import annotations

from django import template

from stories.posts import AGEING_PER_DAY
from stories.scoring import INTEREST, WEIGHTS

register = template.Library()

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
