"""Traces of a session's stories: the latest, page by page, the broken ones, or one of them.

A story's way as geometry: nine hops from left to right, and how long it took between them.

Lengths are in the units of the drawing; colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import QuerySet

from broadcast.trace import checks, evidence, timeline
from broadcast.trace.hops import Hop, Mark, Trace
from sessions_app.errors import NotFound
from sessions_app.events.archive import Damaged
from sessions_app.models import Session
from stories.models import Story

PER_PAGE = 20

LOOKED_AT = 200  # stories at a time, where the broken ones are looked for


@dataclass(frozen=True, slots=True)
class Page:
    """Traces, newest first; ``older`` is the key of the next page, ``looked`` how many it took."""

    traces: list[Trace]
    looked: int
    older: int | None


def of_session(session: Session) -> QuerySet[Story]:
    """The session's stories with what their traces need, newest first."""
    rows = Story.objects.filter(session=session).order_by("-id")
    return rows.select_related("session", "post__source", "post__step", "draft")


def trace(session: Session, stories: Sequence[Story], *, dig: bool = False) -> list[Trace]:
    """The way of each of a session's stories, judged; a constant number of queries."""
    return [
        Trace(found.story, checks.judge(found, timeline.hops_of(found)))
        for found in evidence.gather(session, stories, dig=dig)
    ]


def page(session: Session, before: int | None, most: int = PER_PAGE) -> Page:
    rows = of_session(session)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    stories = list(rows[: most + 1])
    shown = stories[:most]
    older = shown[-1].pk if len(stories) > most else None
    return Page(trace(session, shown), len(shown), older)


def broken(session: Session, before: int | None) -> Page:
    """The broken ones among the next ``LOOKED_AT`` stories."""
    looked = page(session, before, LOOKED_AT)
    return Page([each for each in looked.traces if each.broken], looked.looked, looked.older)


def find(session: Session, story_id: int) -> Trace:
    """One story's trace, with what the archives hold of it; NotFound when it is not of the session.

    What a damaged archive held is said to be archived, as in a list.
    """
    story = of_session(session).filter(pk=story_id).first()
    if story is None:
        raise NotFound("This session has no such story.")
    try:
        return trace(session, [story], dig=True)[0]
    except Damaged:
        return trace(session, [story])[0]


def latest(session: Session, most: int) -> Iterator[Trace]:
    """The newest ``most`` stories, newest first, in batches."""
    before: int | None = None
    while most > 0:
        found = page(session, before, min(most, LOOKED_AT))
        yield from found.traces
        most -= found.looked
        if found.older is None:
            return
        before = found.older


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
