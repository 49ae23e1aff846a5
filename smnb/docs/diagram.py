"""The state diagram as geometry: a small layout of the transitions of ``broadcast.states``.

The usual way through the states stands in a column, from the top down: a state's first row in the
table leads on. Jumps inside the column run in lanes on its left. The other states stand on the
right; what leads to them shares a trunk for each cause, what leads back runs above its target.
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
    """A state; ``x`` and ``y`` are its upper left corner."""

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
    """Transitions of one cause to one state, from several."""

    cause: Cause
    to: State
    froms: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Diagram:
    """``lines`` are paths of straight pieces, one for each transition, ending at its state."""

    wide: int
    tall: int
    boxes: list[Box]
    lines: list[str]
    labels: list[Label]


def column_of(table: Table) -> list[State]:
    """The usual way: from idle on along the first row of each state, until it closes."""
    found = [State.IDLE]
    while True:
        after = next(to for (before, _), to in table.items() if before == found[-1])
        if after in found:
            return found
        found.append(after)


def jumps_of(table: Table, column: list[State]) -> list[Jump]:
    """All that is no step down the column, grouped by cause and target."""
    steps = set(pairwise(column))
    grouped: dict[tuple[Cause, State], list[State]] = {}
    for (before, cause), after in table.items():
        if (before, after) not in steps:
            grouped.setdefault((cause, after), []).append(before)
    return [Jump(cause, to, tuple(froms)) for (cause, to), froms in grouped.items()]


def draw(table: Table = TRANSITIONS) -> Diagram:
    """Lay the whole table out."""
    column = column_of(table)
    jumps = jumps_of(table, column)
    inner = [one for one in jumps if {one.to, *one.froms} <= set(column)]
    lanes = sorted(inner, key=lambda one: _span(one, column))
    left = EDGE + LANE * len(lanes)
    boxes = {state: Box(state, left, EDGE + PITCH * row) for row, state in enumerate(column)}
    others = [state for state in dict.fromkeys(table.values()) if state not in column]
    outward = [one for one in jumps if one.to in others]
    trunks = left + WIDE + TRUNK * len(outward)
    for number, state in enumerate(others):
        y = EDGE + PITCH * (len(column) - 2 - number)
        boxes[state] = Box(state, trunks + GAP, y)
    drawn = [
        *_steps(table, column, boxes),
        *(_lane(one, left - LANE * (at + 1) + EDGE, boxes) for at, one in enumerate(lanes)),
        *(_trunk(one, left + WIDE + TRUNK * (at + 1), boxes) for at, one in enumerate(outward)),
        *_returns([one for one in jumps if set(one.froms) <= set(others)], boxes),
    ]
    return Diagram(
        wide=trunks + GAP + WIDE + EDGE if others else left + WIDE + EDGE,
        tall=2 * EDGE + PITCH * (len(column) - 1) + TALL,
        boxes=list(boxes.values()),
        lines=[line for lines, _ in drawn for line in lines],
        labels=[label for _, label in drawn],
    )


Part = tuple[list[str], Label]


def _span(jump: Jump, column: list[State]) -> int:
    rows = [column.index(state) for state in (jump.to, *jump.froms)]
    return max(rows) - min(rows)


def _steps(table: Table, column: list[State], boxes: dict[State, Box]) -> Iterable[Part]:
    for before, after in pairwise(column):
        cause = next(why for (was, why), to in table.items() if (was, to) == (before, after))
        upper, lower = boxes[before], boxes[after]
        line = f"M{upper.middle} {upper.below}V{lower.y}"
        yield [line], Label(cause, upper.middle + OFF, (upper.below + lower.y) // 2 + 4)


def _lane(jump: Jump, x: int, boxes: dict[State, Box]) -> Part:
    """Out of each state on the left, along the lane, and into the target."""
    target = boxes[jump.to]
    upward = all(boxes[state].y > target.y for state in jump.froms)
    at = target.centre if upward else target.centre - OFF
    lines = [
        f"M{boxes[state].x} {boxes[state].centre + OFF}H{x}V{at}H{target.x}" for state in jump.froms
    ]
    return lines, Label(jump.cause, target.x - OFF, at - 6, "end")


def _trunk(jump: Jump, x: int, boxes: dict[State, Box]) -> Part:
    """Out of each state on the right, along the trunk, and into a state beside the column."""
    target = boxes[jump.to]
    lines = [
        f"M{boxes[state].right} {boxes[state].centre + OFF}H{x}V{target.centre}H{target.x}"
        for state in jump.froms
    ]
    return lines, Label(jump.cause, x + 6, target.centre - 6)


def _returns(jumps: list[Jump], boxes: dict[State, Box]) -> Iterable[Part]:
    """Back into the column above the trunks, the longest way outermost."""
    ordered = sorted(jumps, key=lambda one: -boxes[one.to].y)
    for number, jump in enumerate(ordered):
        source, target = boxes[jump.froms[0]], boxes[jump.to]
        x = source.x + (number + 1) * WIDE // (len(ordered) + 1)
        at = target.centre - OFF
        line = f"M{x} {source.y}V{at}H{target.right}"
        yield [line], Label(jump.cause, target.right + 2 * OFF, at - 6)
