"""What a person can have done with the schedule of a session, as commands."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from broadcast import schedule, slots
from broadcast.models import Slot
from sessions_app import commands
from sessions_app.commands import Call, Payload

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _known_zone(name: str) -> str:
    if name not in schedule.zones():
        raise ValueError("not the name of a time zone, such as Europe/Berlin or UTC")
    return name


def _to_the_minute(at: time) -> time:
    if at.tzinfo is not None:
        raise ValueError("give the time of the clock on the wall, such as 09:00")
    return at.replace(second=0, microsecond=0)


Zone = Annotated[str, Field(max_length=60), AfterValidator(_known_zone)]
Clock = Annotated[time, AfterValidator(_to_the_minute)]
Days = Annotated[list[Day], Field(min_length=1, max_length=7)]


class NewSlot(Payload):
    """A part of the week; ``off_at`` before or at ``on_at`` is on the next day."""

    days: Days
    on_at: Clock
    off_at: Clock
    zone: Zone = "UTC"
    enabled: bool = True


class SlotChange(Payload):
    """What is left out keeps its value."""

    slot: int
    days: Days | None = None
    on_at: Clock | None = None
    off_at: Clock | None = None
    zone: Zone | None = None
    enabled: bool | None = None


class SlotId(Payload):
    slot: int


def _times(wanted: NewSlot | SlotChange) -> dict[str, Any]:
    given = wanted.model_dump(exclude={"slot"}, exclude_none=True)
    if "days" in given:
        given["days"] = schedule.bits_of(given["days"])
    return given


def add(call: Call) -> Slot:
    return slots.add(call.target, _times(call.payload))


def change(call: Call) -> Slot:
    return slots.change(call.target, call.payload.slot, _times(call.payload))


def remove(call: Call) -> Slot:
    return slots.remove(call.target, call.payload.slot)


def register() -> None:
    for name, payload, function, meaning in (
        ("slot.add", NewSlot, add, "Go on and off air by itself in a part of the week."),
        ("slot.change", SlotChange, change, "Change a slot's times, or switch it on or off."),
        ("slot.remove", SlotId, remove, "Take a slot out of the schedule."),
    ):
        commands.register(name, payload, function, meaning)
