"""When a slot has its turn: over midnight, over changes of clocks, in every time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcast.schedule import calendar
from broadcast.schedule.calendar import EVERY_DAY, OFF, ON, next_turn, window_at

BERLIN = "Europe/Berlin"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Times:
    days: int
    on_at: time
    off_at: time
    zone: str = "UTC"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NINE_TO_FIVE = Times(31, time(9), time(17))
NIGHT = Times(16, time(22), time(2))  # Friday night


@pytest.mark.parametrize(
    ("now", "turn"),
    [
        ("2026-11-20T08:59:59", ("2026-11-20T09:00", ON)),
        ("2026-11-20T09:00:00", ("2026-11-20T17:00", OFF)),
        ("2026-11-20T16:59:59", ("2026-11-20T17:00", OFF)),
        ("2026-11-20T17:00:00", ("2026-11-23T09:00", ON)),  # after Friday comes Monday
        ("2026-11-22T12:00:00", ("2026-11-23T09:00", ON)),
    ],
)
def test_a_working_week(now: str, turn: tuple[str, str]) -> None:
    assert next_turn(NINE_TO_FIVE, utc(now)) == (utc(turn[0]), turn[1])


@pytest.mark.parametrize(
    ("now", "turn"),
    [
        ("2026-11-20T21:00", ("2026-11-20T22:00", ON)),
        ("2026-11-20T23:59", ("2026-11-21T02:00", OFF)),
        ("2026-11-21T01:59", ("2026-11-21T02:00", OFF)),
        ("2026-11-21T02:00", ("2026-11-27T22:00", ON)),
    ],
)
def test_a_night_ends_on_the_next_day(now: str, turn: tuple[str, str]) -> None:
    assert next_turn(NIGHT, utc(now)) == (utc(turn[0]), turn[1])


def test_equal_times_are_a_whole_day() -> None:
    monday = Times(1, time(6), time(6))
    assert window_at(monday, utc("2026-11-24T05:59")) is not None
    assert window_at(monday, utc("2026-11-24T06:00")) is None


def test_the_day_is_that_of_the_slots_own_time_zone() -> None:
    auckland = Times(1, time(8), time(9), "Pacific/Auckland")  # Monday there is Sunday in UTC
    assert next_turn(auckland, utc("2026-11-22T12:00")) == (utc("2026-11-22T19:00"), ON)


def test_clocks_that_change_leave_the_hour_on_the_wall() -> None:
    morning = Times(EVERY_DAY, time(9), time(10), BERLIN)
    assert next_turn(morning, utc("2026-03-28T12:00")) == (utc("2026-03-29T07:00"), ON)
    assert next_turn(morning, utc("2026-10-24T12:00")) == (utc("2026-10-25T08:00"), ON)


def test_an_hour_that_is_left_out_counts_as_later() -> None:
    gap = Times(EVERY_DAY, time(2, 30), time(4), BERLIN)
    assert next_turn(gap, utc("2026-03-28T12:00")) == (utc("2026-03-29T01:30"), ON)
    assert next_turn(gap, utc("2026-03-29T01:30")) == (utc("2026-03-29T02:00"), OFF)


def test_a_stay_that_the_change_leaves_no_length_is_left_out() -> None:
    gap = Times(64, time(2, 30), time(3), BERLIN)  # Sundays
    assert next_turn(gap, utc("2026-03-28T12:00")) == (utc("2026-04-05T00:30"), ON)


def test_an_hour_that_comes_twice_is_the_first() -> None:
    twice = Times(EVERY_DAY, time(2, 15), time(2, 45), BERLIN)
    assert next_turn(twice, utc("2026-10-24T12:00")) == (utc("2026-10-25T00:15"), ON)
    assert next_turn(twice, utc("2026-10-25T00:45")) == (utc("2026-10-26T01:15"), ON)


def test_a_night_over_a_change_of_clocks_is_an_hour_shorter_or_longer() -> None:
    night = Times(32, time(22), time(6), BERLIN)  # Saturdays
    for eve, hours in (("2026-03-28T22:00", 7), ("2026-10-24T22:00", 9)):
        window = window_at(night, utc(eve))
        assert window is not None
        assert window.off - window.on == timedelta(hours=hours)


@given(
    st.builds(
        Times,
        st.integers(1, 127),
        st.times().map(lambda at: at.replace(second=0, microsecond=0)),
        st.times().map(lambda at: at.replace(second=0, microsecond=0)),
        st.sampled_from(
            [BERLIN, "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
        ),
    ),
    st.integers(0, 2 * 366 * 24 * 60).map(lambda minutes: NEW_YEAR + timedelta(minutes=minutes)),
)
def test_turns_alternate_and_stand_on_the_clock(slot: Times, now: datetime) -> None:
    at, what = next_turn(slot, now)
    assert now < at <= now + timedelta(days=15)
    assert (window_at(slot, at) is not None) == (what == ON) or slot.days & (slot.days - 1) != 0
    wall = at.astimezone(ZoneInfo(slot.zone)).time()
    expected = slot.on_at if what == ON else slot.off_at
    assert wall == expected or _clocks_change(at, slot.zone)


def _clocks_change(at: datetime, zone: str) -> bool:
    near = (at - timedelta(hours=2), at + timedelta(hours=2))
    return len({each.astimezone(ZoneInfo(zone)).utcoffset() for each in near}) == 2


def test_days_are_bits_and_words() -> None:
    assert calendar.bits_of(["wed", "mon", "mon"]) == 5
    assert calendar.days_of(5) == ["mon", "wed"]
    assert [calendar.spoken_days(each) for each in (127, 31, 96, 5)] == [
        "every day",
        "Mon to Fri",
        "Sat and Sun",
        "Mon, Wed",
    ]
