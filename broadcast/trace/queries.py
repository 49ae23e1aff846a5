"""Reads the traces of a session's stories, and draws one as nine hops from left to right.

Lengths are in the units of the drawing; colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from django.db.models import QuerySet

from broadcast.trace import checks, evidence, timeline
from broadcast.trace.hops import Hop, Mark, Trace
from sessions_app.errors import NotFound
from sessions_app.events.archive import Damaged
from sessions_app.models import Session
from stories.models import Story

PER_PAGE = 20

LOOKED_AT = 200  # stories at a time, when only broken ones are shown


@dataclass(frozen=True, slots=True)
class Page:
    """Traces, newest first; ``older`` is the key of the next page, ``looked`` the stories read."""

    traces: list[Trace]
    looked: int
    older: int | None


def of_session(session: Session) -> QuerySet[Story]:
    """Returns the session's stories with the rows that traces need, newest first."""
    rows = Story.objects.filter(session=session).order_by("-id")
    return rows.select_related("session", "post__source", "post__step", "draft")


def trace(session: Session, stories: Sequence[Story], *, dig: bool = False) -> list[Trace]:
    """Returns the checked trace of each story, in a constant number of queries."""
    return [
        Trace(row.story, checks.judge(row, timeline.hops_of(row)))
        for row in evidence.gather(session, stories, dig=dig)
    ]


def page(session: Session, before: int | None, most: int = PER_PAGE) -> Page:
    """Returns the traces of the newest stories with an id below ``before``."""
    rows = of_session(session)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    stories = list(rows[: most + 1])
    shown = stories[:most]
    older = shown[-1].pk if len(stories) > most else None
    return Page(trace(session, shown), len(shown), older)


def broken(session: Session, before: int | None) -> Page:
    """Returns the broken traces among the next ``LOOKED_AT`` stories."""
    looked = page(session, before, LOOKED_AT)
    return Page([trace for trace in looked.traces if trace.broken], looked.looked, looked.older)


def find(session: Session, story_id: int) -> Trace:
    """Returns the trace of one story, also from archived events; raises NotFound.

    Events of a damaged archive are shown as archived, as in a list.
    """
    story = of_session(session).filter(pk=story_id).first()
    if story is None:
        raise NotFound("This session has no such story.")
    try:
        return trace(session, [story], dig=True)[0]
    except Damaged:
        return trace(session, [story])[0]


def latest(session: Session, most: int) -> Iterator[Trace]:
    """Returns the traces of the newest ``most`` stories, newest first, read in batches."""
    before: int | None = None
    while most > 0:
        batch = page(session, before, min(most, LOOKED_AT))
        yield from batch.traces
        most -= batch.looked
        if batch.older is None:
            return
        before = batch.older


PITCH, EDGE, RADIUS = 108, 56, 15

LINE, HEIGHT = 62, 128

# Shown in a hop besides its colour, as colour alone is not accessible.
SIGNS = {Mark.SEEN: "", Mark.WAITING: "…", Mark.APART: "", Mark.BROKEN: "!"}


@dataclass(frozen=True, slots=True)
class Node:
    """A hop; ``x`` is its centre, and ``radius`` is smaller when the hop does not apply."""

    x: int
    name: str
    mark: str
    sign: str
    radius: int
    air: str


@dataclass(frozen=True, slots=True)
class Joint:
    """The line between two hops; ``took`` is shown at its middle ``x``, ``open`` means not reached."""

    path: str
    x: int
    took: str
    open: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """The hops of one trace with the lines between them."""

    width: int
    height: int
    line: int
    nodes: list[Node]
    joints: list[Joint]


def draw(hops: Sequence[Hop]) -> Drawing:
    """Places the hops at equal distances and joins those that apply."""
    places = [(EDGE + PITCH * place, hop) for place, hop in enumerate(hops)]
    nodes = []
    for x, hop in places:
        radius = RADIUS // 3 if hop.mark == Mark.APART else RADIUS
        nodes.append(Node(x, hop.name, hop.mark, SIGNS[hop.mark], radius, hop.air))
    joints = []
    applicable = [(x, hop) for x, hop in places if hop.mark != Mark.APART]
    for (start, left), (end, right) in pairwise(applicable):
        path = f"M{start + RADIUS} {LINE}H{end - RADIUS}"
        took = brief(right.at - left.at) if left.at and right.at else ""
        joints.append(Joint(path, (start + end) // 2, took, right.mark != Mark.SEEN))
    return Drawing(2 * EDGE + PITCH * (len(hops) - 1), HEIGHT, LINE, nodes, joints)


def brief(length: timedelta) -> str:
    """Formats a duration in at most two units: 120 ms, 3.2 s, 4 min 10 s, 2 h 5 min, 3 d 4 h."""
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
