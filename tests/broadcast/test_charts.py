"""Charts: round axes, shapes where they belong, gaps that stay gaps, and the table behind."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from broadcast import charts
from broadcast.charts import Chart, Plan, Series
from sessions_app.events import statistics

START = datetime(2026, 11, 21, 7, 45, tzinfo=UTC)


def plan(number: int = 4, size: int = 15) -> Plan:
    start = statistics.start_of(START, size)
    moments = [start + each * timedelta(minutes=size) for each in range(number)]
    return Plan("k", "Stories", "stories", moments, size, "{:.0f}".format, "{:g}".format)


def areas(*rows: list[float | None]) -> Chart:
    named = [Series(f"S{number}", "one", row) for number, row in enumerate(rows)]
    return charts.areas(plan(len(rows[0])), named)


def heights(path: str) -> list[float]:
    """The height of each point of a line, as a share of the plot."""
    full = charts.HEIGHT - charts.BOTTOM - charts.TOP
    return [(charts.HEIGHT - charts.BOTTOM - y) / full for _, y in points(path)]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


@pytest.mark.parametrize(
    ("top", "step"),
    [(0, 1), (0.3, 0.1), (3, 1), (4, 2), (5, 2), (17, 10), (900, 500), (4100, 2000)],
)
def test_lines_stand_at_round_numbers(top: float, step: float) -> None:
    assert charts.round_step(top) == pytest.approx(step)


def test_the_axis_reaches_the_highest_value_and_leaves_the_zero_of_its_base_out() -> None:
    chart = areas([1, 17, 0, 3])
    assert [level.text for level in chart.levels] == ["10", "20"]
    assert chart.levels[-1].y == charts.TOP


def test_counts_have_no_lines_between_whole_numbers() -> None:
    assert [level.text for level in areas([1, 0, 0, 0]).levels] == ["1"]


def test_an_area_is_as_high_as_its_share_of_the_axis_and_closed_at_its_base() -> None:
    area, line = areas([0, 2, 0, 4]).shapes
    assert (area.kind, line.kind) == ("area", "line")
    assert heights(line.path) == pytest.approx([0, 0.5, 0, 1])
    assert heights(area.path) == pytest.approx([0, 0.5, 0, 1, 0, 0, 0, 0])
    assert area.path.endswith("z")


def test_stacked_areas_lie_on_each_other_and_the_lowest_is_painted_last() -> None:
    high_area, high_line, low_area, low_line = areas([1, 0, 2, 0], [3, 0, 0, 1]).shapes
    assert heights(low_line.path) == pytest.approx([0.25, 0, 0.5, 0])
    assert heights(high_line.path) == pytest.approx([1, 0, 0.5, 0.25])
    assert points(high_area.path)[4:] == points(low_line.path)[::-1]
    assert points(low_area.path)[:4] == points(low_line.path)


def test_a_series_without_values_draws_nothing() -> None:
    assert len(areas([1, 0, 2, 0], [0, 0, 0, 0]).shapes) == 2


def test_what_was_put_right_later_draws_no_area_but_is_in_the_table_and_the_sum() -> None:
    chart = areas([-1, 2, 0, 0])
    assert heights(chart.shapes[1].path) == pytest.approx([0, 1, 0, 0])
    assert [row.cells for row in chart.rows] == [["2"], ["-1"]]
    assert chart.headline == "1"


def test_the_headline_is_a_sum_a_range_or_the_newest_value() -> None:
    assert areas([1, 17, None, 3], [0, 0, 5, 0]).headline == "26"
    lower, upper = Series("L", "one", [1, 2, None, 0]), Series("U", "care", [1, 2, None, 4])
    assert charts.band(plan(), lower, upper).headline == "3\N{EN DASH}7"
    assert charts.band(plan(), lower, lower).headline == "3"
    calls = [Series("First", "two", [1, 1, 1, 1]), Series("Whole", "one", [4, 2, 9, None])]
    assert charts.lines(plan(), calls).headline == "9"
    assert charts.lines(plan(), [Series("Whole", "one", [None] * 4)]).headline == "\N{EN DASH}"


def test_the_running_bucket_is_counted_but_not_drawn() -> None:
    running = replace(plan(), running=True)
    chart = charts.areas(running, [Series("S", "one", [4, 2, 4, 1])])
    area, line = chart.shapes
    assert heights(line.path) == pytest.approx([1, 0.5, 1])
    assert len(points(area.path)) == 6
    assert chart.headline == "11"
    assert chart.rows[0].cells == ["1"]
    # In the first minute there is nothing else to see.
    first = charts.areas(running, [Series("S", "one", [0, 0, 0, 1])])
    assert heights(first.shapes[1].path) == pytest.approx([0, 0, 0, 1])
    calls = charts.lines(running, [Series("Call", "one", [1, 2, None, 2])])
    assert len(points(calls.shapes[0].path)) == 2
    lower, upper = Series("L", "one", [1, 2, 2, 1]), Series("U", "care", [1, 4, 4, 1])
    assert len(points(charts.band(running, lower, upper).shapes[2].path)) == 6


def test_a_gap_breaks_the_line_and_a_lone_value_is_a_dot() -> None:
    chart = charts.lines(plan(5), [Series("Call", "one", [1, 2, None, 2, None])])
    path = chart.shapes[0].path
    assert path.count("M") == 2
    assert path.endswith("a2 2 0 1 0-4 0")
    assert path.count("a2 2") == 2
    assert len(points(path)) == 3


def test_a_band_lies_between_the_lower_and_the_upper_values() -> None:
    lower, upper = Series("Least", "one", [1, 2, 2, 1]), Series("Most", "care", [1, 4, 4, 1])
    area, line, band = charts.band(plan(), lower, upper).shapes
    assert points(line.path) == points(area.path)[:4]
    assert points(band.path)[4:] == points(line.path)[::-1]
    assert min(y for _, y in points(band.path)) == charts.TOP


def test_where_all_is_exact_there_is_no_band() -> None:
    same = [1.0, 2.0, 2.0, 1.0]
    *_, band = charts.band(plan(), Series("L", "one", same), Series("U", "care", same)).shapes
    assert band.path == ""


def test_moments_are_round_and_carry_their_time() -> None:
    chart = charts.areas(plan(60, 5), [Series("S", "one", [1] * 60)])
    assert [moment.text for moment in chart.moments] == [
        "08:00",
        "10:00",
        "12:00",
    ]
    assert chart.moments[0].at == "2026-11-21T08:00:00.000Z"
    xs = [moment.x for moment in chart.moments]
    assert xs == sorted(xs)


def test_days_are_named_where_the_chart_is_longer_than_one() -> None:
    chart = charts.areas(plan(60, 60), [Series("S", "one", [1] * 60)])
    assert all(re.fullmatch(r"\w{3} \d\d:\d\d", moment.text) for moment in chart.moments)


@pytest.mark.parametrize("size", [1, 5, 15, 60])
def test_there_are_a_few_moments_at_every_size(size: int) -> None:
    chart = charts.areas(plan(60, size), [Series("S", "one", [1] * 60)])
    assert 2 <= len(chart.moments) <= 6


def test_the_table_has_the_newest_first_and_leaves_the_empty_out() -> None:
    chart = areas([1, 0, 0, 3], [0, 0, 0, 2])
    assert chart.columns == ["S0", "S1"]
    assert [row.cells for row in chart.rows] == [["3", "2"], ["1", "0"]]
    assert chart.rows[0].text == "21 Nov, 08:30 UTC"


def test_an_empty_chart_says_so() -> None:
    chart = areas([0, 0, 0, 0])
    assert chart.blank
    assert chart.summary == "No data in this period."
    assert [level.text for level in chart.levels] == ["1"]


def test_the_summary_names_the_highest_value_of_each_row() -> None:
    chart = areas([1, 5, 2, 0], [0, 0, 0, 0])
    assert chart.summary == "S0: at most 5 in 15 min."


def test_the_legend_says_what_a_row_sums_up_to() -> None:
    assert [(key.name, key.total) for key in areas([1, 5, 2, 0], [0] * 4).keys] == [
        ("S0", "8"),
        ("S1", ""),
    ]
