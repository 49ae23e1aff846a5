"""Types shared by sources, narrators and the producer: fetched posts, briefs and narrations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, NotRequired, Protocol

from pydantic import Field
from typing_extensions import TypedDict

Tone = Literal["breaking", "developing", "analysis", "opinion", "human-interest"]
Priority = Literal["high", "medium", "low"]
Sentiment = Literal["positive", "neutral", "negative"]
TONES: tuple[Tone, ...] = ("breaking", "developing", "analysis", "opinion", "human-interest")
PRIORITIES: tuple[Priority, ...] = ("high", "medium", "low")
SENTIMENTS: tuple[Sentiment, ...] = ("positive", "neutral", "negative")

Cursor = dict[str, object]
"""What a source remembers from one poll to the next; JSON."""


@dataclass(frozen=True, slots=True)
class FetchedPost:
    """One post of a source, normalised: plain text without markup, control or bidi characters."""

    external_id: str  # unique within its source, at most 255 characters
    title: str  # at most 500 characters, never empty
    body: str = ""  # at most 20,000 characters
    author: str = ""
    outlet: str = ""  # who published it, where that is not the source itself; at most 120
    url: str = ""  # as published: http(s), with parameters and fragment; or empty
    score: int = 0
    comments: int = 0
    published_at: datetime | None = None  # aware; never in the future
    # Other ids under which an earlier reading may have stored the same post.
    aliases: frozenset[str] = frozenset()
    skip: str = ""  # why it is stored but not queued, e.g. that it was removed at the source


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of one poll of a source; ``cursor`` is passed to the next poll."""

    posts: list[FetchedPost]
    cursor: Cursor = field(default_factory=dict)
    notice: str = ""  # a sentence for the owner, e.g. that there are no keys for Reddit
    exhausted: bool = False  # there will be no more posts (a recording at its end)
    since: datetime | None = None  # it began again then; its posts of before repeat nothing
    not_before: datetime | None = None  # the source asked not to be polled before


class SourceAdapter(Protocol):
    """One kind of source. ``fetch`` raises Retry, WaitUntil or NeedsHuman, and nothing else."""

    kind: str

    def clean_locator(self, locator: str) -> str:
        """Returns the locator in its one canonical form, or raises Invalid with the reason."""

    def fetch(self, locator: str, sort: str, cursor: Cursor) -> Fetched:
        """Reads the source once."""


class Passage(TypedDict):
    """A sentence of a source that a story rests on."""

    text: Annotated[str, Field(description="The sentence, without markup and addresses.")]
    report: Annotated[
        int,
        Field(description="Which report of the story it is from: 0 its post, -1 an earlier story."),
    ]
    source: NotRequired[
        Annotated[str, Field(description="Name of its outlet, if that is not the post's own.")]
    ]


Support = Literal["passages", "link", "editor", "none"]


class GroundedSentence(TypedDict):
    """A sentence of a story with the passages that it rests on."""

    text: Annotated[str, Field(description="The sentence as it is read on air.")]
    support: Annotated[
        Support,
        Field(
            description="passages; link: introduces or credits, and states nothing; editor: a "
            "person wrote or approved it; none: it failed the check and waits for the editor."
        ),
    ]
    passages: Annotated[list[Passage], Field(description="The passages it rests on.")]
    reason: NotRequired[Annotated[str, Field(description="Why it failed the check.")]]


class DroppedSentence(TypedDict):
    """A sentence that failed the check and is not part of the story."""

    text: Annotated[str, Field(description="The sentence as the narrator wrote it.")]
    reason: Annotated[str, Field(description="What its passages do not contain.")]


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence of a narration before its check; ``passages`` is None when none were named."""

    text: str
    passages: tuple[Passage, ...] | None = None
    link: bool = False  # introduces, links or credits


@dataclass(frozen=True, slots=True)
class Narration:
    """A finished narration, ready to be checked and stored as a story."""

    title: str
    narrative: str
    tone: Tone
    sentiment: Sentiment
    topics: list[str]  # at most 5, each at most 40 characters
    summary: str = ""
    note: str = ""  # how it deviates from the request, e.g. "cut at max_tokens", "prose answer"
    spoken: tuple[SpokenSentence, ...] = ()  # the sentences of the narrative; () if not known


@dataclass(frozen=True, slots=True)
class OtherReport:
    """Another report that the story covers; ``older`` is one that the post brings up to date."""

    source: str  # how to credit it
    title: str
    body: str  # the beginning of it
    older: bool = False
    differs: str = ""  # where its figures differ from those of the post, e.g. "12,000 homes"


@dataclass(frozen=True, slots=True)
class Changed:
    """A figure that changed, e.g. "11,500 homes, up from 4,000", and the sentences that have it.

    A status that changed, e.g. "“reopens” now, “closes” before", is one too.
    """

    words: str
    now: str
    before: str
    status: bool = False


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a narrator knows: one post and the session's narration settings; nothing secret."""

    title: str
    body: str
    author: str
    source: str  # how to credit it, e.g. "r/science" or "BBC News"
    url: str
    published_at: datetime | None
    score: int
    comments: int
    priority: float  # 0..1
    personality: str = "conversational"  # one of Session.Personality
    verbosity: str = "detailed"  # concise, detailed, comprehensive
    language: str = "en"
    instructions: str = ""
    recent_titles: tuple[str, ...] = ()  # of the latest stories, newest first
    so_far: str = ""  # a summary of the stories before those
    earlier: tuple[tuple[str, str], ...] = ()  # (title, summary) of earlier stories of the thread
    number: int = 0  # of the stories that the session has already
    upcoming: str = ""  # how to credit the post that is next in the queue
    changes: tuple[Changed, ...] = ()  # against the report of the last of them
    others: tuple[OtherReport, ...] = ()
    relation: str = ""  # to the last of them: follow-up, clarification, correction, new-development


OnText = Callable[[str], None]
"""Called with the whole narration so far, even when unchanged; its StaleClaim ends the narration."""
