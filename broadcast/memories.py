"""What is sent along with a question: as much of what was told as helps, and no more.

Narration gets the latest titles and what was told before them, summed up; chat and drafts get the
sum of the broadcast besides their own messages.
"""

from __future__ import annotations

from dataclasses import dataclass

from sessions_app import chain
from sessions_app.models import AILink, Chain, Session
from stories import feed
from stories.text import clean_line, tokens_of, within

MOST_TOKENS = 200
MOST_SUMMARY = 120
MOST_TITLE = 120  # characters
TITLES = 10


@dataclass(frozen=True, slots=True)
class Memory:
    """``head`` is the latest link whose content is in it; ``titles`` are the newest first."""

    head: AILink | None = None
    summary: str = ""
    titles: tuple[str, ...] = ()


def told(session: Session) -> Memory:
    """What a narrator is to know of the programme so far: at most ``MOST_TOKENS`` tokens."""
    base = _base(session)
    summary = within(base.summary, MOST_SUMMARY) if base else ""
    left = MOST_TOKENS - tokens_of(summary)
    titles: list[str] = []
    for title in _titles(session, base):
        left -= tokens_of(title) + 1
        if left < 0:
            break
        titles.append(title)
    head = chain.last(session) if titles else base
    return Memory(head, summary, tuple(titles))


def _base(session: Session) -> AILink | None:
    found = Chain.objects.filter(session=session).select_related("base").first()
    return found.base if found else None


def _titles(session: Session, base: AILink | None) -> list[str]:
    """Headlines told since the base, newest first."""
    rows = feed.of_session(session)
    if base is not None:
        rows = rows.filter(created_at__gt=base.created_at)
    lines = (
        clean_line(title, MOST_TITLE) for title in rows.values_list("title", flat=True)[:TITLES]
    )
    return [line for line in lines if line]
