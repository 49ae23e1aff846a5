"""The page of the AI chain: its state, one page of its links by key, and their drawing.

The drawing shows links in a row from left to right, with arcs back to the latest link whose text
was sent along. Lengths are in the units of the drawing; colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.models import Broadcast
from sessions_app import preferences
from sessions_app.ai_chain import chain, status
from sessions_app.ai_chain.chain import FoundLink
from sessions_app.events import recorder
from sessions_app.models import AILink, Session, SessionStats

PITCH, EDGE, RADIUS = 60, 36, 16

LINE, BELOW = 108, 44  # height of the row, and of the numbers below it

LOW, STEEP, HIGH = 26, 12, 88  # rise of an arc: at least, more for each link, at most


class LinkPayload(TypedDict):
    """A link of the AI chain."""

    number: Annotated[int, Field(description="Number of the link within the session, from 1.")]
    id: Annotated[str, Field(description="Id of the provider's response.")]
    source: Annotated[
        str, Field(description="narration, chat, draft, metadata, compaction or reset.")
    ]
    model: Annotated[str, Field(description="Name of the model, or extractive.")]
    tokens: Annotated[int, Field(description="Tokens that the link adds to the context.")]
    run: Annotated[int | None, Field(description="Number of the run; null outside of runs.")]
    context: Annotated[
        int | None, Field(description="Number of the latest link whose text was sent along.")
    ]
    summary: Annotated[str, Field(description='Summary of a compaction, "" otherwise.')]
    at: Annotated[str, Field(description="Time of its creation (ISO 8601).")]


class ChainPayload(TypedDict):
    """The state of the AI chain of a session."""

    state: Annotated[str, Field(description="SYNCED, OUT_OF_SYNC or EMPTY.")]
    rate: Annotated[float, Field(description="Share of the checked links in order, in per cent.")]
    links: Annotated[int, Field(description="Number of links.")]
    seen: Annotated[int, Field(description="Number of links that were checked, latest first.")]
    problems: Annotated[list[str], Field(description="What is wrong, as sentences for people.")]
    head: Annotated[LinkPayload | None, Field(description="The latest link; null when empty.")]
    base: Annotated[
        LinkPayload | None, Field(description="The link where the context begins, or null.")
    ]
    tokens: Annotated[int, Field(description="Tokens of the context since the base.")]
    operations: Annotated[int, Field(description="Operations since the last reset.")]


@dataclass(frozen=True, slots=True)
class Node:
    """A link of the drawing; ``x`` is its centre, ``mark`` the letter of its source."""

    x: int
    number: int
    source: str
    mark: str


@dataclass(frozen=True, slots=True)
class Arc:
    """An arc from a link to the latest link in its context; ``outside`` when that is not drawn."""

    path: str
    start: int
    end: int
    outside: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """The drawing of some links; ``joints`` are the lines between neighbours."""

    width: int
    height: int
    line: int
    radius: int
    nodes: list[Node]
    joints: list[str]
    arcs: list[Arc]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of operation; ``mark`` is its letter in the drawing."""

    mark: str
    source: str
    meaning: str


KINDS = (
    Kind("N", "narration", "A story narrated by the host."),
    Kind("C", "chat", "An answer of the producer."),
    Kind("D", "draft", "A turn of an agent on a draft."),
    Kind("M", "metadata", "The recap of a finished run."),
    Kind("S", "compaction", "A summary that replaces the context before it."),
    Kind("R", "reset", "The context starts empty, without a summary."),
)

MARKS: Mapping[str, str] = {kind.source: kind.mark for kind in KINDS}


def draw(links: Sequence[LinkPayload]) -> Drawing:
    """Draws links that come newest first, as the page lists them."""
    oldest_first = list(reversed(links))
    nodes = [
        Node(EDGE + PITCH * place, link["number"], link["source"], MARKS[link["source"]])
        for place, link in enumerate(oldest_first)
    ]
    joints = [f"M{left.x + RADIUS} {LINE}H{right.x - RADIUS}" for left, right in pairwise(nodes)]
    if nodes and nodes[0].number > 1:
        # A line from the left edge represents the links that are not drawn.
        joints.insert(0, f"M0 {LINE}H{nodes[0].x - RADIUS}")
    places = {node.number: node.x for node in nodes}
    arcs = [
        _arc(places, link["number"], link["context"]) for link in oldest_first if link["context"]
    ]
    width = 2 * EDGE + PITCH * max(0, len(nodes) - 1)
    return Drawing(width, LINE + BELOW, LINE, RADIUS, nodes, joints, arcs)


def _arc(places: Mapping[int, int], start: int, end: int) -> Arc:
    outside = end not in places
    right, left = places[start], places.get(end, 0)
    # Long arcs stay within the drawing.
    rise = min(HIGH, LOW + STEEP * (start - end))
    top, low = LINE - RADIUS - rise, LINE - RADIUS
    last = f"{left} {top + rise // 2}" if outside else f"{left} {low}"
    path = f"M{right} {low}C{right} {top} {left} {top} {last}"
    return Arc(path, start, end, outside)


LINKS_MOST = 20


@dataclass(frozen=True, slots=True)
class Part:
    """The links to show: those before a number, or those up to one that is searched for."""

    before: int | None = None
    named: str = ""


def chain_payload(session: Session) -> ChainPayload:
    """Returns the state of the session's chain."""
    result = status.status(session)
    row = result.chain
    return {
        "state": result.state,
        "rate": result.rate,
        "links": result.links,
        "seen": result.seen,
        "problems": list(result.problems),
        "head": link_payload(result.head) if result.head else None,
        "base": link_payload(row.base) if row and row.base else None,
        "tokens": row.tokens if row else 0,
        "operations": row.operations if row else 0,
    }


def link_payload(link: AILink) -> LinkPayload:
    """A link as the page and the API show it."""
    return {
        "number": link.number,
        "id": link.provider_id,
        "source": link.source,
        "model": link.model,
        "tokens": link.tokens,
        "run": link.run_number,
        "context": link.context_head.number if link.context_head else None,
        "summary": link.summary,
        "at": recorder.timestamp(link.created_at),
    }


class Limits(TypedDict):
    """When the context is compacted (tokens) and reset (operations)."""

    tokens: int
    operations: int


class ChainPage(TypedDict):
    """The page of the chain; ``older`` is the number before which the next page begins."""

    session: Session
    last_seq: int
    chain: ChainPayload
    limits: Limits
    run: Broadcast | None
    links: list[LinkPayload]
    drawing: Drawing
    kinds: Sequence[Kind]
    older: int | None
    part: Part
    lookup: FoundLink | None


def page(session: Session, part: Part) -> ChainPage:
    """Returns what the page of the chain shows."""
    # Read first: an event recorded after this is delivered to the page again.
    stats = SessionStats.objects.get(session=session)
    shared = preferences.workspace()
    lookup = chain.find(session, part.named) if part.named else None
    rows = AILink.objects.filter(session=session).select_related("context_head").order_by("-number")
    if lookup is not None and lookup.link is not None:
        rows = rows.filter(number__lte=lookup.link.number)
    elif part.before is not None:
        rows = rows.filter(number__lt=part.before)
    # One link more than fits shows whether another page follows.
    links = [link_payload(link) for link in rows[: LINKS_MOST + 1]]
    shown = links[:LINKS_MOST]
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "chain": chain_payload(session),
        "limits": {"tokens": shared.compact_tokens, "operations": shared.reset_operations},
        "run": orchestrator.latest(session),
        "links": shown,
        "drawing": draw(shown),
        "kinds": KINDS,
        "older": shown[-1]["number"] if len(links) > LINKS_MOST else None,
        "part": part,
        "lookup": lookup,
    }
