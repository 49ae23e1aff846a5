"""How scores are put into words on pages and in frames."""

from __future__ import annotations

from django import template

from stories.scoring import WEIGHTS

register = template.Library()

READ_PER_MINUTE = 230


@register.filter
def weight(part: str) -> str:
    """How much a part counts in the priority: ``engagement`` is 40 %."""
    return f"{WEIGHTS[part]:.0%}"


@register.filter
def reading_time(words: int) -> str:
    """How long a person reads ``words``, in whole minutes."""
    return f"{max(1, round(words / READ_PER_MINUTE))} min read"
