"""What the agents of the room hand over to each other, and what each of them is given.

Hand-overs are typed: a model answers to the schema of its type, and what it says is never looked for
in prose. What an agent is given is built from what was handed over before, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from sessions_app.errors import Retry
from stories.models import DraftMessage
from stories.text import clean_line, clean_text

Role, Kind = DraftMessage.Role, DraftMessage.Kind
T = TypeVar("T")

MOST_TITLE = 160
MOST_TEXT = 24_000  # characters of a draft
MOST_FINDINGS = 24
MOST_REMARKS = 8
MOST_SECTIONS = 10

_ADDRESS = re.compile(r"\b(?:[a-z][a-z0-9+.-]{1,15}://|www\.)\S+", re.IGNORECASE)
_TAG = re.compile(r"</?desk-[0-9a-f]*>?", re.IGNORECASE)
_MARKS = re.compile(r"\*{1,3}|`+|~~|^[ \t]*(?:#{1,6}\s+|>+\s*)", re.MULTILINE)


def plain(text: str, limit: int) -> str:
    """Prose of at most ``limit`` characters: without Markdown, web addresses and our own tags."""
    bare = _MARKS.sub("", _ADDRESS.sub("", _TAG.sub("", text[: limit * 4])))
    return _TAG.sub("", clean_text(bare, limit))


def _line(limit: int) -> Callable[[str], str]:
    return lambda text: clean_line(plain(text, limit * 2), limit)


def _first(most: int) -> Callable[[list[T]], list[T]]:
    return lambda items: items[:most]


Title = Annotated[str, AfterValidator(_line(MOST_TITLE))]
Line = Annotated[str, AfterValidator(_line(300))]
Passage = Annotated[str, AfterValidator(_line(420))]
Prose = Annotated[str, AfterValidator(lambda text: plain(text, MOST_TEXT))]
Decision = Literal["approve", "changes"]
Matter = Literal["facts", "length", "repetition", "citation", "style", "structure"]


class Handover(BaseModel):
    """Base of what one agent hands over to the next."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Finding(Handover):
    """A fact in the words of the material; ``sources`` are references such as "p12" or "s7"."""

    text: Passage
    sources: Annotated[list[str], AfterValidator(_first(6))]


class Cited(Handover):
    """A source as it is named in a text."""

    ref: str
    kind: Literal["post", "story"]
    id: int
    title: str
    credit: str


class Research(Handover):
    """What the researcher found; ``gaps`` are keywords of which the material says nothing."""

    angle: Line
    findings: Annotated[list[Finding], AfterValidator(_first(MOST_FINDINGS))]
    gaps: Annotated[list[Line], AfterValidator(_first(8))] = []
    sources: list[Cited] = []


class Section(Handover):
    """A part of the text; ``findings`` count from 1, in the order in which they are told."""

    heading: Title
    findings: Annotated[list[int], AfterValidator(_first(MOST_FINDINGS))]


class Outline(Handover):
    title: Title
    sections: Annotated[list[Section], AfterValidator(_first(MOST_SECTIONS))]


class Text(Handover):
    """A whole version; ``reason`` says what is new in it, ``cites`` on what it rests."""

    text: Prose
    title: Title
    reason: Line
    cites: Annotated[list[str], AfterValidator(_first(MOST_FINDINGS))] = []


class Remark(Handover):
    """One thing that should change; ``where`` quotes the place, or is empty for the whole."""

    about: Matter
    where: Line
    wish: Line


class Review(Handover):
    """What the reader says of an outline or a text."""

    decision: Decision
    remarks: Annotated[list[Remark], AfterValidator(_first(MOST_REMARKS))]


class Verdict(Handover):
    """What the expert decides; a ``text`` that is not empty is a new version of its own."""

    text: Prose
    title: Title
    decision: Decision
    reason: Line
    remarks: Annotated[list[Remark], AfterValidator(_first(MOST_REMARKS))]


SHAPES: dict[str, type[Handover]] = {
    Kind.RESEARCH: Research,
    Kind.OUTLINE: Outline,
    Kind.TEXT: Text,
    Kind.REVIEW: Review,
    Kind.VERDICT: Verdict,
}


class BadHandover(Retry):
    """An agent's answer is not of its type, or holds nothing that could be used."""

    code = "bad_handover"


@dataclass(frozen=True, slots=True)
class Order:
    """What the owner ordered; ``words`` is the length, ``wishes`` came on the way, in order."""

    keywords: tuple[str, ...]
    words: int
    style: str
    language: str
    wishes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A post or a story of the session, by its reference; ``credit`` is how its source is named."""

    ref: str
    id: int
    title: str
    text: str
    credit: str

    @property
    def kind(self) -> Literal["post", "story"]:
        return "post" if self.ref.startswith("p") else "story"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One turn: who is to do what, and all that it may know.

    ``text`` is the latest version, ``by_hand`` what people wrote themselves. An agent that
    ``settles`` has to decide: nobody is asked after it.
    """

    role: str
    kind: str
    order: Order
    before: str = ""
    material: tuple[Item, ...] = ()
    research: Research | None = None
    outline: Outline | None = None
    title: str = ""
    text: str = ""
    by_hand: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    settles: bool = False

    @property
    def found(self) -> Research:
        """The research; every agent but the researcher has it."""
        return self.research or Research(angle="", findings=[])


OnText = Callable[[str], None]
"""Called with the text so far, as often as it grows; StaleClaim stops the agent."""


class Agent(Protocol):
    """Takes one turn. Raises Retry, WaitUntil or NeedsHuman, and lets StaleClaim pass.

    ``model`` is the name under which an offline agent joins the chain; "" where a ledger does it.
    """

    model: str

    def take(self, task: Task, on_text: OnText) -> Handover: ...


def read(kind: str, payload: Any) -> Handover:
    """A hand-over from its stored payload."""
    return SHAPES[kind].model_validate(payload)


def known(refs: Sequence[str], sources: Sequence[Item] | Sequence[Cited]) -> list[str]:
    """Those of ``refs`` that name one of the sources, once each."""
    named = {each.ref for each in sources}
    return list(dict.fromkeys(ref for ref in refs if ref in named))


def cited(items: Sequence[Item], refs: Sequence[str]) -> list[Cited]:
    """The items that ``refs`` name, as they are named in a text."""
    return [
        Cited(ref=each.ref, kind=each.kind, id=each.id, title=each.title, credit=each.credit)
        for each in items
        if each.ref in refs
    ]
