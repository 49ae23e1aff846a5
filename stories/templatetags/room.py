"""How the writers' room is put into words on pages and in frames."""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()

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
def stories_among(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cited sources that are stories of the session: each has a page of its own."""
    return [each for each in sources if each["kind"] == "story"]
