"""The AI chain as geometry: links in a row from left to right, and arcs back to what each one knows.

Lengths are in the units of the drawing; colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

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
