"""The geometry of charts: templates draw areas, lines and bands from it as plain SVG.

A chart is 420 by 200 units and scales with its panel; colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil, floor, log10

from sessions_app.events import recorder

WIDTH, HEIGHT = 420, 160
LEFT, RIGHT, TOP, BOTTOM = 4, 4, 20, 26
LINES = 3
TIMES, DAYS = 4, 3  # labels below a chart; those with a day are longer
DAY = 1440
DASH = "\N{EN DASH}"
DOT = "m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0"  # a circle around the point before it

Value = float | None
Words = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One row of values; ``tone`` is the class of its colour. None is a gap."""

    name: str
    tone: str
    values: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Shape:
    """A path of the drawing; ``kind``: line or area."""

    kind: str
    tone: str
    path: str


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend; ``total`` is the sum of its series, or empty."""

    name: str
    tone: str
    total: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A horizontal line, or a time below the chart; ``at`` is set for times (ISO 8601)."""

    x: float
    y: float
    text: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    at: str
    text: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with the table behind it; ``rows`` are newest first, without the empty buckets.

    ``headline`` is the sum, or the newest value where a sum means nothing.
    """

    key: str
    title: str
    unit: str
    headline: str
    keys: list[Key]
    shapes: list[Shape]
    levels: list[Tick]
    moments: list[Tick]
    columns: list[str]
    rows: list[Row]
    summary: str
    width: int = field(default=WIDTH, init=False)
    height: int = field(default=HEIGHT, init=False)
    left: int = field(default=LEFT, init=False)
    right: int = field(default=WIDTH - RIGHT, init=False)
    base: int = field(default=HEIGHT - BOTTOM, init=False)

    @property
    def blank(self) -> bool:
        return not self.rows


@dataclass(frozen=True, slots=True)
class Plan:
    """What a chart shows: its texts, the times of its buckets, and the format of its values.

    The last bucket is not drawn while it is ``running``: its few values would look like a fall.
    """

    key: str
    title: str
    unit: str
    moments: Sequence[datetime]
    size: int
    write: Words
    axis: Words
    summed: bool = True
    running: bool = False

    def drawn(self, series: Sequence[Series]) -> int:
        """The number of buckets to draw; all if there is nothing before the running one."""
        last = len(self.moments) - 1
        before = any(any(row.values[:last]) for row in series)
        return last if self.running and before else last + 1


def round_step(top: float, lines: int = LINES, least: float = 0.0) -> float:
    """Returns the distance of lines (1, 2 or 5 times a power of ten) that reach ``top``."""
    if top <= 0:
        return max(least, 1.0)
    rough = top / lines
    power = 10.0 ** floor(log10(rough))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= rough * (1 - 1e-9))
    return max(step, least)


class Scale:
    """The coordinates of values and buckets in the drawing."""

    def __init__(self, top: float, number: int, least: float) -> None:
        self.step = round_step(top, least=least)
        self.lines = max(1, ceil(top / self.step - 1e-9)) if top > 0 else 1
        self.top = self.step * self.lines
        self.place = (WIDTH - LEFT - RIGHT) / number

    def y(self, value: float) -> float:
        inside = min(max(value, 0.0), self.top)
        return round(HEIGHT - BOTTOM - inside / self.top * (HEIGHT - BOTTOM - TOP), 2)

    def x(self, index: float) -> float:
        return round(LEFT + index * self.place, 2)


def areas(plan: Plan, series: Sequence[Series], least: float = 1.0) -> Chart:
    """Draws areas over time, stacked; a negative value, which a later event corrects, draws nothing."""
    stacks = [sum(max(value or 0, 0) for value in column) for column in _columns(series)]
    scale = Scale(max(stacks, default=0), len(plan.moments), least)
    drawn = plan.drawn(series)
    lows = [0.0] * len(plan.moments)
    shapes: list[Shape] = []
    for row in series:
        tops = [low + max(value or 0, 0) for low, value in zip(lows, row.values, strict=True)]
        if tops != lows:
            # Before those below it, whose line must stay visible where this one adds nothing.
            area, line = _area(scale, lows[:drawn], tops[:drawn]), _line(scale, tops[:drawn])
            shapes = [Shape("area", row.tone, area), Shape("line", row.tone, line), *shapes]
        lows = tops
    total = sum(value or 0 for row in series for value in row.values)
    return _chart(plan, series, scale, shapes, plan.write(total))


def lines(plan: Plan, series: Sequence[Series], least: float = 0.0) -> Chart:
    """Draws lines over time; a gap breaks the line, and a value between gaps is a dot."""
    scale = Scale(_top(series), len(plan.moments), least)
    drawn = plan.drawn(series)
    shapes = [Shape("line", row.tone, _line(scale, row.values[:drawn])) for row in series]
    newest = next((value for value in reversed(series[-1].values) if value is not None), None)
    headline = DASH if newest is None else plan.write(newest)
    return _chart(plan, series, scale, shapes, headline)


def band(plan: Plan, lower: Series, upper: Series, least: float = 0.0) -> Chart:
    """Draws the lower values as an area, and a band from them up to the upper values."""
    series = (lower, upper)
    scale = Scale(_top(series), len(plan.moments), least)
    lows = [value or 0.0 for value in lower.values]
    highs = [value or 0.0 for value in upper.values]
    drawn = plan.drawn(series)
    shapes = [
        Shape("area", lower.tone, _area(scale, [0.0] * drawn, lows[:drawn])),
        Shape("line", lower.tone, _line(scale, lower.values[:drawn])),
        Shape("area", upper.tone, _area(scale, lows[:drawn], highs[:drawn])),
    ]
    least_sum, most_sum = plan.write(sum(lows)), plan.write(sum(highs))
    headline = least_sum if least_sum == most_sum else f"{least_sum}{DASH}{most_sum}"
    return _chart(plan, series, scale, shapes, headline)


def _columns(series: Sequence[Series]) -> list[tuple[Value, ...]]:
    return list(zip(*(row.values for row in series), strict=True))


def _top(series: Sequence[Series]) -> float:
    return max((value for row in series for value in row.values if value is not None), default=0)


def _line(scale: Scale, values: Sequence[Value]) -> str:
    parts: list[str] = []
    before: Value = None
    for index, (value, after) in enumerate(zip(values, [*values[1:], None], strict=True)):
        if value is not None:
            point = f"{scale.x(index + 0.5)} {scale.y(value)}"
            alone = before is None and after is None
            parts.append(f"{'M' if before is None else 'L'}{point}{DOT if alone else ''}")
        before = value
    return "".join(parts)


def _area(scale: Scale, lows: Sequence[float], highs: Sequence[float]) -> str:
    upper = [(scale.x(i + 0.5), scale.y(high)) for i, high in enumerate(highs)]
    lower = [(scale.x(i + 0.5), scale.y(low)) for i, low in enumerate(lows)][::-1]
    if not any(high > low for low, high in zip(lows, highs, strict=True)):
        return ""
    return "M" + "L".join(f"{x} {y}" for x, y in upper + lower) + "z"


def _chart(
    plan: Plan, series: Sequence[Series], scale: Scale, shapes: list[Shape], headline: str
) -> Chart:
    known = {row.name: [v for v in row.values if v is not None] for row in series}
    totals = {
        name: plan.write(sum(values)) if plan.summed and any(values) else ""
        for name, values in known.items()
    }
    rows = [
        Row(
            recorder.timestamp(at),
            f"{at.day} {at:%b, %H:%M} UTC",
            [DASH if value is None else plan.write(value) for value in values],
        )
        for at, values in zip(plan.moments, _columns(series), strict=True)
        if any(values)
    ]
    # The chart in one sentence, for screen readers.
    peaks = [
        f"{name}: at most {plan.write(max(values))} in {plan.size} min"
        for name, values in known.items()
        if any(values)
    ]
    levels = [number * scale.step for number in range(scale.lines + 1)]
    return Chart(
        key=plan.key,
        title=plan.title,
        unit=plan.unit,
        headline=headline,
        keys=[Key(row.name, row.tone, totals[row.name]) for row in series],
        shapes=shapes,
        levels=[Tick(LEFT, scale.y(level), plan.axis(level)) for level in levels[1:]],
        moments=_time_labels(plan, scale),
        columns=[row.name for row in series],
        rows=rows[::-1],
        summary="; ".join(peaks) + "." if peaks else "No data in this period.",
    )


def _time_labels(plan: Plan, scale: Scale) -> list[Tick]:
    """Returns labels at round times, from left to right."""
    minutes = plan.size * len(plan.moments)
    most = TIMES if minutes <= DAY else DAYS
    distances = (5, 10, 15, 30, 60, 120, 180, 360, 720, DAY)
    every = next((distance for distance in distances if minutes / distance <= most), DAY)
    text = "%a %H:%M" if minutes > DAY else "%H:%M"
    return [
        Tick(scale.x(index), HEIGHT - 10, f"{at:{text}}", recorder.timestamp(at))
        for index, at in enumerate(plan.moments)
        # A label at an edge would be cut off.
        if (int(at.timestamp()) // 60) % every == 0 and 24 <= scale.x(index) <= WIDTH - 24
    ]
