"""Types of the writers' room: the hand-overs between agents, and the task each agent is given.

Hand-overs are typed: a model answers with JSON that follows the schema of the type, so no answer is
ever parsed out of prose. A task is built from earlier hand-overs and the session's material only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from sessions_app.errors import Retry
from stories.models import DraftMessage
from stories.models.drafts import MOST_WORDS
from stories.text.addresses import without_addresses
from stories.text.cleaning import clean_line, clean_text
from stories.text.sentences import word_count

Role, Kind = DraftMessage.Role, DraftMessage.Kind
T = TypeVar("T")

MOST_TITLE = 160
MOST_TEXT = 8 * MOST_WORDS  # characters of a draft
MOST_FINDINGS = 24
MOST_REMARKS = 8
MOST_SECTIONS = 10

# The tags of prompts.ask_for(); a text that quotes one could end its own block.
_TAG = re.compile(r"</?desk-[0-9a-f]*>?", re.IGNORECASE)
_MARKS = re.compile(r"\*{1,3}|`+|~~|^[ \t]*(?:#{1,6}\s+|>+\s*)", re.MULTILINE)


def plain(text: str, limit: int) -> str:
    """Returns prose of at most ``limit`` characters, without Markdown, web addresses or prompt tags."""
    # Cut first: the patterns then read a bounded text, however much a model or a feed sends.
    bare = _MARKS.sub("", without_addresses(_TAG.sub("", text[: limit * 4])))
    # Again: removing marks and control characters can join the halves of a tag.
    return _TAG.sub("", clean_text(bare, limit))


def _line(limit: int) -> Callable[[str], str]:
    return lambda text: clean_line(plain(text, limit * 2), limit)


def _first(most: int) -> Callable[[list[T]], list[T]]:
    return lambda items: items[:most]


Title = Annotated[str, AfterValidator(_line(MOST_TITLE))]
Line = Annotated[str, AfterValidator(_line(300))]
Passage = Annotated[str, AfterValidator(_line(420))]
# A suggestion that was cut would lose the rest of its place when it is accepted.
Replacement = Annotated[
    str, AfterValidator(lambda text: _line(600)(text) if len(text) <= 600 else "")
]
Prose = Annotated[str, AfterValidator(lambda text: plain(text, MOST_TEXT))]
Decision = Literal["approve", "changes"]
RemarkTopic = Literal["facts", "length", "repetition", "citation", "style", "structure"]


class Handover(BaseModel):
    """Base class of hand-overs: the result of one turn, which the next agent works from."""

    # Models add fields of their own; only what the type names is used.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Finding(Handover):
    """A fact taken from the material; ``sources`` are references such as "p12" or "s7"."""

    text: Passage
    sources: Annotated[list[str], AfterValidator(_first(6))]


class CitedSource(Handover):
    """A source as a text names it; ``at`` is when it was published, in ISO 8601 and UTC."""

    ref: str
    kind: Literal["post", "story"]
    id: int
    title: str
    credit: str
    at: str = ""


class Research(Handover):
    """The researcher's hand-over; ``gaps`` are keywords that the material does not mention."""

    angle: Line
    findings: Annotated[list[Finding], AfterValidator(_first(MOST_FINDINGS))]
    gaps: Annotated[list[Line], AfterValidator(_first(8))] = []
    sources: list[CitedSource] = []


class Section(Handover):
    """A section of the outline; ``findings`` are numbers counted from 1, in the order of the text."""

    heading: Title
    findings: Annotated[list[int], AfterValidator(_first(MOST_FINDINGS))]


class Outline(Handover):
    """The plan of the text."""

    title: Title
    sections: Annotated[list[Section], AfterValidator(_first(MOST_SECTIONS))]


class Text(Handover):
    """A whole version; ``reason`` is what changed in it, ``cites`` are the references it rests on."""

    text: Prose
    title: Title
    reason: Line
    cites: Annotated[list[str], AfterValidator(_first(MOST_FINDINGS))] = []


class Remark(Handover):
    """A requested change; ``where`` quotes the place, or is empty when it is about the whole text.

    ``instead`` are the words suggested for exactly that place, or "".
    """

    about: RemarkTopic
    where: Line
    wish: Line
    instead: Replacement = ""


class Review(Handover):
    """The reader's judgement of an outline or a text."""

    decision: Decision
    remarks: Annotated[list[Remark], AfterValidator(_first(MOST_REMARKS))]


class Verdict(Handover):
    """The expert's decision; a ``text`` that is not empty becomes a new version."""

    text: Prose
    title: Title
    decision: Decision
    reason: Line
    remarks: Annotated[list[Remark], AfterValidator(_first(MOST_REMARKS))]


HANDOVER_TYPES: dict[str, type[Handover]] = {
    Kind.RESEARCH: Research,
    Kind.OUTLINE: Outline,
    Kind.TEXT: Text,
    Kind.REVIEW: Review,
    Kind.VERDICT: Verdict,
}


class BadHandover(Retry):
    """An agent's answer does not follow its type, or has no usable content."""

    code = "bad_handover"


@dataclass(frozen=True, slots=True)
class Order:
    """What the owner ordered; ``words`` is the length, ``wishes`` were added later, oldest first."""

    keywords: tuple[str, ...]
    words: int
    style: str
    language: str
    wishes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A post or story of the session as material.

    ``credit`` is how the text names its source, ``at`` when it was published, and ``thread`` the
    thread of its story, if it is in one.
    """

    ref: str
    id: int
    title: str
    text: str
    credit: str
    at: str = ""
    thread: int | None = None

    @property
    def kind(self) -> Literal["post", "story"]:
        return "post" if self.ref.startswith("p") else "story"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One turn of an agent: its role, the kind of hand-over, and all that it may know.

    ``text`` is the latest version, ``by_hand`` are versions that people wrote. When ``settles`` is
    set, the agent must decide, because its turn is the last one.
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
    def findings(self) -> list[Finding]:
        return self.research.findings if self.research else []

    @property
    def sources(self) -> list[CitedSource]:
        return self.research.sources if self.research else []


OnText = Callable[[Callable[[], str]], None]
"""Called each time the text grows, with a function that returns it; StaleClaim stops the agent.

The function is called only for a text that is shown: cleaning the whole text at each word of it
would take time that grows with the square of its length.
"""


class Agent(Protocol):
    """Takes one turn. Raises Retry, WaitUntil or NeedsHuman, and does not catch StaleClaim.

    ``model`` is the name that an offline agent has in the AI chain. It is "" for an agent that asks
    a model, whose calls the ledger adds to the chain.
    """

    model: str

    def take(self, task: Task, on_text: OnText) -> Handover: ...


def parse_handover(kind: str, payload: object) -> Handover:
    """Returns the hand-over of a stored payload."""
    return HANDOVER_TYPES[kind].model_validate(payload)


def existing_refs(refs: Sequence[str], sources: Sequence[Item | CitedSource]) -> list[str]:
    """Returns those of ``refs`` that name one of the sources, without repetition."""
    existing = {source.ref for source in sources}
    return list(dict.fromkeys(ref for ref in refs if ref in existing))


def cite(items: Sequence[Item], refs: Sequence[str]) -> list[CitedSource]:
    """Returns the items that ``refs`` name, as sources that a text can cite."""
    return [
        CitedSource(
            ref=item.ref,
            kind=item.kind,
            id=item.id,
            title=item.title,
            credit=item.credit,
            at=item.at,
        )
        for item in items
        if item.ref in refs
    ]


LEAST_WORDS = 1
# The limit is loose on purpose: the reader and the expert bring a text to the ordered length.
MOST_TIMES = 2


def checked(task: Task, handover: Handover) -> Handover:
    """Returns the hand-over without its invalid parts; BadHandover when too little remains."""
    match handover:
        case Research():
            return check_research(task, handover)
        case Outline():
            return check_outline(task, handover)
        case Text():
            return check_text(task, handover)
        case Verdict():
            return check_verdict(task, handover)
        case Review() if not handover.remarks:
            # Without a remark the writer would not know what to change.
            return handover.model_copy(update={"decision": "approve"})
    return handover


def check_research(task: Task, research: Research) -> Research:
    """Drops findings without text or without a source from the material."""
    # A model may name a reference that it was never given.
    with_sources = [
        finding.model_copy(update={"sources": existing_refs(finding.sources, task.material)})
        for finding in research.findings
    ]
    findings = [finding for finding in with_sources if finding.sources and finding.text]
    if not findings:
        raise BadHandover("The researcher cited no source it was given. It is asked again.")
    refs = [ref for finding in findings for ref in finding.sources]
    return research.model_copy(update={"findings": findings, "sources": cite(task.material, refs)})


def check_outline(task: Task, outline: Outline) -> Outline:
    """Drops numbers of findings that do not exist or are used twice, and sections left empty."""
    used: set[int] = set()
    sections: list[Section] = []
    for section in outline.sections:
        numbers = [
            number
            for number in dict.fromkeys(section.findings)
            if 1 <= number <= len(task.findings) and number not in used
        ]
        # A finding belongs to one section only.
        used |= set(numbers)
        if numbers and section.heading:
            sections.append(section.model_copy(update={"findings": numbers}))
    if not sections or not outline.title:
        raise BadHandover("The outline has no section that rests on a finding. It is asked again.")
    return outline.model_copy(update={"sections": sections})


def check_text(task: Task, text: Text) -> Text:
    """Fills in a missing title and reason, and drops references that do not exist."""
    words = word_count(text.text)
    if words < LEAST_WORDS:
        raise BadHandover("The writer handed over no text. It is asked again.")
    if words > _most_words(task):
        raise BadHandover("The text is far longer than ordered. It is asked again.")
    title = text.title or task.title or (task.outline.title if task.outline else "")
    return text.model_copy(
        update={
            "title": title or text.text[:80],
            "reason": text.reason or "A new version",
            "cites": existing_refs(text.cites, task.sources),
        }
    )


def check_verdict(task: Task, verdict: Verdict) -> Verdict:
    """Approves where no change is possible, and ignores a text that is empty, too long or unchanged."""
    changes: dict[str, str] = {}
    if task.settles or (verdict.decision == "changes" and not verdict.remarks):
        changes["decision"] = "approve"
    words = word_count(verdict.text)
    # The expert may approve without a text; a text that is unusable is treated the same.
    if words < LEAST_WORDS or words > _most_words(task) or verdict.text == task.text:
        changes["text"] = ""
    return verdict.model_copy(update=changes)


def _most_words(task: Task) -> int:
    """Returns the length limit; a short text may be longer by 200 words, as twice is too strict."""
    return max(task.order.words * MOST_TIMES, task.order.words + 200)
