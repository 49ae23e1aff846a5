"""How runs end: reaped, settled, or cut off in the middle of a sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from broadcast import orchestrator
from broadcast.host import worker
from broadcast.models import Broadcast, StateChange
from broadcast.states import State
from sessions_app.background import sending, steps, sweeper
from sessions_app.models import Session, Step
from stories.models import QuarantinedRecord, SourcePost, Story, TokenUsage
from stories.types import Brief, Narration, OnText
from tests.broadcast_runs import age, press, run_in, sound, state_of
from tests.concurrency import together
from tests.conftest import run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]


# How long a state may last, in seconds.
LONGEST = {State.INITIALIZING: 30, State.READY: 1800, State.STARTING: 60, State.STOPPING: 120}


@pytest.mark.parametrize("state", list(LONGEST))
def test_the_reaper_leaves_a_young_state_alone(session: Session, state: State) -> None:
    run = run_in(session, state)
    steps.claim(steps.enqueue(session, "narrate", run.pk).pk)
    age(run, LONGEST[state] - 5)
    sweeper.sweep()
    assert state_of(session) == state


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (State.INITIALIZING, State.ERROR),
        (State.READY, State.IDLE),
        (State.STARTING, State.ERROR),
        (State.STOPPING, State.IDLE),
    ],
)
def test_the_reaper_ends_what_lasts_too_long(session: Session, state: State, after: State) -> None:
    run = run_in(session, state)
    if state == State.STOPPING:
        steps.claim(steps.enqueue(session, "narrate", run.pk).pk)
    age(run, LONGEST[state] + 1)
    sweeper.sweep()
    assert state_of(session) == after
    if after == State.ERROR:
        assert "recover" in orchestrator.latest_payload(session)["last_error"].lower()
    assert sound()


def test_a_sweeper_that_just_came_up_gives_the_workers_their_time(session: Session) -> None:
    age(run_in(session, State.STARTING), 3600)
    sweeper.sweep(up=1.0)
    assert state_of(session) == State.STARTING


@pytest.mark.databases
def test_several_sweepers_at_once_reap_a_run_once(session: Session) -> None:
    run = run_in(session, State.STARTING)
    age(run, 3600)
    together(4, lambda _: sweeper.sweep())
    assert StateChange.objects.filter(run=run, cause="fail").count() == 1
    assert sound()


def test_a_stopping_run_waits_for_its_leased_step(session: Session, go_live: GoLive) -> None:
    go_live(session)
    step = Step.objects.get(kind="narrate")
    held = steps.claim(step.pk)
    assert held is not None
    assert press(session, "stop").state == State.STOPPING
    sweeper.sweep()
    assert state_of(session) == State.STOPPING
    held.complete()
    sweeper.sweep()
    assert state_of(session) == State.IDLE


def test_a_stopping_run_waits_for_its_open_usage(session: Session, go_live: GoLive) -> None:
    go_live(session)
    usage = TokenUsage.objects.create(session=session, operation="narrate", model="m", max_tokens=1)
    assert press(session, "stop").state == State.STOPPING
    TokenUsage.objects.filter(pk=usage.pk).update(state="final")
    sweeper.sweep()
    assert state_of(session) == State.IDLE


# From the first post of the recording, so that the check against the sources lets it pass.
SENTENCE = "A second turbine is to be lowered into the sound in April."


class Interrupted:
    """A narrator during whose answer something happens."""

    origin = "extractive"

    def __init__(self, act: Callable[[], Any], speaks: bool) -> None:
        self.act, self.speaks = act, speaks

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        self.act()
        if self.speaks:
            on_text("So far")
        return Narration(brief.title, SENTENCE, "developing", "neutral", [])


def interrupt(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any], speaks: bool = False
) -> None:
    monkeypatch.setattr(worker, "narrator_for", lambda *_: Interrupted(act, speaks))


def test_an_answer_after_stop_goes_to_quarantine_and_not_on_air(
    session: Session, go_live: GoLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(session)
    run_due_steps(session, "poll", most=1)
    interrupt(monkeypatch, lambda: press(session, "stop"))
    run_due_steps(session, "narrate")
    sweeper.sweep()
    assert state_of(session) == State.IDLE
    assert not Story.objects.exists()
    assert QuarantinedRecord.objects.get().payload["narrative"] == SENTENCE
    assert not SourcePost.objects.filter(state="claimed").exists()
    assert sound()


def test_a_narrator_is_cut_short_when_the_run_has_ended(
    session: Session, go_live: GoLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(session)
    run_due_steps(session, "poll", most=1)
    interrupt(monkeypatch, lambda: press(session, "stop"), speaks=True)
    run_due_steps(session, "narrate")
    sweeper.sweep()
    assert state_of(session) == State.IDLE
    assert not Story.objects.exists()
    assert not QuarantinedRecord.objects.exists()
    assert not SourcePost.objects.filter(state="claimed").exists()
    assert sound()


def test_an_answer_of_a_worker_that_lost_its_step_goes_to_quarantine(
    session: Session, go_live: GoLive, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_live(session)
    run_due_steps(session, "poll", most=1)
    step = Step.objects.get(kind="narrate")

    def taken_over() -> None:
        Step.objects.filter(pk=step.pk).update(lease_until=steps.now() - timedelta(seconds=1))
        monkeypatch.undo()
        monkeypatch.setattr(sending, "_poker", [])
        steps.run(step.pk)

    interrupt(monkeypatch, taken_over)
    steps.run(step.pk)
    assert QuarantinedRecord.objects.count() == 1
    assert Story.objects.count() == 1
    assert sound()


def test_a_live_run_is_never_reaped(session: Session) -> None:
    age(run_in(session, State.LIVE), 1_000_000)
    sweeper.sweep()
    assert state_of(session) == State.LIVE
