"""Slots take a session on and off air automatically and leave other runs alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from broadcast import orchestrator
from broadcast.models import Broadcast, Slot
from broadcast.schedule import slots
from sessions_app import audits, commands, sessions
from sessions_app.background import sending, steps, sweeper
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Message, Session, SessionEvent, Step
from stories.sources import service
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Live = Callable[[Session], Broadcast]


def press(session: Session, command: str, **data: Any) -> Any:
    return commands.run(command, session.owner, session, data)


def clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"


def plan(session: Session, on: timedelta = -HOUR, off: timedelta = HOUR, **more: Any) -> Slot:
    """A slot whose times are so far from now."""
    now = steps.now()
    times = {"on_at": clock(now + on), "off_at": clock(now + off)}
    slot: Slot = press(session, "slot.add", days=EVERY_DAY, **times, **more)
    return slot


def move(slot: Slot, on: timedelta, off: timedelta) -> None:
    """Let time pass: the slot's window is elsewhere, and its step is due."""
    now = steps.now()
    times = {"on_at": (now + on).time(), "off_at": (now + off).time()}
    Slot.objects.filter(pk=slot.pk).update(**times)
    have_turn(slot)


def have_turn(slot: Slot) -> None:
    pending = Step.objects.filter(kind="schedule", subject=str(slot.pk), state="pending")
    pending.update(due_at=steps.now() - timedelta(seconds=1))
    steps.run(pending.get().pk)


def work(session: Session) -> None:
    run_due_steps(session, "schedule")


def state(session: Session) -> str:
    return str(orchestrator.latest_payload(session)["state"])


def fresh(slot: Slot) -> Slot:
    return Slot.objects.get(pk=slot.pk)


def test_a_slot_takes_the_session_on_air_and_off_again(session: Session) -> None:
    slot = plan(session)
    work(session)
    assert state(session) == "starting"
    assert fresh(slot).run == orchestrator.active(session)
    move(slot, -2 * HOUR, -HOUR)
    assert state(session) == "idle"
    assert fresh(slot).run is None
    assert list(audits.run()) == []


def test_the_step_is_due_at_the_next_turn(session: Session) -> None:
    later = plan(session, HOUR, 2 * HOUR)
    step = Step.objects.get(kind="schedule")
    assert timedelta(minutes=58) < step.due_at - steps.now() <= HOUR
    assert step.subject == str(later.pk)
    work(session)
    assert state(session) == "idle"


def test_a_worker_is_told_at_once_when_a_change_makes_it_time(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    poked: list[str] = []
    slot = plan(session, HOUR, 2 * HOUR)
    monkeypatch.setattr(sending, "_poker", [lambda _step, queue: poked.append(queue)])
    press(session, "slot.change", slot=slot.pk, zone="UTC")
    assert poked == []
    press(session, "slot.change", slot=slot.pk, on_at=clock(steps.now() - HOUR))
    assert poked == ["control"]


def test_a_turn_missed_while_the_studio_was_down_is_made_up_for(session: Session) -> None:
    slot = plan(session, HOUR, 2 * HOUR)
    move(slot, -HOUR, HOUR)
    assert state(session) == "starting"


def test_a_window_that_is_over_when_the_studio_comes_back_starts_nothing(session: Session) -> None:
    slot = plan(session, HOUR, 2 * HOUR)
    move(slot, -2 * HOUR, -HOUR)
    assert not Broadcast.objects.exists()


def test_a_run_that_a_person_started_is_left_alone(session: Session, go_live: Live) -> None:
    run = go_live(session)
    slot = plan(session)
    work(session)
    assert fresh(slot).run is None
    assert fresh(slot).note == slots.LEFT_ALONE
    move(slot, -2 * HOUR, -HOUR)
    assert orchestrator.active(session) == run
    assert state(session) == "starting"


def test_a_run_that_a_person_started_after_stopping_ours_is_left_alone(
    session: Session, go_live: Live
) -> None:
    slot = plan(session)
    work(session)
    press(session, "broadcast.stop")
    go_live(session)
    move(slot, -2 * HOUR, -HOUR)
    assert state(session) == "starting"
    assert fresh(slot).run is None


def test_who_stops_the_slots_run_is_obeyed_for_the_rest_of_the_window(session: Session) -> None:
    slot = plan(session)
    work(session)
    press(session, "broadcast.stop")
    assert Step.objects.filter(kind="schedule", state="pending").exists()
    press(session, "slot.change", slot=slot.pk, days=["mon", *EVERY_DAY[1:]])
    have_turn(slot)
    assert state(session) == "idle"
    Broadcast.objects.update(started_at=steps.now() - timedelta(days=1))
    have_turn(slot)
    assert state(session) == "starting"


def test_another_slot_that_follows_takes_the_run_over(session: Session) -> None:
    first = plan(session)
    work(session)
    run = orchestrator.active(session)
    second = plan(session, -HOUR / 2, 2 * HOUR)
    work(session)
    move(first, -2 * HOUR, -HOUR)
    assert (fresh(first).run, fresh(second).run) == (None, run)
    assert state(session) == "starting"
    move(second, -2 * HOUR, -HOUR)
    assert state(session) == "idle"


def test_without_a_source_the_slot_says_why_once(make_session: MakeSession) -> None:
    session = make_session(recording=False)
    slot = plan(session)
    have_turn(slot)
    have_turn(slot)
    assert "no source" in fresh(slot).note
    (message,) = Message.objects.filter(session=session, role="producer")
    assert "no source" in message.text
    service.add(session, service.SourceSpec(locator="demo"))
    have_turn(slot)
    assert (fresh(slot).note, state(session)) == (slots.WENT_ON, "starting")


def test_an_archived_session_stays_off_the_air(session: Session) -> None:
    sessions.archive(session)
    slot = plan(session)
    work(session)
    assert "archived" in fresh(slot).note
    assert not Broadcast.objects.exists()


def test_a_run_that_ended_in_an_error_is_closed_when_its_time_is_over(session: Session) -> None:
    slot = plan(session)
    work(session)
    run = orchestrator.active(session)
    assert run is not None
    orchestrator.fail(run, "The lights went out.")
    assert Step.objects.filter(kind="schedule", state="pending").exists()
    move(slot, -2 * HOUR, -HOUR)
    assert state(session) == "idle"
    assert "The lights went out." in fresh(slot).note


def test_a_stopping_run_is_waited_for(session: Session, go_live: Live) -> None:
    run = go_live(session)
    Broadcast.objects.filter(pk=run.pk).update(state="stopping")
    plan(session)
    work(session)
    due = Step.objects.get(kind="schedule").due_at
    assert due - steps.now() < timedelta(seconds=3)


def test_the_step_that_stops_the_run_does_not_keep_it_from_coming_to_rest(
    session: Session, go_live: Live
) -> None:
    slot = plan(session)
    work(session)
    held = steps.claim(_make_due(slot))
    assert held is not None
    press(session, "broadcast.stop")
    assert state(session) == "idle"


def _make_due(slot: Slot) -> int:
    step = Step.objects.get(kind="schedule", subject=str(slot.pk))
    Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
    return step.pk


def test_only_the_run_that_is_named_is_stopped(session: Session, go_live: Live) -> None:
    old = go_live(session)
    press(session, "broadcast.stop")
    go_live(session)
    with pytest.raises(Conflict):
        orchestrator.stop(session, None, Broadcast.objects.get(pk=old.pk))
    assert state(session) == "starting"


def test_a_run_that_just_changed_its_state_is_stopped_a_moment_later(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = plan(session)
    work(session)

    def too_late(*_: object) -> None:
        raise Conflict("It is live already.", state="live")

    with monkeypatch.context() as patch:
        patch.setattr(orchestrator, "stop", too_late)
        move(slot, -2 * HOUR, -HOUR)
    assert fresh(slot).run is not None
    have_turn(slot)
    assert state(session) == "idle"


def test_switching_off_leaves_the_run_to_the_people(session: Session) -> None:
    slot = plan(session)
    work(session)
    press(session, "slot.change", slot=slot.pk, enabled=False)
    assert (fresh(slot).run, fresh(slot).enabled) == (None, False)
    assert not Step.objects.filter(kind="schedule", state__in=Step.OPEN).exists()
    assert state(session) == "starting"


def test_times_moved_away_from_now_end_the_run(session: Session) -> None:
    slot = plan(session)
    work(session)
    later = steps.now() + 3 * HOUR
    press(session, "slot.change", slot=slot.pk, on_at=clock(later), off_at=clock(later + HOUR))
    work(session)
    assert state(session) == "idle"


def test_a_removed_slot_is_gone_and_never_has_a_turn(session: Session) -> None:
    slot = plan(session)
    step = _make_due(slot)
    press(session, "slot.remove", slot=slot.pk)
    assert not Slot.objects.exists()
    steps.run(step)
    assert state(session) == "idle"
    event = SessionEvent.objects.filter(session=session).latest("seq")
    assert (event.type, event.payload["slots"]) == ("slot.changed", [])


def test_the_sweeper_gives_a_slot_the_step_it_lost(session: Session) -> None:
    slot = plan(session, HOUR, 2 * HOUR)
    off = plan(session, HOUR, 2 * HOUR, enabled=False)
    Step.objects.update(state="cancelled")
    sweeper.sweep()
    sweeper.sweep()
    (step,) = Step.objects.filter(kind="schedule", state="pending")
    assert step.subject == str(slot.pk) != str(off.pk)
    assert step.due_at > steps.now()


def test_a_fault_of_ours_is_shown_and_tried_again_later(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = plan(session)

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(orchestrator, "start", broken)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            steps.run(_open_step(slot))
    assert fresh(slot).note == slots.FAILED
    assert Step.objects.get(kind="schedule", state="pending").due_at > steps.now()


def _open_step(slot: Slot) -> int:
    pending = Step.objects.filter(kind="schedule", subject=str(slot.pk), state="pending")
    pending.update(due_at=steps.now() - timedelta(seconds=1))
    return pending.get().pk


@pytest.mark.parametrize(
    "wrong",
    [
        {"days": []},
        {"days": ["someday"]},
        {"zone": "Mars/Olympus"},
        {"on_at": "25:00"},
        {"on_at": "09:00+02:00"},
    ],
)
def test_a_wrong_slot_is_refused(session: Session, wrong: dict[str, Any]) -> None:
    good = {"days": ["mon"], "on_at": "09:00", "off_at": "10:00"}
    with pytest.raises(Invalid):
        press(session, "slot.add", **{**good, **wrong})


def test_a_session_has_at_most_twenty_slots(session: Session) -> None:
    for _ in range(20):
        plan(session, enabled=False)
    with pytest.raises(Conflict, match="at most 20"):
        plan(session)


def test_the_slot_of_another_session_is_not_found(
    session: Session, make_session: MakeSession
) -> None:
    slot = plan(make_session("Other"))
    for command in ("slot.remove", "slot.change"):
        with pytest.raises(NotFound):
            press(session, command, slot=slot.pk)
