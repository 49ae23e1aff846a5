"""When a session is on air by itself: the parts of the week, right over midnight and DST changes.

A slot's times are those of the clock on the wall in its time zone. A time that a change of clocks
leaves out counts as much later as the clocks went forward; one that comes twice is the first of
the two. A part of the week that such a change leaves no length is left out that day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Literal, Protocol
from zoneinfo import ZoneInfo, available_timezones

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY = 127
ON: Literal["on"] = "on"
OFF: Literal["off"] = "off"
# A slot of one day a week that is left out once is due again within two weeks.
_AHEAD = 16

Turn = tuple[datetime, Literal["on", "off"]]


class Times(Protocol):
    """What is needed of a slot; ``days`` are bits, 1 = Monday to 64 = Sunday."""

    days: int
    on_at: time
    off_at: time
    zone: str


@dataclass(frozen=True, slots=True)
class Window:
    """One stay on air: from ``on`` until just before ``off``, both in UTC."""

    on: datetime
    off: datetime

    def holds(self, moment: datetime) -> bool:
        return self.on <= moment < self.off


@cache
def zones() -> tuple[str, ...]:
    """The names of all time zones, in alphabetical order."""
    return tuple(sorted(available_timezones()))


def bits_of(days: list[str]) -> int:
    """Names of days as bits: ``["mon", "wed"]`` is 5."""
    return sum(1 << DAYS.index(day) for day in set(days))


def days_of(bits: int) -> list[str]:
    return [day for number, day in enumerate(DAYS) if bits >> number & 1]


def spoken_days(bits: int) -> str:
    """The days for people: ``every day``, ``Mon to Fri``, or their names."""
    named = {EVERY_DAY: "every day", 31: "Mon to Fri", 96: "Sat and Sun"}
    return named.get(bits) or ", ".join(DAY_NAMES[DAYS.index(day)] for day in days_of(bits))


def windows(slot: Times, now: datetime) -> Iterator[Window]:
    """The stays on air that end after ``now``, the earliest first."""
    zone = ZoneInfo(slot.zone)
    today = now.astimezone(zone).date()
    for ahead in range(-2, _AHEAD):
        day = today + timedelta(days=ahead)
        if slot.days >> day.weekday() & 1:
            last = day if slot.on_at < slot.off_at else day + timedelta(days=1)
            window = Window(_moment(day, slot.on_at, zone), _moment(last, slot.off_at, zone))
            if max(window.on, now) < window.off:
                yield window


def _moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def window_at(slot: Times, now: datetime) -> Window | None:
    """The stay on air that holds ``now``, if one does."""
    first = next(windows(slot, now))
    return first if first.holds(now) else None


def next_turn(slot: Times, now: datetime) -> Turn:
    """The next moment after ``now`` at which the slot goes on or off air, and which of the two."""
    first = next(windows(slot, now))
    return (first.off, OFF) if first.holds(now) else (first.on, ON)
