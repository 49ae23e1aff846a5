"""The hours of a slot: when it is on air, across midnight and changes of daylight saving time.

A slot's times are local times in its time zone. A time that the change to summer time skips counts
one hour later; a time that occurs twice is the first of the two. A window that such a change leaves
no length is omitted on that day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Literal, Protocol
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.core.exceptions import ValidationError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EVERY_DAY, MONDAY_TO_FRIDAY, WEEKEND = 127, 31, 96
ON: Literal["on"] = "on"
OFF: Literal["off"] = "off"
# A slot on one day a week whose window is omitted once is due again within two weeks.
DAYS_AHEAD = 16

Turn = tuple[datetime, Literal["on", "off"]]


class Times(Protocol):
    """The times of a slot; ``days`` are bits, 1 = Monday to 64 = Sunday."""

    days: int
    on_at: time
    off_at: time
    zone: str


@dataclass(frozen=True, slots=True)
class Window:
    """One time on air: from ``on`` until just before ``off``, both in UTC."""

    on: datetime
    off: datetime

    def contains(self, moment: datetime) -> bool:
        return self.on <= moment < self.off


@cache
def zones() -> tuple[str, ...]:
    """Returns the names of all time zones, in alphabetical order."""
    return tuple(sorted(available_timezones()))


def bits_of(days: list[str]) -> int:
    """Returns names of days as bits: ``["mon", "wed"]`` is 5."""
    return sum(1 << DAYS.index(day) for day in set(days))


def days_of(bits: int) -> list[str]:
    return [day for number, day in enumerate(DAYS) if bits >> number & 1]


def spoken_days(bits: int) -> str:
    """Returns the days as text: ``every day``, ``Mon to Fri``, or their names."""
    names = {EVERY_DAY: "every day", MONDAY_TO_FRIDAY: "Mon to Fri", WEEKEND: "Sat and Sun"}
    return names.get(bits) or ", ".join(DAY_NAMES[DAYS.index(day)] for day in days_of(bits))


def windows(slot: Times, now: datetime) -> Iterator[Window]:
    """Yields the windows that end after ``now``, the earliest first."""
    zone = ZoneInfo(slot.zone)
    today = now.astimezone(zone).date()
    # From two days ago, as a window may begin on the day before and end on the day after.
    for ahead in range(-2, DAYS_AHEAD):
        day = today + timedelta(days=ahead)
        if slot.days >> day.weekday() & 1:
            last_day = day if slot.on_at < slot.off_at else day + timedelta(days=1)
            window = Window(_utc(day, slot.on_at, zone), _utc(last_day, slot.off_at, zone))
            # False also for a window without length, which daylight saving time can leave.
            if max(window.on, now) < window.off:
                yield window


def _utc(day: date, at: time, zone: ZoneInfo) -> datetime:
    # The default fold=0 is the first of two equal times, and moves a skipped time forward.
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)


def window_at(slot: Times, now: datetime) -> Window | None:
    """Returns the window that contains ``now``."""
    first = next(windows(slot, now))
    return first if first.contains(now) else None


def next_turn(slot: Times, now: datetime) -> Turn:
    """Returns the slot's next turn after ``now``: its time, and whether it is on or off air."""
    first = next(windows(slot, now))
    return (first.off, OFF) if first.contains(now) else (first.on, ON)


class SlotForm(forms.Form):
    """A slot of the schedule."""

    days = forms.MultipleChoiceField(
        choices=list(zip(DAYS, DAY_NAMES, strict=True)), widget=forms.CheckboxSelectMultiple
    )
    on_at = forms.TimeField(
        label="On air at", widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    off_at = forms.TimeField(
        label="Off air at",
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="A time before or equal to the first one means the next day.",
    )
    zone = forms.CharField(
        max_length=60,
        label="Time zone",
        initial="UTC",
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off"}),
        help_text="For example Europe/Berlin. Daylight saving time is followed.",
    )
    enabled = forms.BooleanField(required=False, initial=True, label="Enabled")

    def clean_zone(self) -> str:
        name = str(self.cleaned_data["zone"])
        if name not in zones():
            raise ValidationError("There is no time zone of this name.")
        return name
