"""A story's way as geometry: nine hops from left to right, and how long it took between them.

Lengths are in the units of the drawing; colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from broadcast.trace.hops import Hop, Mark

PITCH, EDGE, RADIUS = 108, 56, 15
LINE, HEIGHT = 62, 128
SIGNS = {Mark.SEEN: "", Mark.WAITING: "…", Mark.APART: "", Mark.BROKEN: "!"}


@dataclass(frozen=True, slots=True)
class Node:
    """A hop; ``x`` is its middle, ``radius`` smaller for what is not on the way."""

    x: int
    name: str
    mark: str
    sign: str
    radius: int
    air: str


@dataclass(frozen=True, slots=True)
class Joint:
    """The way between two hops; ``took`` stands over its middle ``x``, ``open`` was not gone."""

    path: str
    x: int
    took: str
    open: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    width: int
    height: int
    line: int
    nodes: list[Node]
    joints: list[Joint]


def draw(hops: Sequence[Hop]) -> Drawing:
    places = [(EDGE + PITCH * place, hop) for place, hop in enumerate(hops)]
    nodes = [
        Node(x, hop.name, hop.mark, SIGNS[hop.mark], _radius(hop), hop.air) for x, hop in places
    ]
    passed = [(x, hop) for x, hop in places if hop.mark != Mark.APART]
    joints = [_joint(left, right) for left, right in pairwise(passed)]
    return Drawing(2 * EDGE + PITCH * (len(hops) - 1), HEIGHT, LINE, nodes, joints)


def _radius(hop: Hop) -> int:
    return RADIUS // 3 if hop.mark == Mark.APART else RADIUS


def _joint(left: tuple[int, Hop], right: tuple[int, Hop]) -> Joint:
    (start, before), (end, after) = left, right
    path = f"M{start + RADIUS} {LINE}H{end - RADIUS}"
    return Joint(path, (start + end) // 2, _took(before.at, after.at), after.mark != Mark.SEEN)


def _took(before: datetime | None, after: datetime | None) -> str:
    return brief(after - before) if before and after else ""


def brief(length: timedelta) -> str:
    """A length in at most two units: 120 ms, 3.2 s, 4 min 10 s, 2 h 5 min, 3 d 4 h."""
    seconds = max(0.0, length.total_seconds())
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    return f"{hours} h {minute} min" if hours else f"{minutes} min {second} s"
