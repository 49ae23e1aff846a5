"""What is sent along with a question: as much of what was told as helps, and no more.

Narration gets the latest titles and what was told before them, summed up; chat and drafts get the
sum of the broadcast besides their own messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from sessions_app import chain
from sessions_app.models import AILink, Session
from stories import feed
from stories.models import Story
from stories.text import clean_line, tokens_of, within

MOST_TOKENS = 80
MOST_SUMMARY = 60
MOST_TITLE = 120  # characters
MOST_RETOLD = 100  # characters
TITLES = 2
_FRAME = 4  # tokens of JSON around a text
UNTOLD = (Story.State.VETOED, Story.State.KILLED)
WEIGHT = (Story.Priority.HIGH, Story.Priority.MEDIUM, Story.Priority.LOW)


@dataclass(frozen=True, slots=True)
class Memory:
    """``head`` is the latest link whose content is in it; ``titles`` are the newest first."""

    head: AILink | None = None
    summary: str = ""
    titles: tuple[str, ...] = ()


def told(session: Session) -> Memory:
    """What a narrator is to know of the programme so far: at most ``MOST_TOKENS`` tokens."""
    start = chain.base(session)
    summary = within(start.summary, MOST_SUMMARY) if start else ""
    left = MOST_TOKENS - tokens_of(summary)
    titles: list[str] = []
    for title in _titles(session, start):
        left -= tokens_of(title) + 1
        if left < 0:
            break
        titles.append(title)
    head = chain.last(session) if titles else start
    return Memory(head, summary, tuple(titles))


def since(session: Session, start: AILink | None) -> QuerySet[Story]:
    """The stories told since what ``start`` knew, newest first; of those it knew, the last again.

    A story is stored after its link, so that none is missed.
    """
    rows = feed.of_session(session).exclude(state__in=UNTOLD)
    if start is None:
        return rows
    return rows.filter(created_at__gt=(start.context_head or start).created_at)


def _titles(session: Session, start: AILink | None) -> list[str]:
    """Headlines told since the base, newest first."""
    found = since(session, start).values_list("title", flat=True)[:TITLES]
    return [line for line in (clean_line(title, MOST_TITLE) for title in found) if line]


def retold(stories: Sequence[Story], most: int) -> list[dict[str, str]]:
    """Headlines of ``stories`` (newest first) within ``most`` tokens, in the order they were told.

    The newest have their first sentences too, as far as there is room.
    """
    kept: list[dict[str, str]] = []
    for story in stories:
        most -= tokens_of(clean_line(story.title, MOST_TITLE)) + _FRAME
        if most < 0:
            break
        kept.append({"title": clean_line(story.title, MOST_TITLE)})
    for one, story in zip(kept, stories, strict=False):
        told = clean_line(story.summary or story.narrative, MOST_RETOLD)
        most -= tokens_of(told) + _FRAME
        if most < 0:
            break
        one["told"] = told
    return kept[::-1]


def headlines(stories: Sequence[Story], most: int) -> str:
    """The weightiest headlines of ``stories`` (newest first) within ``most`` tokens, as told."""
    kept: list[Story] = []
    for story in sorted(stories, key=lambda one: WEIGHT.index(one.priority)):
        cost = tokens_of(_sentence(story))
        if cost <= most:
            most -= cost
            kept.append(story)
    return " ".join(_sentence(story) for story in reversed(stories) if story in kept)


def _sentence(story: Story) -> str:
    title = clean_line(story.title, MOST_TITLE)
    return title if title.endswith((".", "!", "?", "…")) else f"{title}."
