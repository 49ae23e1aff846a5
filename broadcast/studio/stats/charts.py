"""The six charts of Live Stats."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from broadcast.charts import Chart, Plan, Series, Words, band, bars, lines
from broadcast.statistics import Point, Statistics
from sessions_app.money import PICO, decimal_string, dollars


def number(value: float) -> str:
    return f"{round(value):,}"


def short(value: float) -> str:
    """A number for an axis: 12,000 is 12k."""
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def money(pico: float) -> str:
    """An amount in 10⁻¹² USD to the millionth of a dollar."""
    return dollars(round(pico), 6)


def money_axis(pico: float) -> str:
    return f"${decimal_string(round(pico))}" if pico else "$0"


def seconds(value: float) -> str:
    return f"{value:.2f} s"


def seconds_axis(value: float) -> str:
    return f"{value:g} s"


def all_of(found: Statistics) -> list[Chart]:
    return [draw(found) for draw in (_stories, _posts, _tokens, _cost, _latency, _calls)]


def _plan(
    found: Statistics, key: str, title: str, unit: str, write: Words = number, axis: Words = short
) -> Plan:
    moments = [point.at for point in found.points]
    size = found.window.size
    return Plan(key, title, unit, moments, size, write, axis, summed=write is not seconds)


def _values(found: Statistics, of: Callable[[Point], float | None]) -> Sequence[float | None]:
    return [of(point) for point in found.points]


def _sums(found: Statistics, label: str, tone: str, column: str) -> Series:
    return Series(label, tone, _values(found, lambda point: point[column]))


def _stories(found: Statistics) -> Chart:
    series = [_sums(found, "Stories", "one", "story_count")]
    return bars(_plan(found, "stories", "Stories", "stories written"), series)


def _posts(found: Statistics) -> Chart:
    series = [_sums(found, "Posts", "one", "feed")]
    return bars(_plan(found, "posts", "Posts", "posts read from the sources"), series)


def _tokens(found: Statistics) -> Chart:
    series = [
        _sums(found, "Input", "one", "input_tokens"),
        _sums(found, "Output", "two", "output_tokens"),
    ]
    return bars(_plan(found, "tokens", "Tokens", "tokens, cache not counted"), series)


def _cost(found: Statistics) -> Chart:
    plan = _plan(found, "cost", "Cost", "US dollars", money, money_axis)
    lower = _sums(found, "At least", "one", "cost_lower")
    upper = _sums(found, "At most", "care", "cost_upper")
    return band(plan, lower, upper, least=PICO / 10_000)


def _latency(found: Statistics) -> Chart:
    plan = _plan(found, "latency", "Latency", "seconds, mean of the calls", seconds, seconds_axis)
    first = _values(found, lambda point: _in_seconds(point.first_token_ms))
    whole = _values(found, lambda point: _in_seconds(point.call_ms))
    return lines(plan, [Series("First token", "two", first), Series("Whole call", "one", whole)])


def _in_seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def _calls(found: Statistics) -> Chart:
    exact = Series("Exact", "one", _values(found, lambda point: point.exact))
    bounded = _sums(found, "By bounds", "care", "bounded")
    return bars(_plan(found, "calls", "Model calls", "calls that ended"), [exact, bounded])
