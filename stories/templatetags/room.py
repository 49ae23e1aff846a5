"""How the writers' room is put into words on pages and in frames."""

from __future__ import annotations

from django import template

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
