"""Charts as geometry: what a template needs to draw bars, lines and bands as plain SVG.

A chart is 420 by 200 units and scales with its panel. Everything is a number or a word of ours;
colours are classes of the style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil, floor, log10

from sessions_app.events import recorder

WIDTH, HEIGHT = 420, 200
LEFT, RIGHT, TOP, BOTTOM = 68, 24, 12, 30
GAP = 0.22  # of a bar's place
LINES = 4
TIMES, DAYS = 5, 3  # words below a chart; those with a day are longer
DAY = 1440
DASH = "\N{EN DASH}"

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
    """A path of the drawing; ``kind``: bar, line or area."""

    kind: str
    tone: str
    path: str


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of the legend; ``total`` is what its series sums up to, "" where that says nothing."""

    name: str
    tone: str
    total: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across, or a moment below; ``at`` is set for moments (ISO 8601)."""

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
    """A chart with the table behind it; ``rows`` are newest first, without the empty buckets."""

    key: str
    title: str
    unit: str
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
    """What a chart shows: its words, its moments and how values are written."""

    key: str
    title: str
    unit: str
    moments: Sequence[datetime]
    size: int
    write: Words
    axis: Words
    summed: bool = True


def round_step(top: float, lines: int = LINES, least: float = 0.0) -> float:
    """The distance of round lines (1, 2 or 5 times a power of ten) that reach ``top``."""
    if top <= 0:
        return max(least, 1.0)
    rough = top / lines
    power = 10.0 ** floor(log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))
    return max(step, least)


class Scale:
    """Where values and moments stand in the drawing."""

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


def bars(plan: Plan, series: Sequence[Series], least: float = 1.0) -> Chart:
    """Bars over time, one row upon the other; a negative value (put right later) draws nothing."""
    stacks = [sum(max(value or 0, 0) for value in column) for column in _columns(series)]
    scale = Scale(max(stacks, default=0), len(plan.moments), least)
    below = [0.0] * len(plan.moments)
    shapes = []
    for one in series:
        tops = [low + max(value or 0, 0) for low, value in zip(below, one.values, strict=True)]
        shapes.append(Shape("bar", one.tone, _bars(scale, below, tops)))
        below = tops
    return _chart(plan, series, scale, shapes)


def lines(plan: Plan, series: Sequence[Series], least: float = 0.0) -> Chart:
    """Lines over time; a gap breaks the line, and a value between gaps is a dot."""
    scale = Scale(_top(series), len(plan.moments), least)
    shapes = [Shape("line", one.tone, _line(scale, one.values)) for one in series]
    return _chart(plan, series, scale, shapes)


def band(plan: Plan, lower: Series, upper: Series, least: float = 0.0) -> Chart:
    """The lower values as an area, and what may come on top of them as a band up to the upper."""
    series = (lower, upper)
    scale = Scale(_top(series), len(plan.moments), least)
    lows = [value or 0.0 for value in lower.values]
    highs = [value or 0.0 for value in upper.values]
    shapes = [
        Shape("area", lower.tone, _area(scale, [0.0] * len(lows), lows)),
        Shape("line", lower.tone, _line(scale, lower.values)),
        Shape("area", upper.tone, _area(scale, lows, highs)),
    ]
    return _chart(plan, series, scale, shapes)


def _columns(series: Sequence[Series]) -> list[tuple[Value, ...]]:
    return list(zip(*(one.values for one in series), strict=True))


def _top(series: Sequence[Series]) -> float:
    return max((value for one in series for value in one.values if value is not None), default=0)


def _bars(scale: Scale, lows: Sequence[float], tops: Sequence[float]) -> str:
    inset, width = scale.place * GAP / 2, round(scale.place * (1 - GAP), 2)
    return "".join(
        f"M{round(scale.x(index) + inset, 2)} {scale.y(low)}V{scale.y(top)}h{width}V{scale.y(low)}z"
        for index, (low, top) in enumerate(zip(lows, tops, strict=True))
        if top > low
    )


def _line(scale: Scale, values: Sequence[Value]) -> str:
    parts, drawing = [], False
    for index, value in enumerate(values):
        if value is None:
            drawing = False
            continue
        parts.append(f"{'L' if drawing else 'M'}{scale.x(index + 0.5)} {scale.y(value)}")
        if not drawing:
            parts.append("h0")  # a round cap makes a dot of it
        drawing = True
    return "".join(parts)


def _area(scale: Scale, lows: Sequence[float], highs: Sequence[float]) -> str:
    there = [(scale.x(i + 0.5), scale.y(high)) for i, high in enumerate(highs)]
    back = [(scale.x(i + 0.5), scale.y(low)) for i, low in enumerate(lows)][::-1]
    if not any(high > low for low, high in zip(lows, highs, strict=True)):
        return ""
    return "M" + "L".join(f"{x} {y}" for x, y in there + back) + "z"


def _chart(plan: Plan, series: Sequence[Series], scale: Scale, shapes: list[Shape]) -> Chart:
    return Chart(
        key=plan.key,
        title=plan.title,
        unit=plan.unit,
        keys=[Key(one.name, one.tone, _total(plan, one)) for one in series],
        shapes=shapes,
        levels=[_level(plan, scale, number) for number in range(scale.lines + 1)],
        moments=_moments(plan, scale),
        columns=[one.name for one in series],
        rows=_rows(plan, series),
        summary=_summary(plan, series),
    )


def _level(plan: Plan, scale: Scale, number: int) -> Tick:
    value = number * scale.step
    return Tick(LEFT, scale.y(value), plan.axis(value))


def _moments(plan: Plan, scale: Scale) -> list[Tick]:
    """Round moments below the chart, from the left on."""
    minutes = plan.size * len(plan.moments)
    every = _every(minutes)
    found = [
        (index, at)
        for index, at in enumerate(plan.moments)
        if (int(at.timestamp()) // 60) % every == 0
    ]
    return [
        Tick(scale.x(index), HEIGHT - 10, _word(at, minutes), recorder.timestamp(at) or "")
        for index, at in found
    ]


def _every(minutes: int) -> int:
    """How many minutes lie between two moments that are written: a round number of them."""
    rounds = (5, 10, 15, 30, 60, 120, 180, 360, 720, DAY)
    most = TIMES if minutes <= DAY else DAYS
    return next((each for each in rounds if minutes / each <= most), DAY)


def _word(at: datetime, minutes: int) -> str:
    return f"{at:%a %H:%M}" if minutes > DAY else f"{at:%H:%M}"


def _rows(plan: Plan, series: Sequence[Series]) -> list[Row]:
    found = zip(plan.moments, _columns(series), strict=True)
    return [
        Row(recorder.timestamp(at) or "", f"{at.day} {at:%b, %H:%M} UTC", _cells(plan, values))
        for at, values in found
        if any(values)
    ][::-1]


def _cells(plan: Plan, values: Sequence[Value]) -> list[str]:
    return [DASH if value is None else plan.write(value) for value in values]


def _total(plan: Plan, one: Series) -> str:
    known = [value for value in one.values if value is not None]
    return plan.write(sum(known)) if plan.summed and any(known) else ""


def _summary(plan: Plan, series: Sequence[Series]) -> str:
    """The chart in one sentence, for who does not see it."""
    said = []
    for one in series:
        known = [value for value in one.values if value is not None]
        if any(known):
            said.append(f"{one.name}: at most {plan.write(max(known))} in {plan.size} min")
    return "; ".join(said) + "." if said else "Nothing in this time."
