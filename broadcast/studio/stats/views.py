"""Live Stats: the figures and charts of a session."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import orchestrator, statistics
from broadcast.charts import Chart, Plan, Series, Words, areas, band, lines
from broadcast.health import judgement
from broadcast.statistics import Point, Statistics
from sessions_app.models import Session
from sessions_app.money import PICO, UNIT, axis, dollars
from sessions_app.web.http import SignedIn, of_chosen

FEWEST_POINTS = 12


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


def seconds(value: float) -> str:
    return f"{value:.2f} s"


def seconds_axis(value: float) -> str:
    return f"{value:g} s"


def all_charts(statistics: Statistics) -> list[Chart]:
    """Draws the charts of the page, in its order."""
    points = statistics.points
    # The charts of a young session begin with its first activity, so that there is something to see.
    first = next((at for at, point in enumerate(points) if any(point.sums.values())), 0)
    points = points[min(first, max(0, len(points) - FEWEST_POINTS)) :]

    def plan(key: str, title: str, unit: str, write: Words = number, axis: Words = short) -> Plan:
        moments = [point.at for point in points]
        # A sum of mean latencies means nothing, so their legend has no totals.
        summed = write is not seconds
        return Plan(
            key,
            title,
            unit,
            moments,
            statistics.window.size,
            write,
            axis,
            summed=summed,
            running=not statistics.window.frozen,
        )

    def series(name: str, tone: str, value: Callable[[Point], float | None]) -> Series:
        return Series(name, tone, [value(point) for point in points])

    stories = series("Stories", "one", lambda point: point["story_count"])
    posts = series("Posts", "one", lambda point: point["feed"])
    input_tokens = series("Input", "one", lambda point: point["input_tokens"])
    output_tokens = series("Output", "two", lambda point: point["output_tokens"])
    cost_lower = series("At least", "one", lambda point: point["cost_lower"])
    cost_upper = series("At most", "care", lambda point: point["cost_upper"])
    first_token = series("First token", "two", lambda point: in_seconds(point.first_token_ms))
    whole_call = series("Whole call", "one", lambda point: in_seconds(point.call_ms))
    exact = series("Exact", "one", lambda point: point.exact)
    bounded = series("By bounds", "care", lambda point: point["bounded"])
    cost_plan = plan("cost", "Cost", UNIT, money, axis)
    latency_plan = plan("latency", "Latency", "seconds, mean of the calls", seconds, seconds_axis)
    return [
        areas(plan("stories", "Stories", "stories written"), [stories]),
        areas(plan("posts", "Posts", "posts read from the sources"), [posts]),
        areas(plan("tokens", "Tokens", "tokens, cache not counted"), [input_tokens, output_tokens]),
        # The least step of the axis is a hundredth of a cent, so that tiny costs do not look large.
        band(cost_plan, cost_lower, cost_upper, least=PICO / 10_000),
        lines(latency_plan, [first_token, whole_call]),
        areas(plan("calls", "Model calls", "finished calls"), [exact, bounded]),
    ]


def in_seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


@require_safe
@of_chosen
def stats(request: SignedIn, session: Session | None) -> HttpResponse:
    """The page; for htmx only the figures, which the page refreshes during a broadcast."""
    size = statistics.size_of(request.GET.get("size", ""))
    page: dict[str, object] = {"session": session, "size": size, "sizes": statistics.SIZES}
    if session is not None:
        figures = statistics.read(session, size)
        charts = all_charts(figures)
        page |= {
            "statistics": figures,
            "air": orchestrator.payload(figures.run),
            "charts": charts,
            "blank": [chart for chart in charts if chart.blank],
            "stages": judgement.stages(session, figures),
        }
    if request.htmx and session is not None:
        return render(request, "studio/stats/_figures.html", page)
    return render(request, "studio/stats/page.html", page)
