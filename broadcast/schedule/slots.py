"""The schedule of a session: slots are added, changed, removed, and take it on and off air.

Each enabled slot has one step that is due at its next turn. Whoever works on slots takes their
rows first, then the run, then the counters.

What a person can have done with the schedule of a session, as commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast
from pydantic import AfterValidator, Field

from broadcast import orchestrator
from broadcast.models import Slot
from broadcast.schedule import calendar
from broadcast.schedule.calendar import Window
from broadcast.states import State
from sessions_app import commands, rate_limits
from sessions_app.background import steps, sweeper
from sessions_app.background.steps import Claim, Kind
from sessions_app.commands import Command, Payload
from sessions_app.errors import Conflict, NotFound
from sessions_app.events import recorder
from sessions_app.models import Session, Step

log = structlog.get_logger(__name__)


CHANGED = recorder.declare("slot.changed", "The schedule changed, or a slot had its turn.")

SCHEDULE = "schedule"

SOON = timedelta(seconds=2)


WENT_ON = "Took the session on air at its last turn."

WENT_OFF = "Took the session off the air at its last turn."

LEFT_ALONE = "The session was on air already, so this slot left it alone."

HANDED_OVER = "Another slot goes on from here."

FAILED = "A fault of the studio kept this slot from its turn; see the log. It is tried again."


def of_session(session: Session) -> Sequence[Slot]:
    return list(Slot.objects.filter(session=session))


def _held(session: Session) -> list[Slot]:
    """The session's slots, locked in one order until the end of the transaction."""
    return list(Slot.objects.select_for_update().filter(session=session).order_by("pk"))


def payload(slot: Slot, at: datetime) -> dict[str, Any]:
    """A slot as pages, frames and the API show it ``at`` this moment.

    ``next`` is None while it is switched off.
    """
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


def all_payload(session: Session) -> list[dict[str, Any]]:
    at = steps.now()
    return [payload(slot, at) for slot in of_session(session)]


def _record(session: Session) -> None:
    recorder.record(session, CHANGED, {"slots": all_payload(session)})


def add(session: Session, times: dict[str, Any]) -> Slot:
    """Add a slot; a session may have so many. It goes on air at once when it is time."""
    most = settings.SMNB.limit_slots
    with transaction.atomic():
        if rate_limits.reached(len(_held(session)), most):
            raise Conflict(f"A session has at most {most} slots. Change or remove one.")
        slot = Slot.objects.create(session=session, **times)
        _arm(slot)
        _record(session)
        return slot


def change(session: Session, slot_id: int, times: dict[str, Any]) -> Slot:
    """Change a slot; one that is switched off leaves a run it started to the people."""
    with transaction.atomic():
        slot = _one(session, slot_id)
        for field, value in times.items():
            setattr(slot, field, value)
        if not slot.enabled:
            slot.run, slot.note = None, ""
        slot.save(update_fields=[*times, "run", "note"])
        _arm(slot)
        _record(session)
        return slot


def remove(session: Session, slot_id: int) -> Slot:
    """Delete a slot. A run it started goes on until somebody stops it."""
    with transaction.atomic():
        slot = _one(session, slot_id)
        _pending(slot).update(state=Step.State.CANCELLED)
        Slot.objects.filter(pk=slot.pk).delete()
        _record(session)
        return slot


def _one(session: Session, slot_id: int) -> Slot:
    for slot in _held(session):
        if slot.pk == slot_id:
            return slot
    raise NotFound("This session has no such slot.")


def copy(origin: Session, session: Session) -> None:
    """Give a copied session the slots of the first one, switched off."""
    for slot in of_session(origin):
        times = {name: getattr(slot, name) for name in ("days", "on_at", "off_at", "zone")}
        add(session, {**times, "enabled": False})


def _pending(slot: Slot) -> QuerySet[Step]:
    return Step.objects.filter(
        session=slot.session_id, state=Step.State.PENDING, kind=SCHEDULE, subject=str(slot.pk)
    )


def _arm(slot: Slot) -> None:
    if not slot.enabled:
        _pending(slot).update(state=Step.State.CANCELLED)
        return
    due = _due(slot, steps.now())
    step = steps.enqueue(slot.session, SCHEDULE, slot.pk, due)
    _pending(slot).update(due_at=due, poked_at=None)
    steps.poke_after_commit(step)


def _due(slot: Slot, at: datetime) -> datetime:
    """The slot's next turn, or now when the air is not as the slot wants it."""
    window = calendar.window_at(slot, at)
    wrong = slot.run_id is not None if window is None else not _served(slot, window)
    return at if wrong else calendar.next_turn(slot, at)[0]


def turn(claim: Claim) -> None:
    """Take the session on or off the air as the slot says, and be due again at its next turn."""
    with transaction.atomic():
        held = _held(claim.session)
        slot = next((each for each in held if str(each.pk) == claim.subject), None)
        if slot is None or not slot.enabled:
            return
        at, again = steps.now(), None
        window = calendar.window_at(slot, at)
        if window is None:
            again = _go_off(slot, held)
        elif not _served(slot, window):
            again = _go_on(slot)
        Slot.objects.filter(pk=slot.pk).update(note=slot.note, run=slot.run)
        due = calendar.next_turn(slot, at)[0]
        claim.reschedule(min(due, at + again) if again else due)
        _record(claim.session)
        log.info("slot_turned", slot=slot.pk, inside=window is not None, note=slot.note)


def _served(slot: Slot, window: Window) -> bool:
    """Whether the slot has had its run in this window, so that whoever stopped it is obeyed."""
    run = slot.run
    if run is None or run.started_at is None:
        return False
    return run.state != State.IDLE or run.started_at >= window.on


def _go_on(slot: Slot) -> timedelta | None:
    """Start the slot's run; returns how soon to try again where that may help."""
    slot.run = None
    try:
        slot.run, slot.note = orchestrator.start(slot.session, None), WENT_ON
    except Conflict as error:
        if error.state == State.STOPPING:
            return SOON
        if error.state in (State.IDLE, State.ERROR, Session.Status.ARCHIVED):
            _complain(slot, error)
        else:
            slot.note = LEFT_ALONE
    return None


def _complain(slot: Slot, error: Conflict) -> None:
    """Say why the session stays off the air, once until something else happens."""
    note = f"Could not go on air: {error.sentence}"[:300]
    if slot.note != note:
        slot.note = note
        recorder.add_message(slot.session, "producer", f"The schedule: {note}", "schedule")


def _go_off(slot: Slot, held: list[Slot]) -> timedelta | None:
    """Stop the run the slot started, unless another slot goes on from here; nobody else's run."""
    run, slot.run = slot.run, None
    if run is None or run.state in (State.IDLE, State.STOPPING):
        return None
    if heir := _heir(slot, held):
        Slot.objects.filter(pk=heir.pk).update(run=run, note=WENT_ON)
        slot.note = HANDED_OVER
        return None
    try:
        orchestrator.stop(slot.session, None, run)
    except Conflict:
        slot.run = run  # it has just changed its state
        return SOON
    failed = f"Its run had ended in an error: {run.last_error}"[:300]
    slot.note = failed if run.state == State.ERROR else WENT_OFF
    return None


def _heir(slot: Slot, held: list[Slot]) -> Slot | None:
    """Another slot of the session that wants it on air now."""
    at = steps.now()
    others = (each for each in held if each.pk != slot.pk and each.enabled)
    return next((each for each in others if calendar.window_at(each, at)), None)


def _gave_up(claim: Claim) -> None:
    """A fault of ours is shown on the slot, and its turn is tried again later."""
    if not Slot.objects.filter(pk=int(claim.subject), enabled=True).update(note=FAILED):
        return
    steps.enqueue(claim.session, SCHEDULE, claim.subject, steps.now() + timedelta(minutes=5))
    _record(claim.session)


def _keep_slots(_up: float) -> None:
    """Every enabled slot has its step, whatever became of the last one."""
    # By session and state, because there is an index: most steps were done long ago.
    waiting = Step.objects.filter(
        session=OuterRef("session"),
        state__in=Step.OPEN,
        kind=SCHEDULE,
        subject=Cast(OuterRef("pk"), CharField()),
    )
    missing = Slot.objects.filter(~Exists(waiting), enabled=True).select_related("session")
    for slot in missing:
        with sweeper.session_scope(slot.session):
            steps.enqueue(slot.session, SCHEDULE, slot.pk, _due(slot, steps.now()))


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _known_zone(name: str) -> str:
    if name not in calendar.zones():
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
        given["days"] = calendar.bits_of(given["days"])
    return given


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
    sweeper.register(_keep_slots)
    steps.register(Kind(SCHEDULE, "control", turn, _gave_up, outlives_run=True))
    commands.register(ADD)
    commands.register(CHANGE)
    commands.register(REMOVE)
