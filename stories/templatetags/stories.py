"""Template filters and tags for drafts, sources, scores of posts and reading times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html_join

from stories import artwork as pictures
from stories.drafting.offline_agent import HEADINGS
from stories.posts.queue import AGEING_PER_DAY
from stories.posts.scoring import INTEREST, WEIGHTS
from stories.sources.registry import KINDS

register = template.Library()


SHORT_LINES = 4


STATE_WORDS = {
    "running": "At work",
    "waiting": "Waiting",
    "finished": "Finished",
    "failed": "Failed",
    "expired": "Expired",
}

PHASE_WORDS = {
    "research": "Posts and stories are read",
    "outline": "The outline is made",
    "writing": "The text is written",
    "review": "The text is reviewed",
    "final": "The final check",
    "done": "Every step is done",
}

KIND_WORDS = {
    "research": "the research",
    "outline": "an outline",
    "text": "a text",
    "review": "a review",
    "verdict": "a verdict",
}

# What a turn did in which no model took part.
STEP_WORDS = {
    "research": "Passages collected",
    "outline": "Order planned",
    "text": "Dossier assembled",
    "review": "Checked by rule",
    "verdict": "Final check by rule",
}

ORIGIN_WORDS = {
    "model": "by a model",
    "extractive": "in the post's own words",
    "manual": "by hand",
    "draft": "from a draft",
    "legacy": "imported",
}

POST_WORDS = {"queued": "waiting", "claimed": "being written", "told": "published"}

ICONS = {
    "researcher": "search",
    "writer": "pen-line",
    "reader": "glasses",
    "expert": "scale",
    "human": "user",
}


@register.filter
def draft_word(state: str) -> str:
    """Returns the name of a draft's state."""
    return STATE_WORDS.get(state, state)


@register.filter
def phase_word(phase: str) -> str:
    """Returns a description of a draft's phase."""
    return PHASE_WORDS.get(phase, phase)


@register.filter
def kind_word(kind: str) -> str:
    """Returns the name of a kind of hand-over."""
    return KIND_WORDS.get(kind, kind)


@register.filter
def step_word(kind: str) -> str:
    """Returns what a turn without a model did."""
    return STEP_WORDS.get(kind, kind)


@register.filter
def origin_word(origin: str) -> str:
    """Returns who or what wrote a story."""
    return ORIGIN_WORDS.get(origin, origin)


@register.filter
def post_word(state: str) -> str:
    """Returns the name of a post's state."""
    return POST_WORDS.get(state, state)


@register.filter
def role_icon(role: str) -> str:
    return ICONS.get(role, "user")


@register.filter
def dossier(text: str) -> str:
    """Returns the paragraphs of a text that was assembled without a model, with its headings."""
    parts = [part for part in text.split("\n") if part.strip()]
    return format_html_join(
        "\n", "<{0}>{1}</{0}>", (("h4" if part in HEADINGS else "p", part) for part in parts)
    )


@register.filter
def opening(text: str) -> str:
    """Returns the first lines of a hand-over, or all of a short one."""
    lines = text.splitlines()
    return text if len(lines) <= SHORT_LINES else "\n".join([*lines[:SHORT_LINES], "…"])


MINUS = "\N{MINUS SIGN}"

READ_PER_MINUTE = 230


@register.filter
def weight(part: str) -> str:
    """Returns the weight of a part of the priority: ``engagement`` is 40 %."""
    return f"{WEIGHTS[part]:.0%}"


@register.filter
def points_of(share: float | None, part: str) -> str:
    """Returns what a part adds to a score of 0..100: 22 % of engagement, weighted 40 %, is +8.8."""
    return points((share or 0.0) * WEIGHTS[part])


@register.filter
def interest_points(share: float | None) -> str:
    """Returns what an interest of +1 or -1 adds to a score, with its sign."""
    return points((share or 0.0) * INTEREST)


@register.filter
def points(amount: float) -> str:
    """Returns a part of a score (0..1) in hundredths with its sign: ``0.031`` is +3.1."""
    return f"{amount * 100:+.1f}".replace("-", MINUS)


@register.simple_tag
def ageing_per_hour() -> str:
    """Returns the points that a post gains with each hour in the queue."""
    return points(AGEING_PER_DAY / 24)


@register.simple_tag
def ageing_per_day() -> int:
    return round(AGEING_PER_DAY * 100)


@register.filter
def reading_time(words: int) -> str:
    """Returns the time a person needs to read ``words``, in whole minutes."""
    return f"{max(1, round(words / READ_PER_MINUTE))} min read"


@register.filter
def source_icon(kind: str) -> str:
    """Returns the Lucide icon of a kind of source."""
    return KINDS[kind].icon


@register.filter
def artwork(story: Mapping[str, Any]) -> str:
    """Returns the address of the artwork of a story, which is that of its thread if it has one."""
    thread = story.get("thread")
    number = thread["id"] if thread else story["id"]
    texts = [*(story.get("topics") or []), story["title"]]
    return reverse("artwork", args=[pictures.name_of(number, texts)])
