"""What the page of the AI chain shows: how the chain stands, and one page of its links by key.

The AI chain as geometry: links in a row from left to right, and arcs back to what each one knows.

Lengths are in the units of the drawing; colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from broadcast import orchestrator
from sessions_app import workspace
from sessions_app.ai_chain import chain, status
from sessions_app.events import recorder
from sessions_app.models import AILink, Session, SessionStats

PITCH, EDGE, RADIUS = 60, 36, 16

LINE, BELOW = 108, 44  # the row, and what stands under it

LOW, STEEP, HIGH = 26, 12, 88  # how far arcs rise: the least, for each link more, the most


@dataclass(frozen=True, slots=True)
class Node:
    """A link; ``x`` is its middle, ``mark`` the letter of its source."""

    x: int
    number: int
    source: str
    mark: str


@dataclass(frozen=True, slots=True)
class Arc:
    """From a link back to the latest one that it knows; ``outside`` when that is not drawn."""

    path: str
    start: int
    end: int
    outside: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """``joints`` are the pieces between neighbours; the first comes in from the left."""

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
    Kind("N", "narration", "A story told by the host."),
    Kind("C", "chat", "An answer of the producer."),
    Kind("D", "draft", "A turn of an agent in the writers' room."),
    Kind("M", "metadata", "The recap of a run that has ended."),
    Kind("S", "compaction", "The sum of what was said, from which the context goes on."),
    Kind("R", "reset", "The context starts anew, without a sum."),
)

MARKS: Mapping[str, str] = {kind.source: kind.mark for kind in KINDS}


def draw(links: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw links, which come newest first as the page lists them."""
    oldest_first = list(reversed(links))
    nodes = [
        Node(EDGE + PITCH * place, link["number"], link["source"], MARKS[link["source"]])
        for place, link in enumerate(oldest_first)
    ]
    places = {node.number: node.x for node in nodes}
    arcs = [
        _arc(places, link["number"], link["context"]) for link in oldest_first if link["context"]
    ]
    width = 2 * EDGE + PITCH * max(0, len(nodes) - 1)
    return Drawing(width, LINE + BELOW, LINE, RADIUS, nodes, _joints(nodes), arcs)


def _joints(nodes: Sequence[Node]) -> list[str]:
    """What holds the links together; nothing comes before the first link of all."""
    into = [f"M0 {LINE}H{nodes[0].x - RADIUS}"] if nodes and nodes[0].number > 1 else []
    return into + [
        f"M{left.x + RADIUS} {LINE}H{right.x - RADIUS}" for left, right in pairwise(nodes)
    ]


def _arc(places: Mapping[int, int], start: int, end: int) -> Arc:
    outside = end not in places
    right, left = places[start], places.get(end, 0)
    rise = min(HIGH, LOW + STEEP * (start - end))
    top, low = LINE - RADIUS - rise, LINE - RADIUS
    last = f"{left} {top + rise // 2}" if outside else f"{left} {low}"
    path = f"M{right} {low}C{right} {top} {left} {top} {last}"
    return Arc(path, start, end, outside)


LINKS_MOST = 20


@dataclass(frozen=True, slots=True)
class Part:
    """Which links are wanted: those before a number, or those up to one that is looked for."""

    before: int | None = None
    named: str = ""


def standing(session: Session) -> dict[str, Any]:
    """The state of the chain with its rate in per cent, and from where its context counts."""
    found = status.status(session)
    row = found.chain
    return {
        "state": found.state,
        "rate": found.rate,
        "links": found.links,
        "seen": found.seen,
        "problems": list(found.problems),
        "head": link_payload(found.head) if found.head else None,
        "base": link_payload(row.base) if row and row.base else None,
        "tokens": row.tokens if row else 0,
        "operations": row.operations if row else 0,
    }


def link_payload(link: AILink) -> dict[str, Any]:
    """A link as page and API show it; ``context`` is the number up to which it knows the chain."""
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


def page(session: Session, part: Part) -> dict[str, Any]:
    """The whole page; ``last_seq`` is read first, so that nothing is missed."""
    stats = SessionStats.objects.get(session=session)
    shared = workspace.current()
    return {
        "session": session,
        "last_seq": stats.last_seq,
        "chain": standing(session),
        "limits": {"tokens": shared.compact_tokens, "operations": shared.reset_operations},
        "run": orchestrator.latest(session),
        **_links(session, part),
    }


def _links(session: Session, part: Part) -> dict[str, Any]:
    found = chain.find(session, part.named) if part.named else None
    rows = AILink.objects.filter(session=session).select_related("context_head").order_by("-number")
    if found is not None and found.link is not None:
        rows = rows.filter(number__lte=found.link.number)
    elif part.before is not None:
        rows = rows.filter(number__lt=part.before)
    links = [link_payload(link) for link in rows[: LINKS_MOST + 1]]
    shown = links[:LINKS_MOST]
    return {
        "links": shown,
        "drawing": draw(shown),
        "kinds": KINDS,
        "older": shown[-1]["number"] if len(links) > LINKS_MOST else None,
        "part": part,
        "found": found,
    }
