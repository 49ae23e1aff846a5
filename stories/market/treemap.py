"""A treemap, laid out so that cells are as square as can be (Bruls, Huizing, van Wijk 2000).

Drawings of the market as numbers for a template: the map, and the small line of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stories.market.quotes import Quote
from stories.market.scores import step_of
from stories.text import ELLIPSIS

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


LINE_WIDTH, LINE_HEIGHT = 96, 24

SIGNS = {2: "▲▲", 1: "▲", 0: "●", -1: "▼", -2: "▼▼"}

STEP_WORDS = {
    2: "rising fast",
    1: "rising",
    0: "steady",
    -1: "falling",
    -2: "falling fast",
}

# Width and height in pixels, and how many trends: a wide screen and a telephone.
WIDE = (1200, 400, 40)

NARROW = (360, 460, 20)


_GAP = 2.0

_LETTER = 8.8  # mean width at the map's size of type

_PADDING = 8.0

_ONE_LINE, _TWO_LINES = 26.0, 44.0

_FEWEST_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Tile:
    """One cell of the map; ``label`` and ``note`` are "" where they would not fit.

    ``said`` is the whole of it in words, for who does not see it and for the pointer.
    """

    id: int
    cell: Cell
    step: int
    label: str
    note: str
    said: str


@dataclass(frozen=True, slots=True)
class Map:
    name: str
    width: int
    height: int
    tiles: Sequence[Tile]


def maps(quotes: Sequence[Quote]) -> list[Map]:
    """The map for a wide screen and the one for a narrow one; the style sheet shows one of them."""
    return [_map("wide", quotes, *WIDE), _map("narrow", quotes, *NARROW)]


def _map(name: str, quotes: Sequence[Quote], width: int, height: int, most: int) -> Map:
    leading = sorted(quotes, key=lambda quote: (-quote.trend.posts, quote.trend.pk))[:most]
    sizes = [float(quote.trend.posts) for quote in leading]
    cells = squarified(sizes, width, height)
    tiles = [_tile(_inset(cell), quote) for cell, quote in zip(cells, leading, strict=True)]
    return Map(name, width, height, tiles)


def _inset(cell: Cell) -> Cell:
    return Cell(
        round(cell.x + _GAP / 2, 1),
        round(cell.y + _GAP / 2, 1),
        round(max(cell.width - _GAP, 1.0), 1),
        round(max(cell.height - _GAP, 1.0), 1),
    )


def _tile(cell: Cell, quote: Quote) -> Tile:
    letters = int((cell.width - 2 * _PADDING) / _LETTER)
    fits = letters >= _FEWEST_LETTERS and cell.height >= _ONE_LINE
    label = _short(quote.trend.label, letters) if fits else ""
    step = step_of(quote.score.momentum)
    note = f"{SIGNS[step]} {quote.trend.posts:,}" if label and cell.height >= _TWO_LINES else ""
    return Tile(quote.trend.pk, cell, step, label, note, _said(quote, STEP_WORDS[step]))


def _said(quote: Quote, word: str) -> str:
    return (
        f"{quote.trend.label}: {posts_text(quote.trend.posts)}, {word}, score {quote.score.value}"
    )


def posts_text(number: int) -> str:
    return f"{number:,} {'post' if number == 1 else 'posts'}"


def _short(label: str, letters: int) -> str:
    return label if len(label) <= letters else label[: letters - 1].rstrip() + ELLIPSIS


def line(buckets: Sequence[int]) -> str:
    """The points of a small line through the buckets, within 96 by 24."""
    most = max(*buckets, 1)
    across = (LINE_WIDTH - 4) / (len(buckets) - 1)
    return " ".join(
        f"{round(2 + at * across, 1)},{round(LINE_HEIGHT - 3 - value / most * (LINE_HEIGHT - 6), 1)}"
        for at, value in enumerate(buckets)
    )
