"""The schedule of a session: slots take it on and off air automatically.

Each enabled slot has one step that is due at its next turn. A transaction locks the slots of the
session first, then the run, then the counters (see ``orchestrator.locked``).
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Literal

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from broadcast import orchestrator
from broadcast.models import Slot
from broadcast.schedule import calendar
from broadcast.schedule.calendar import Window
from broadcast.states import State
from sessions_app import commands, rate_limits
from sessions_app.background import sending, steps, sweeper
from sessions_app.background.steps import Claim, Kind
from sessions_app.commands import Command, Payload
from sessions_app.errors import Conflict, NotFound
from sessions_app.events import recorder
from sessions_app.models import Session, Step

log = structlog.get_logger(__name__)


class TurnPayload(TypedDict):
    at: Annotated[str, Field(description="Time of the next turn, ISO 8601 in UTC.")]
    turn: Annotated[str, Field(description="on or off.")]


class SlotPayload(TypedDict):
    """A part of the week in which a session is on air automatically."""

    id: Annotated[int, Field(description="Id of the slot.")]
    days: Annotated[list[str], Field(description="Days of the week: mon to sun.")]
    spoken_days: Annotated[str, Field(description="The days as text, such as Mon to Fri.")]
    on_at: Annotated[str, Field(description="Local start of the time on air, HH:MM.")]
    off_at: Annotated[str, Field(description="Local end of the time on air, HH:MM.")]
    over_midnight: Annotated[bool, Field(description="Whether it goes off air the next day.")]
    zone: Annotated[str, Field(description="IANA name of the time zone.")]
    enabled: Annotated[bool, Field(description="Whether the slot is switched on.")]
    note: Annotated[str, Field(description="How its last turn went; empty before the first.")]
    next: Annotated[TurnPayload | None, Field(description="Next turn; null while switched off.")]


class SlotsChanged(TypedDict):
    """Payload of slot.changed."""

    slots: Annotated[list[SlotPayload], Field(description="All slots of the session.")]


class SlotTimes(TypedDict, total=False):
    """Fields of a slot to set."""

    days: int
    on_at: time
    off_at: time
    zone: str
    enabled: bool


CHANGED = recorder.declare(
    "slot.changed", "The schedule changed, or a slot had its turn.", SlotsChanged
)

SCHEDULE = "schedule"
# A run that is stopping needs a moment; the turn is tried again after this.
SOON = timedelta(seconds=2)

WENT_ON = "Took the session on air at its last turn."
WENT_OFF = "Took the session off the air at its last turn."
LEFT_ALONE = "The session was on air already, so this slot did nothing."
HANDED_OVER = "Another slot continues from here."
FAILED = "An error in the studio prevented this turn; see the log. It is tried again."


def of_session(session: Session) -> list[Slot]:
    return list(Slot.objects.filter(session=session))


def _locked(session: Session) -> list[Slot]:
    """Returns the session's slots, locked in one order until the end of the transaction."""
    return list(Slot.objects.select_for_update().filter(session=session).order_by("pk"))


def payload(slot: Slot, at: datetime) -> SlotPayload:
    """Returns a slot as pages, frames and the API show it at this moment."""
    turn = calendar.next_turn(slot, at) if slot.enabled else None
    return {
        "id": slot.pk,
        "days": calendar.days_of(slot.days),
        "spoken_days": calendar.spoken_days(slot.days),
        "on_at": f"{slot.on_at:%H:%M}",
        "off_at": f"{slot.off_at:%H:%M}",
        "over_midnight": slot.off_at <= slot.on_at,
        "zone": slot.zone,
        "enabled": slot.enabled,
        "note": slot.note,
        "next": {"at": recorder.timestamp(turn[0]), "turn": turn[1]} if turn else None,
    }


def all_payload(session: Session) -> list[SlotPayload]:
    at = steps.now()
    return [payload(slot, at) for slot in of_session(session)]


def _record(session: Session) -> None:
    recorder.record(session, CHANGED, {"slots": all_payload(session)})


def add(session: Session, times: SlotTimes) -> Slot:
    """Adds a slot, up to a limit; its first turn may be now."""
    most = settings.SMNB.limit_slots
    with transaction.atomic():
        # Counted under the lock of the slots, so that two additions see each other.
        if rate_limits.reached(len(_locked(session)), most):
            raise Conflict(f"A session has at most {most} slots. Change or remove one.")
        slot = Slot.objects.create(session=session, **times)
        _schedule(slot)
        _record(session)
        return slot


def change(session: Session, slot_id: int, times: SlotTimes) -> Slot:
    """Changes a slot; one that is switched off no longer stops the run that it started."""
    with transaction.atomic():
        slot = _find(session, slot_id)
        for field, value in times.items():
            setattr(slot, field, value)
        if not slot.enabled:
            slot.run, slot.note = None, ""
        slot.save(update_fields=[*times, "run", "note"])
        _schedule(slot)
        _record(session)
        return slot


def remove(session: Session, slot_id: int) -> Slot:
    """Deletes a slot. A run that it started continues until it is stopped."""
    with transaction.atomic():
        slot = _find(session, slot_id)
        # The step of a deleted slot would only find that the slot is gone.
        _pending(slot).update(state=Step.State.CANCELLED)
        Slot.objects.filter(pk=slot.pk).delete()
        _record(session)
        return slot


def _find(session: Session, slot_id: int) -> Slot:
    for slot in _locked(session):
        if slot.pk == slot_id:
            return slot
    raise NotFound("This session has no such slot.")


def copy(origin: Session, session: Session) -> None:
    """Copies the slots of ``origin`` to a new session, switched off."""
    for slot in of_session(origin):
        times: SlotTimes = {
            "days": slot.days,
            "on_at": slot.on_at,
            "off_at": slot.off_at,
            "zone": slot.zone,
            "enabled": False,
        }
        add(session, times)


def _pending(slot: Slot) -> QuerySet[Step]:
    return Step.objects.filter(
        session=slot.session_id, state=Step.State.PENDING, kind=SCHEDULE, subject=str(slot.pk)
    )


def _schedule(slot: Slot) -> None:
    """Makes the step of an enabled slot due at its next turn; cancels that of a disabled one."""
    if not slot.enabled:
        _pending(slot).update(state=Step.State.CANCELLED)
        return
    due = _due(slot, steps.now())
    step = steps.enqueue(slot.session, SCHEDULE, slot.pk, due)
    # The step may exist already with another time, so its time is always set.
    _pending(slot).update(due_at=due, poked_at=None)
    sending.poke_after_commit(step.pk, steps.queue_of(SCHEDULE), due)


def _due(slot: Slot, at: datetime) -> datetime:
    """Returns the slot's next turn, or now if the session is not on or off air as it says."""
    window = calendar.window_at(slot, at)
    wrong = slot.run_id is not None if window is None else not _had_run(slot, window)
    return at if wrong else calendar.next_turn(slot, at)[0]


def _had_run(slot: Slot, window: Window) -> bool:
    """Whether the slot has had its run in this window: a user who stopped it is not overruled."""
    run = slot.run
    if run is None or run.started_at is None:
        return False
    return run.state != State.IDLE or run.started_at >= window.on


def turn(claim: Claim) -> None:
    """Takes the session on or off the air as the slot says, and schedules its next turn."""
    with transaction.atomic():
        slots = _locked(claim.session)
        slot = next((slot for slot in slots if str(slot.pk) == claim.subject), None)
        # Removed or switched off since the step was enqueued.
        if slot is None or not slot.enabled:
            return
        at, retry_after = steps.now(), None
        window = calendar.window_at(slot, at)
        if window is None:
            retry_after = _go_off(slot, slots)
        elif not _had_run(slot, window):
            retry_after = _go_on(slot)
        Slot.objects.filter(pk=slot.pk).update(note=slot.note, run=slot.run)
        due = calendar.next_turn(slot, at)[0]
        claim.reschedule(min(due, at + retry_after) if retry_after else due)
        _record(claim.session)
        log.info("slot_turned", slot=slot.pk, inside=window is not None, note=slot.note)


def _go_on(slot: Slot) -> timedelta | None:
    """Starts the slot's run; returns how soon to try again where that may help."""
    slot.run = None
    try:
        slot.run, slot.note = orchestrator.start(slot.session, None), WENT_ON
    except Conflict as error:
        # The last run is still ending; in a moment the slot can start its own.
        if error.state == State.STOPPING:
            return SOON
        # A run of the user or of another slot is on air, which is what the slot wants.
        if error.state not in (State.IDLE, State.ERROR, Session.Status.ARCHIVED):
            slot.note = LEFT_ALONE
            return None
        note = f"Could not go on air: {error.sentence}"[:300]
        if slot.note != note:
            # Reported once, until something else happens.
            slot.note = note
            recorder.add_message(slot.session, "producer", f"The schedule: {note}", "schedule")
    return None


def _go_off(slot: Slot, slots: list[Slot]) -> timedelta | None:
    """Stops the run that the slot started, unless another slot continues it; no other run."""
    run, slot.run = slot.run, None
    if run is None or run.state in (State.IDLE, State.STOPPING):
        return None
    at = steps.now()
    for other in slots:
        if other.pk != slot.pk and other.enabled and calendar.window_at(other, at):
            # The other slot takes the run over, so that it is stopped at the end of that slot.
            Slot.objects.filter(pk=other.pk).update(run=run, note=WENT_ON)
            slot.note = HANDED_OVER
            return None
    try:
        orchestrator.stop(slot.session, None, run)
    except Conflict:
        # The run has just changed its state.
        slot.run = run
        return SOON
    failed = f"Its run had ended in an error: {run.last_error}"[:300]
    slot.note = failed if run.state == State.ERROR else WENT_OFF
    return None


def gave_up(claim: Claim) -> None:
    """Shows an error on the slot and tries its turn again later."""
    if not Slot.objects.filter(pk=int(claim.subject), enabled=True).update(note=FAILED):
        return
    steps.enqueue(claim.session, SCHEDULE, claim.subject, steps.now() + timedelta(minutes=5))
    _record(claim.session)


def restore_steps(_up: float) -> None:
    """Enqueues the step of each enabled slot that has none."""
    # Filtered by session and state, because they have an index: most steps were done long ago.
    open_steps = Step.objects.filter(
        session=OuterRef("session"),
        state__in=Step.OPEN,
        kind=SCHEDULE,
        subject=Cast(OuterRef("pk"), CharField()),
    )
    missing = Slot.objects.filter(~Exists(open_steps), enabled=True).select_related("session")
    sweeper.for_each(
        "Return of a slot to the schedule",
        missing,
        lambda slot: steps.enqueue(slot.session, SCHEDULE, slot.pk, _due(slot, steps.now())),
    )


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def known_zone(name: str) -> str:
    if name not in calendar.zones():
        raise ValueError("must be the name of a time zone, such as Europe/Berlin or UTC")
    return name


def local_minute(at: time) -> time:
    if at.tzinfo is not None:
        raise ValueError("must be a local time without an offset, such as 09:00")
    # A form may send seconds, but a schedule has whole minutes.
    return at.replace(second=0, microsecond=0)


Zone = Annotated[str, Field(max_length=60), AfterValidator(known_zone)]
Clock = Annotated[time, AfterValidator(local_minute)]
Days = Annotated[list[Day], Field(min_length=1, max_length=7)]


class NewSlot(Payload):
    """A part of the week; ``off_at`` before or at ``on_at`` is on the next day."""

    days: Days = Field(description="Days of the week on which it begins.")
    on_at: Clock = Field(description="Local time at which it begins, such as 09:00.")
    off_at: Clock = Field(description="Local time at which it ends.")
    zone: Zone = Field("UTC", description="Name of the time zone, such as Europe/Berlin.")
    enabled: bool = Field(True, description="Whether it is on air automatically.")


class SlotChange(Payload):
    """An omitted field keeps its value."""

    slot: int
    days: Days | None = None
    on_at: Clock | None = None
    off_at: Clock | None = None
    zone: Zone | None = None
    enabled: bool | None = None


class SlotId(Payload):
    slot: int


def _times(new: NewSlot | SlotChange) -> SlotTimes:
    times: SlotTimes = {}
    if new.days is not None:
        times["days"] = calendar.bits_of([*new.days])
    if new.on_at is not None:
        times["on_at"] = new.on_at
    if new.off_at is not None:
        times["off_at"] = new.off_at
    if new.zone is not None:
        times["zone"] = new.zone
    if new.enabled is not None:
        times["enabled"] = new.enabled
    return times


ADD = Command(
    "slot.add",
    NewSlot,
    lambda call: add(call.target, _times(call.payload)),
    "Adds a part of the week in which the session is on air automatically.",
)
CHANGE = Command(
    "slot.change",
    SlotChange,
    lambda call: change(call.target, call.payload.slot, _times(call.payload)),
    "Changes a slot's times, or switches it on or off.",
)
REMOVE = Command(
    "slot.remove",
    SlotId,
    lambda call: remove(call.target, call.payload.slot),
    "Removes a slot from the schedule.",
)


def register() -> None:
    sweeper.register(restore_steps)
    steps.register(Kind(SCHEDULE, "control", turn, gave_up, outlives_run=True))
    commands.register(ADD)
    commands.register(CHANGE)
    commands.register(REMOVE)
