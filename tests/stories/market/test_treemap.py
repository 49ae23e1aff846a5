"""The treemap: every cell inside, none over another, areas as asked."""

from __future__ import annotations

import pytest

from stories.market.treemap import Cell, squarified

SIZES = [[1.0], [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], [1.0] * 40, [1e6, *[1.0] * 30], [5.0, 1e-3]]


def overlap(one: Cell, other: Cell) -> float:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(across, 0) * max(down, 0)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_each_cell_has_the_area_of_its_share(sizes: list[float]) -> None:
    cells = squarified(sizes, 600, 400)
    areas = [cell.width * cell.height for cell in cells]
    assert areas == pytest.approx([size * 600 * 400 / sum(sizes) for size in sizes], rel=1e-3)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_cells_stay_inside_and_apart(sizes: list[float]) -> None:
    cells = squarified(sizes, 600, 400)
    for number, cell in enumerate(cells):
        assert cell.x >= 0
        assert cell.y >= 0
        assert cell.x + cell.width <= 600.001
        assert cell.y + cell.height <= 400.001
        assert all(overlap(cell, other) < 1e-3 for other in cells[number + 1 :])


def test_alike_sizes_make_cells_that_are_nearly_square() -> None:
    shapes = [max(c.width / c.height, c.height / c.width) for c in squarified([1.0] * 12, 600, 400)]
    assert max(shapes) < 2


def test_nothing_makes_an_empty_map() -> None:
    assert squarified([], 600, 400) == []
