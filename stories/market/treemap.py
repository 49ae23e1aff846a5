"""A treemap, laid out so that cells are as square as can be (Bruls, Huizing, van Wijk 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LEAST = 1e-6  # what rounding may leave of the last row


@dataclass(frozen=True, slots=True)
class Cell:
    x: float
    y: float
    width: float
    height: float


def squarified(sizes: Sequence[float], width: float, height: float) -> list[Cell]:
    """A cell for each size (positive, greatest first), together filling width x height."""
    total = sum(sizes)
    if not total:
        return []
    areas = [size * width * height / total for size in sizes]
    cells: list[Cell] = []
    free = Cell(0.0, 0.0, width, height)
    while len(cells) < len(areas):
        row = _row(areas[len(cells) :], min(free.width, free.height))
        laid, free = _lay(row, free)
        cells += laid
    return cells


def _row(areas: Sequence[float], side: float) -> list[float]:
    """As many areas as make the row's worst cell no longer than without the last one."""
    row = [areas[0]]
    for area in areas[1:]:
        if _worst([*row, area], side) > _worst(row, side):
            break
        row.append(area)
    return row


def _worst(row: Sequence[float], side: float) -> float:
    """The greatest ratio of length to width in a row along ``side``."""
    depth = sum(row) / side
    return max(max(area / depth**2, depth**2 / area) for area in row)


def _lay(row: Sequence[float], free: Cell) -> tuple[list[Cell], Cell]:
    """Put a row along the shorter side; returns its cells and what stays free."""
    upright = free.width >= free.height
    depth = sum(row) / (free.height if upright else free.width)
    cells, at = [], 0.0
    for area in row:
        length = area / depth
        if upright:
            cells.append(Cell(free.x, free.y + at, depth, length))
        else:
            cells.append(Cell(free.x + at, free.y, length, depth))
        at += length
    if upright:
        return cells, Cell(free.x + depth, free.y, max(free.width - depth, _LEAST), free.height)
    return cells, Cell(free.x, free.y + depth, free.width, max(free.height - depth, _LEAST))
