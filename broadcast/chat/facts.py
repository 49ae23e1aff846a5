"""What the producer knows when it is asked: rows of this one session, few and short.

What an answerer is given and gives back; the same for a model and for rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from broadcast import airing, orchestrator
from broadcast.chat.conversation import Exchange
from broadcast.host import memory
from broadcast.host.memory import Memory
from sessions_app.events import recorder
from sessions_app.models import Session, SessionStats
from sessions_app.money import dollars
from stories import stories
from stories.drafting import boards
from stories.market.ngrams import STOP_WORDS
from stories.models import SourcePost, Story
from stories.posts import interests, queue
from stories.search import query
from stories.search.query import Query
from stories.text import clean_line, credit, word_set

MOST_NEXT = 8

MOST_FOUND = 6

MOST_WORDS = 6

_TITLE, _SUMMARY = 120, 240  # characters

_WORD = re.compile(r"[^\W_]{2,40}")

# Words of questions that name no subject.
_ASKING = word_set("please hear heard story stories tell told broadcast programme special")


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it is JSON but ``memory``; titles and summaries were written by strangers."""

    name: str
    state: str
    on_air: str | None
    settings: dict[str, Any]
    figures: dict[str, Any]
    stories_waiting: list[dict[str, Any]]
    next: list[dict[str, Any]]
    interests: list[dict[str, Any]]
    keywords: list[str]
    found: list[dict[str, Any]]
    memory: Memory

    def as_json(self) -> dict[str, Any]:
        shown = {name: each for name, each in asdict(self).items() if name != "memory"}
        told = {"before": self.memory.summary, "latest": list(self.memory.titles)}
        return shown | {"told": told}


def gather(session: Session, text: str) -> Facts:
    """What helps to answer ``text``, in a constant number of queries."""
    air, on_air = orchestrator.air(session), airing.now_airing(session)
    return Facts(
        name=session.name,
        state=air["state"],
        on_air=_line(on_air.story.title) if on_air else None,
        settings=_settings(session),
        figures=_figures(session),
        stories_waiting=[_story(each) for each in stories.next_up(session)[:MOST_NEXT]],
        next=[_post(each) for each in queue.waiting(session)[:MOST_NEXT]],
        interests=interests.of_session(session),
        keywords=sorted(boards.texts(session))[:40],
        found=[_story(each) for each in found_stories(session, subject_of(text))],
        memory=memory.told(session),
    )


def _line(text: str) -> str:
    return clean_line(text, _TITLE)


def _settings(session: Session) -> dict[str, Any]:
    names = ("personality", "verbosity", "pace", "language", "instructions", "control_mode")
    return {name: getattr(session, name) for name in names}


def _figures(session: Session) -> dict[str, Any]:
    found = recorder.figures(SessionStats.objects.get(session=session))
    exact = found["cost_lower"] == found["cost_upper"]
    cost = dollars(found["cost_lower"])
    return {
        "story_count": found["story_count"],
        "words": found["words"],
        "total_tokens": found["total_tokens"],
        "feed": found["feed"],
        "queue": found["queue"],
        "messages": found["messages"],
        "unpriced": found["unpriced"],
        "cost": cost if exact else f"{cost} to {dollars(found['cost_upper'])}",
        "budget": None if session.budget is None else dollars(session.budget),
        "left": None if session.budget is None else dollars(session.budget - found["cost_upper"]),
    }


def _post(post: SourcePost) -> dict[str, Any]:
    return {
        "post": post.pk,
        "title": _line(post.title),
        "source": credit(post.source.locator)[:60],
        "score": round(post.priority * 100),
        "pinned": post.pinned,
    }


def _story(story: Story) -> dict[str, Any]:
    return {
        "story": story.pk,
        "title": _line(story.title),
        "summary": clean_line(story.summary or story.narrative, _SUMMARY),
        "state": str(story.state),
        "at": recorder.timestamp(story.created_at),
    }


def subject_of(text: str) -> tuple[str, ...]:
    """The words of a question that name what it is about, in their order."""
    words = dict.fromkeys(word.casefold() for word in _WORD.findall(text[:500]))
    return tuple(word for word in words if word not in STOP_WORDS | _ASKING)[:MOST_WORDS]


def found_stories(session: Session, words: Sequence[str]) -> list[Story]:
    """Stories with all of the words, else with any of them, newest first."""
    if not words:
        return []
    whole = _search(session, words)
    if whole or len(words) == 1:
        return whole
    any_ = {story.pk: story for word in words for story in _search(session, (word,))}
    return sorted(any_.values(), key=lambda story: -story.pk)[:MOST_FOUND]


def _search(session: Session, words: Sequence[str]) -> list[Story]:
    rows = query.stories(session, Query(terms=tuple((word,) for word in words)))
    return list(rows.exclude(state__in=("vetoed", "killed"))[:MOST_FOUND])


Wanted = tuple[str, dict[str, Any]]

"""The name of a command and its payload, as proposed and not yet checked."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One question with all that may be known to answer it."""

    session: Session
    text: str
    facts: Facts
    earlier: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said, and which commands are proposed; ``code`` names what went wrong."""

    text: str
    wanted: tuple[Wanted, ...] = ()
    code: str = ""


class Answerer(Protocol):
    """Answers one inquiry, telling ``on_text`` the whole text so far.

    Raises Retry, WaitUntil or NeedsHuman, and lets StaleClaim from ``on_text`` pass.
    """

    model: str

    def answer(self, inquiry: Inquiry, on_text: Callable[[str], None]) -> Reply: ...
