"""Drawings of the market, as numbers for a template: the treemap, and the small line of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stories.market.quotes import Quote, step_of
from stories.text.cleaning import ELLIPSIS

LINE_WIDTH, LINE_HEIGHT = 96, 24
SIGNS = {2: "▲▲", 1: "▲", 0: "●", -1: "▼", -2: "▼▼"}
STEP_WORDS = {
    2: "rising fast",
    1: "rising",
    0: "steady",
    -1: "falling",
    -2: "falling fast",
}

# Width and height in pixels, and the number of trends: a wide screen and a telephone.
WIDE = (1200, 400, 40)
NARROW = (360, 460, 20)

_LEAST = 1e-6  # so that rounding cannot leave a free area of no size
_GAP = 2.0
_LEAST_HEIGHT, _HEIGHT_OF_ONE = 160, 50  # pixels
_LETTER = 8.8  # mean width of a letter at the map's font size
_PADDING = 8.0
_ONE_LINE, _TWO_LINES = 26.0, 44.0
_FEWEST_LETTERS = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """A rectangle of the treemap, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Tile:
    """A trend on the treemap; ``label`` and ``note`` are "" where they do not fit.

    ``description`` is the whole tile in words, for screen readers and as a tooltip.
    """

    id: int
    cell: Cell
    step: int
    label: str
    note: str
    description: str


@dataclass(frozen=True, slots=True)
class Map:
    """A treemap for one width of the screen."""

    name: str
    width: int
    height: int
    tiles: Sequence[Tile]


def squarified(sizes: Sequence[float], width: float, height: float) -> list[Cell]:
    """Returns a cell for each size (positive, greatest first), together filling width x height.

    The squarified treemap of Bruls, Huizing and van Wijk (2000): rows of cells along the shorter
    side, each row as long as its cells become more square by it.
    """
    total = sum(sizes)
    if not total:
        return []
    areas = [size * width * height / total for size in sizes]
    cells: list[Cell] = []
    free = Cell(0.0, 0.0, width, height)
    while len(cells) < len(areas):
        side = min(free.width, free.height)
        row = [areas[len(cells)]]
        for area in areas[len(cells) + 1 :]:
            # One more cell would make the row less square: begin a new one.
            if _worst_ratio([*row, area], side) > _worst_ratio(row, side):
                break
            row.append(area)
        vertical = free.width >= free.height
        depth = sum(row) / side
        offset = 0.0
        for area in row:
            length = area / depth
            if vertical:
                cells.append(Cell(free.x, free.y + offset, depth, length))
            else:
                cells.append(Cell(free.x + offset, free.y, length, depth))
            offset += length
        if vertical:
            width_left = max(free.width - depth, _LEAST)
            free = Cell(free.x + depth, free.y, width_left, free.height)
        else:
            height_left = max(free.height - depth, _LEAST)
            free = Cell(free.x, free.y + depth, free.width, height_left)
    return cells


def _worst_ratio(row: Sequence[float], side: float) -> float:
    """Returns the greatest ratio of length to width among the cells of a row along ``side``."""
    depth = sum(row) / side
    return max(max(area / depth**2, depth**2 / area) for area in row)


def maps(quotes: Sequence[Quote]) -> list[Map]:
    """Returns the map for a wide and for a narrow screen; the style sheet shows one of them."""
    return [_map("wide", quotes, *WIDE), _map("narrow", quotes, *NARROW)]


def _map(name: str, quotes: Sequence[Quote], width: int, height: int, most: int) -> Map:
    # The id decides between equal volumes, so that tiles do not change places at each refresh.
    leading = sorted(quotes, key=lambda quote: (-quote.trend.posts, quote.trend.pk))[:most]
    sizes = [float(quote.trend.posts) for quote in leading]
    # A few trends need no more room than their names.
    height = min(height, max(_LEAST_HEIGHT, _HEIGHT_OF_ONE * len(leading)))
    tiles: list[Tile] = []
    for outer, quote in zip(squarified(sizes, width, height), leading, strict=True):
        cell = Cell(
            round(outer.x + _GAP / 2, 1),
            round(outer.y + _GAP / 2, 1),
            round(max(outer.width - _GAP, 1.0), 1),
            round(max(outer.height - _GAP, 1.0), 1),
        )
        trend, step = quote.trend, step_of(quote.score.momentum)
        # Text cannot be measured on the server, so the mean width of a letter has to do.
        letters = int((cell.width - 2 * _PADDING) / _LETTER)
        label = note = ""
        if letters >= _FEWEST_LETTERS and cell.height >= _ONE_LINE:
            label = trend.label
            if len(label) > letters:
                label = label[: letters - 1].rstrip() + ELLIPSIS
        if label and cell.height >= _TWO_LINES:
            note = f"{SIGNS[step]} {trend.posts:,}"
        count = posts_text(trend.posts)
        description = f"{trend.label}: {count}, {STEP_WORDS[step]}, score {quote.score.value}"
        tiles.append(Tile(trend.pk, cell, step, label, note, description))
    return Map(name, width, height, tiles)


def posts_text(number: int) -> str:
    return f"{number:,} {'post' if number == 1 else 'posts'}"


def line(buckets: Sequence[int]) -> str:
    """Returns the points of a small line through the buckets, within 96 by 24."""
    most = max(*buckets, 1)
    step = (LINE_WIDTH - 4) / (len(buckets) - 1)
    points = (
        (2 + index * step, LINE_HEIGHT - 3 - value / most * (LINE_HEIGHT - 6))
        for index, value in enumerate(buckets)
    )
    return " ".join(f"{round(x, 1)},{round(y, 1)}" for x, y in points)
