"""Lays out the transitions of ``broadcast.states`` as boxes and lines of the state diagram.

The usual path through the states is a column from top to bottom; it follows the first row of each
state in the table. Jumps inside the column run in lanes to its left. The other states are placed to
the right: transitions to them share one trunk per cause, and transitions back run above their target.
Lengths are in the units of the drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from broadcast.states import TRANSITIONS, Cause, State

WIDE, TALL, PITCH = 116, 40, 82
LANE, TRUNK, GAP, EDGE, OFF = 62, 50, 48, 12, 9
Table = Mapping[tuple[State, Cause], State]


@dataclass(frozen=True, slots=True)
class Box:
    """The box of a state; ``x`` and ``y`` are its upper left corner."""

    state: State
    x: int
    y: int
    wide: int = WIDE
    tall: int = TALL

    @property
    def middle(self) -> int:
        return self.x + WIDE // 2

    @property
    def centre(self) -> int:
        return self.y + TALL // 2

    @property
    def right(self) -> int:
        return self.x + WIDE

    @property
    def below(self) -> int:
        return self.y + TALL


@dataclass(frozen=True, slots=True)
class Label:
    cause: Cause
    x: int
    y: int
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Jump:
    """The transitions with one cause to one state, from one or more states."""

    cause: Cause
    to: State
    froms: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Diagram:
    """The laid-out diagram; ``lines`` has one SVG path for each transition, ending at its state."""

    wide: int
    tall: int
    boxes: list[Box]
    lines: list[str]
    labels: list[Label]


def column_of(table: Table) -> list[State]:
    """Returns the states on the usual path: from idle along the first row of each state."""
    column = [State.IDLE]
    while True:
        after = next(to for (before, _), to in table.items() if before == column[-1])
        if after in column:
            # The path has closed: the last state leads back to one that is listed already.
            return column
        column.append(after)


def jumps_of(table: Table, column: list[State]) -> list[Jump]:
    """Returns all transitions that are no step down the column, grouped by cause and target."""
    steps = set(pairwise(column))
    grouped: dict[tuple[Cause, State], list[State]] = {}
    for (before, cause), after in table.items():
        if (before, after) not in steps:
            grouped.setdefault((cause, after), []).append(before)
    return [Jump(cause, to, tuple(froms)) for (cause, to), froms in grouped.items()]


def draw(table: Table = TRANSITIONS) -> Diagram:
    """Lays out the complete table."""
    column = column_of(table)
    jumps = jumps_of(table, column)
    inner = [jump for jump in jumps if {jump.to, *jump.froms} <= set(column)]

    def height(jump: Jump) -> int:
        rows = [column.index(state) for state in (jump.to, *jump.froms)]
        return max(rows) - min(rows)

    # The shortest jumps get the lanes next to the column, so that lines do not cross.
    lanes = sorted(inner, key=height)
    left = EDGE + LANE * len(lanes)
    boxes = {state: Box(state, left, EDGE + PITCH * row) for row, state in enumerate(column)}
    others = [state for state in dict.fromkeys(table.values()) if state not in column]
    outward = [jump for jump in jumps if jump.to in others]
    # Each jump to the right has a trunk of its own, so the other states begin behind all of them.
    trunks = left + WIDE + TRUNK * len(outward)
    for number, state in enumerate(others):
        y = EDGE + PITCH * (len(column) - 2 - number)
        boxes[state] = Box(state, trunks + GAP, y)
    drawn = [
        *draw_steps(table, column, boxes),
        *(
            draw_lane(jump, left - LANE * (number + 1) + EDGE, boxes)
            for number, jump in enumerate(lanes)
        ),
        *(
            draw_trunk(jump, left + WIDE + TRUNK * (number + 1), boxes)
            for number, jump in enumerate(outward)
        ),
        *draw_returns([jump for jump in jumps if set(jump.froms) <= set(others)], boxes),
    ]
    return Diagram(
        wide=trunks + GAP + WIDE + EDGE if others else left + WIDE + EDGE,
        tall=2 * EDGE + PITCH * (len(column) - 1) + TALL,
        boxes=list(boxes.values()),
        lines=[line for lines, _ in drawn for line in lines],
        labels=[label for _, label in drawn],
    )


Part = tuple[list[str], Label]


def draw_steps(table: Table, column: list[State], boxes: dict[State, Box]) -> Iterable[Part]:
    """Draws the steps down the column."""
    for before, after in pairwise(column):
        cause = next(
            cause for (state, cause), to in table.items() if (state, to) == (before, after)
        )
        upper, lower = boxes[before], boxes[after]
        line = f"M{upper.middle} {upper.below}V{lower.y}"
        yield [line], Label(cause, upper.middle + OFF, (upper.below + lower.y) // 2 + 4)


def draw_lane(jump: Jump, x: int, boxes: dict[State, Box]) -> Part:
    """Draws a jump inside the column: out of each state on the left, along the lane, to the target."""
    target = boxes[jump.to]
    upward = all(boxes[state].y > target.y for state in jump.froms)
    at = target.centre if upward else target.centre - OFF
    lines = [
        f"M{boxes[state].x} {boxes[state].centre + OFF}H{x}V{at}H{target.x}" for state in jump.froms
    ]
    return lines, Label(jump.cause, target.x - OFF, at - 6, "end")


def draw_trunk(jump: Jump, x: int, boxes: dict[State, Box]) -> Part:
    """Draws a jump to a state beside the column: out on the right and along the trunk."""
    target = boxes[jump.to]
    lines = [
        f"M{boxes[state].right} {boxes[state].centre + OFF}H{x}V{target.centre}H{target.x}"
        for state in jump.froms
    ]
    return lines, Label(jump.cause, x + 6, target.centre - 6)


def draw_returns(jumps: list[Jump], boxes: dict[State, Box]) -> Iterable[Part]:
    """Draws the jumps back into the column above the trunks, the longest outermost."""
    ordered = sorted(jumps, key=lambda jump: -boxes[jump.to].y)
    for number, jump in enumerate(ordered):
        source, target = boxes[jump.froms[0]], boxes[jump.to]
        x = source.x + (number + 1) * WIDE // (len(ordered) + 1)
        at = target.centre - OFF
        line = f"M{x} {source.y}V{at}H{target.right}"
        yield [line], Label(jump.cause, target.right + 2 * OFF, at - 6)
