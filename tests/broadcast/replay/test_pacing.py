"""The pace of a replay: what is waited for, what is cut, and what of a query is understood."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broadcast.replay.consumers import Options, options_of
from broadcast.replay.frames import SILENCE, Pace

BEGAN = datetime(2026, 11, 21, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def aired(pace: Pace, seconds: int) -> None:
    finish = (pace.at + timedelta(seconds=seconds)).isoformat()
    pace.note("story.aired", {"story": {"finish_at": finish}})


@pytest.mark.parametrize(("speed", "seconds"), [(1, 8), (4, 2), (32, 0.25)])
def test_what_takes_eight_seconds_takes_less_at_a_higher_speed(speed: int, seconds: float) -> None:
    wait = Pace(BEGAN).wait(after(8))
    assert wait.seconds(speed) == seconds
    assert not wait.cut


def test_a_long_silence_is_cut_to_its_limit() -> None:
    wait = Pace(BEGAN).wait(after(3600))
    assert wait.until - wait.at == SILENCE
    assert wait.cut == timedelta(hours=1) - SILENCE


def test_a_story_on_air_is_no_silence() -> None:
    pace = Pace(BEGAN)
    aired(pace, 90)
    assert pace.wait(after(90)).seconds(1) == 90
    wait = pace.wait(after(200))
    assert (wait.seconds(1), wait.cut) == (100, timedelta(seconds=100))


def test_after_a_story_that_was_cut_off_there_is_silence() -> None:
    pace = Pace(BEGAN)
    aired(pace, 90)
    pace.reach(after(20))
    pace.note("story.finished", {})
    assert pace.wait(after(80)).until == after(30)


def test_a_story_without_a_time_on_air_is_told_at_once() -> None:
    pace = Pace(BEGAN)
    pace.note("story.aired", {"story": {"finish_at": None}})
    assert pace.wait(after(60)).until == after(10)


def test_times_that_go_back_cost_nothing() -> None:
    pace = Pace(BEGAN)
    pace.reach(after(5))
    pace.reach(after(3))
    assert pace.wait(after(4)).seconds(1) == 0


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({}, Options(1, 0)),
        ({"speed": ["60"], "at": ["1500"]}, Options(60, 1500)),
        ({"speed": ["0"]}, None),
        ({"speed": ["61"]}, None),
        ({"speed": ["1.5"]}, None),
        ({"speed": ["-1"]}, None),
        ({"at": ["-5"]}, None),
        ({"at": ["²"]}, None),
        ({"at": ["9" * 40]}, None),
        ({"speed": [""]}, None),
    ],
)
def test_options_are_read_or_refused(query: dict[str, list[str]], options: Any) -> None:
    assert options_of(query) == options
