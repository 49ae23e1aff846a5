"""The input and output of answerers: facts about one session, the question, and the reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from django.db.models import QuerySet
from typing_extensions import TypedDict

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
from stories.sources.registry import credit_of
from stories.text.cleaning import clean_line
from stories.text.sentences import word_set

MOST_NEXT = 8
MOST_MATCHES = 6
MOST_WORDS = 6
MOST_KEYWORDS = 40
TITLE_LENGTH, SUMMARY_LENGTH, SOURCE_LENGTH = 120, 240, 60  # characters
# These settings shape how the host speaks, so the producer may name them.
NAMED_SETTINGS = ("personality", "verbosity", "pace", "language", "instructions", "control_mode")

_WORD = re.compile(r"[^\W_]{2,40}")
# Words of questions that name no subject.
_QUESTION_WORDS = word_set(
    "please hear heard story stories tell told broadcast programme special many number count often "
    "times cover covered coverage wrote written aired air read reported reports news items today yet "
    "whats find search mentioned mention post posts item"
)


class FigureFacts(TypedDict):
    """The session's figures; amounts of money are texts with a currency sign."""

    story_count: int
    words: int
    total_tokens: int
    feed: int
    queue: int
    messages: int
    unpriced: int
    cost: str
    budget: str | None
    left: str | None


class StoryFacts(TypedDict):
    """A story, shortened."""

    story: int
    title: str
    summary: str
    state: str
    at: str


class PostFacts(TypedDict):
    """A queued post; ``score`` is a percentage."""

    post: int
    title: str
    source: str
    score: int
    pinned: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything an answerer may know; all of it is JSON except ``memory``.

    Titles and summaries come from feeds and are not trusted.
    """

    name: str
    state: str
    on_air: str | None
    on_air_story: int | None
    settings: Mapping[str, str | int]
    figures: FigureFacts
    stories_waiting: Sequence[StoryFacts]
    next: Sequence[PostFacts]
    held: Sequence[PostFacts]
    interests: Sequence[Mapping[str, object]]
    keywords: Sequence[str]
    found: Sequence[StoryFacts]
    found_count: int  # stories with all of the words
    memory: Memory

    def as_json(self) -> dict[str, object]:
        """Returns the facts as a prompt shows them."""
        shown = {name: value for name, value in asdict(self).items() if name != "memory"}
        told = {"before": self.memory.summary, "latest": list(self.memory.titles)}
        return shown | {"told": told}


def gather(session: Session, text: str) -> Facts:
    """Reads the facts that help to answer ``text``, in a constant number of queries."""
    air, on_air = orchestrator.latest_payload(session), airing.now_airing(session)
    words = subject_of(text)
    held = SourcePost.objects.filter(session=session, state=SourcePost.State.HELD)
    return Facts(
        name=session.name,
        state=air["state"],
        on_air=clean_line(on_air.story.title, TITLE_LENGTH) if on_air else None,
        on_air_story=on_air.story_id if on_air else None,
        settings={name: getattr(session, name) for name in NAMED_SETTINGS},
        figures=figure_facts(session),
        stories_waiting=[story_facts(story) for story in stories.next_up(session)[:MOST_NEXT]],
        next=[post_facts(post) for post in queue.waiting(session)[:MOST_NEXT]],
        held=[
            post_facts(post) for post in held.select_related("source").order_by("id")[:MOST_NEXT]
        ],
        interests=interests.of_session(session),
        keywords=sorted(boards.texts(session))[:MOST_KEYWORDS],
        found=[story_facts(story) for story in matching_stories(session, words)],
        found_count=stories_with(session, words).count() if words else 0,
        memory=memory.of_session(session),
    )


def figure_facts(session: Session) -> FigureFacts:
    figures = recorder.figures(SessionStats.objects.get(session=session))
    cost = dollars(figures["cost_lower"])
    if figures["cost_lower"] != figures["cost_upper"]:
        cost = f"{cost} to {dollars(figures['cost_upper'])}"
    budget = session.budget
    return {
        "story_count": figures["story_count"],
        "words": figures["words"],
        "total_tokens": figures["total_tokens"],
        "feed": figures["feed"],
        "queue": figures["queue"],
        "messages": figures["messages"],
        "unpriced": figures["unpriced"],
        "cost": cost,
        "budget": None if budget is None else dollars(budget),
        "left": None if budget is None else dollars(budget - figures["cost_upper"]),
    }


def post_facts(post: SourcePost) -> PostFacts:
    return {
        "post": post.pk,
        "title": clean_line(post.title, TITLE_LENGTH),
        "source": credit_of(post)[:SOURCE_LENGTH],
        "score": round(post.priority * 100),
        "pinned": post.pinned,
    }


def story_facts(story: Story) -> StoryFacts:
    return {
        "story": story.pk,
        "title": clean_line(story.title, TITLE_LENGTH),
        "summary": clean_line(story.summary or story.narrative, SUMMARY_LENGTH),
        "state": str(story.state),
        "at": recorder.timestamp(story.created_at),
    }


def subject_of(text: str) -> tuple[str, ...]:
    """Returns the words of a question that name its subject, in their order."""
    words = dict.fromkeys(word.casefold() for word in _WORD.findall(text[:500]))
    return tuple(word for word in words if word not in STOP_WORDS | _QUESTION_WORDS)[:MOST_WORDS]


def stories_with(session: Session, words: Sequence[str]) -> QuerySet[Story]:
    """Returns the stories with all of the words, newest first."""
    rows = query.stories(session, Query(terms=tuple((word,) for word in words)))
    return rows.exclude(state__in=("vetoed", "killed"))


def matching_stories(session: Session, words: Sequence[str]) -> list[Story]:
    """Returns the stories with all of the words, else with any of them, newest first."""

    if not words:
        return []
    with_all = list(stories_with(session, words)[:MOST_MATCHES])
    if with_all or len(words) == 1:
        return with_all
    with_any = {
        story.pk: story for word in words for story in stories_with(session, (word,))[:MOST_MATCHES]
    }
    return sorted(with_any.values(), key=lambda story: -story.pk)[:MOST_MATCHES]


# The name of a command and its payload, as proposed and not yet checked.
Suggestion = tuple[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One question with everything that may be used to answer it."""

    session: Session
    text: str
    facts: Facts
    earlier: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """The text of an answer and the commands it suggests; ``code`` names an error."""

    text: str
    suggestions: tuple[Suggestion, ...] = ()
    code: str = ""


class Answerer(Protocol):
    """Answers one inquiry and passes the whole text so far to ``on_text``.

    Raises Retry, WaitUntil or NeedsHuman, and does not catch StaleClaim from ``on_text``.
    """

    model: str

    def answer(self, inquiry: Inquiry, on_text: Callable[[str], None]) -> Reply: ...
