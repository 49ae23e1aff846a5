"""Shapes that cross the borders between sources, the model gateway, narrators and the producer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

Tone = Literal["breaking", "developing", "analysis", "opinion", "human-interest"]
Priority = Literal["high", "medium", "low"]
Sentiment = Literal["positive", "neutral", "negative"]
TONES: tuple[Tone, ...] = ("breaking", "developing", "analysis", "opinion", "human-interest")
PRIORITIES: tuple[Priority, ...] = ("high", "medium", "low")
SENTIMENTS: tuple[Sentiment, ...] = ("positive", "neutral", "negative")


@dataclass(frozen=True, slots=True)
class FetchedPost:
    """One post as a source gave it, normalised: plain text without markup, control or bidi characters."""

    external_id: str  # unique within its source, at most 255 characters
    title: str  # at most 500 characters, never empty
    body: str = ""  # at most 20,000 characters
    author: str = ""
    url: str = ""  # http(s) or empty
    score: int = 0
    comments: int = 0
    published_at: datetime | None = None  # aware; never in the future


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one poll of a source brought. ``cursor`` is JSON and comes back at the next poll."""

    posts: list[FetchedPost]
    cursor: dict[str, Any] = field(default_factory=dict)
    notice: str = ""  # a sentence for the owner, e.g. that the public feed is used for want of keys
    exhausted: bool = False  # nothing will ever come again (a recording at its end)
    not_before: datetime | None = None  # the source asked not to be polled before


class SourceAdapter(Protocol):
    """One kind of source. ``fetch`` raises Retry, WaitUntil or NeedsHuman, and nothing else."""

    kind: str

    def clean_locator(self, locator: str) -> str:
        """Return the locator in its one canonical form, or raise Invalid with a clear sentence."""

    def fetch(self, locator: str, sort: str, cursor: dict[str, Any]) -> Fetched: ...


@dataclass(frozen=True, slots=True)
class Narration:
    """A finished narration, ready to be stored as a Story."""

    title: str
    narrative: str
    tone: Tone
    sentiment: Sentiment
    topics: list[str]  # at most 5, each at most 40 characters
    summary: str = ""
    note: str = ""  # how it deviates from what was asked, e.g. "cut at max_tokens", "prose answer"


@dataclass(frozen=True, slots=True)
class Brief:
    """All a narrator may know: one post and the session's narration settings; nothing secret."""

    title: str
    body: str
    author: str
    source: str  # how to credit it, e.g. "r/science" or "BBC News"
    url: str
    published_at: datetime | None
    score: int
    comments: int
    priority: float  # 0..1
    personality: str = "conversational"  # formal, conversational, analytical, energetic
    verbosity: str = "detailed"  # concise, detailed, comprehensive
    language: str = "en"
    instructions: str = ""
    recent_titles: tuple[str, ...] = ()  # told last, newest first
    so_far: str = ""  # what was told before those, summed up
    earlier: tuple[tuple[str, str], ...] = ()  # (title, summary) told before in the same thread
    relation: str = ""  # to the last of them: follow-up, clarification, correction, new-development


OnText = Callable[[str], None]
"""Called with the whole narration so far, also when it has not grown; StaleClaim stops the narrator."""
