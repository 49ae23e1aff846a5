"""The orchestrator: the table, the race for Go Live, stopping from everywhere, the reaper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.utils import timezone

from broadcast import airing, orchestrator
from broadcast.models import Airing, Broadcast, StateChange
from broadcast.states import Cause, State
from sessions_app import commands, sessions
from sessions_app.background import steps, sweeper
from sessions_app.errors import Conflict, StaleClaim
from sessions_app.models import Message, Session, SessionEvent, Step
from stories.models import Source, Story
from tests.broadcast_runs import counted, moved, press, run_in, sound, state_of
from tests.concurrency import together
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

GoLive = Callable[[Session], Broadcast]


# What each cause leads to from each state; all other pairs are refused.
LEADS_TO = {
    ("idle", "initialize"): "initializing",
    ("initializing", "prepared"): "ready",
    ("initializing", "stop"): "stopping",
    ("initializing", "fail"): "error",
    ("ready", "start"): "starting",
    ("ready", "stop"): "stopping",
    ("ready", "fail"): "error",
    ("starting", "opened"): "live",
    ("starting", "stop"): "stopping",
    ("starting", "fail"): "error",
    ("live", "stop"): "stopping",
    ("live", "fail"): "error",
    ("stopping", "stopped"): "idle",
    ("stopping", "fail"): "error",
    ("error", "recover"): "initializing",
    ("error", "stop"): "idle",
}


@pytest.mark.parametrize("state", State)
def test_the_table_alone_decides_what_is_allowed(make_session: MakeSession, state: State) -> None:
    session = make_session()
    run = run_in(session, state)
    before = counted(session)
    for cause in Cause:
        after = LEADS_TO.get((str(state), str(cause)))
        if after is None:
            with pytest.raises(Conflict) as refused:
                orchestrator.transition(run, cause)
            assert refused.value.state == state
            assert counted(session) == before
        else:
            other = make_session(str(cause))
            changed = moved(run_in(other, state), cause)
            assert (changed.state, counted(other)) == (after, (before[0] + 1, before[1] + 1))
    assert state_of(session) == state
    assert sound()


def test_a_change_names_who_caused_it_and_the_seq_of_its_event(
    session: Session, go_live: GoLive
) -> None:
    run = go_live(session)
    change = StateChange.objects.filter(run=run).latest("epoch")
    event = SessionEvent.objects.get(session=session, seq=change.seq)
    assert change.actor == session.owner
    assert event.payload["air"]["state"] == change.to_state == State.STARTING


@pytest.mark.databases
def test_who_knows_an_older_epoch_cannot_move_the_run(session: Session) -> None:
    old = run_in(session, State.READY)
    orchestrator.transition(old, Cause.START)
    with pytest.raises(Conflict) as refused:
        orchestrator.transition(old, Cause.START)
    assert refused.value.state == State.STARTING
    assert sound()


@pytest.mark.databases
def test_the_database_refuses_a_second_active_run(session: Session) -> None:
    run_in(session, State.READY)
    with pytest.raises(DatabaseError), transaction.atomic():
        Broadcast.objects.create(session=session, number=2, state=State.READY, since=steps.now())


@pytest.mark.databases
def test_of_eight_who_press_go_live_at_once_one_gets_a_run(session: Session) -> None:
    found = together(8, lambda _: press(session, "start"))
    refused = [each for each in found if isinstance(each, Conflict)]
    assert len(refused) == 7
    assert {each.state for each in refused} <= {"initializing", "ready", "starting"}
    assert Broadcast.objects.filter(session=session).count() == 1
    assert Step.objects.filter(session=session, kind="narrate").count() == 1
    assert sound()


@pytest.mark.databases
def test_of_eight_who_press_stop_at_once_one_stops_the_run(
    session: Session, go_live: GoLive
) -> None:
    go_live(session)
    found = together(8, lambda _: press(session, "stop"))
    assert sum(isinstance(each, Conflict) for each in found) == 7
    assert state_of(session) == State.IDLE
    assert sound()


@pytest.mark.databases
def test_start_and_stop_at_the_same_moment_leave_one_true_state(
    session: Session, go_live: GoLive
) -> None:
    go_live(session)
    together(8, lambda index: press(session, "stop" if index % 2 else "start"))
    assert Broadcast.objects.filter(session=session).exclude(state="idle").count() <= 1
    assert sound()


def test_go_live_inserts_the_first_steps_of_the_same_session(
    session: Session, source: Source, go_live: GoLive
) -> None:
    run = go_live(session)
    found = set(Step.objects.filter(session=session).values_list("kind", "subject"))
    assert found == {("poll", str(source.pk)), ("narrate", str(run.pk))}


def test_a_run_is_live_only_when_a_worker_has_done_a_step(
    session: Session, go_live: GoLive
) -> None:
    assert go_live(session).state == State.STARTING
    run_due_steps(session, most=1)
    assert state_of(session) == State.LIVE


def test_without_a_source_nothing_starts(make_session: MakeSession) -> None:
    session = make_session(recording=False)
    with pytest.raises(Conflict, match="no source") as refused:
        press(session, "start")
    assert (refused.value.code, refused.value.state) == ("no_sources", "idle")
    assert not Broadcast.objects.exists()


def test_an_archived_session_does_not_start(session: Session) -> None:
    sessions.archive(session)
    with pytest.raises(Conflict, match="archived"):
        press(session, "start")


def test_a_session_on_air_is_not_archived(session: Session, go_live: GoLive) -> None:
    go_live(session)
    with pytest.raises(Conflict, match="on air"):
        commands.run("session.archive", session.owner, session, {})


@pytest.mark.parametrize("command", ["stop", "recover"])
def test_at_rest_there_is_nothing_to_stop_or_recover(session: Session, command: str) -> None:
    with pytest.raises(Conflict) as refused:
        press(session, command)
    assert refused.value.state == State.IDLE


@pytest.mark.parametrize(
    "state", [State.INITIALIZING, State.READY, State.STARTING, State.LIVE, State.ERROR]
)
def test_stop_leads_to_rest_from_every_state(session: Session, state: State) -> None:
    run = run_in(session, state)
    steps.enqueue(session, "narrate", run.pk)
    assert press(session, "stop").state == State.IDLE
    waiting = Step.objects.filter(session=session, state="pending")
    assert not waiting.exclude(kind__in=steps.outliving_kinds()).exists()
    assert sound()


def test_stop_acknowledges_an_error_and_keeps_its_sentence(session: Session) -> None:
    run = orchestrator.fail(run_in(session, State.LIVE), "The roof came down.")
    assert press(session, "stop").last_error == run.last_error == "The roof came down."


def test_recover_reopens_the_same_run_with_its_steps(session: Session) -> None:
    run = orchestrator.fail(run_in(session, State.STARTING), "No worker.")
    recovered = press(session, "recover")
    assert (recovered.pk, recovered.state, recovered.last_error) == (run.pk, "starting", "")
    assert set(Step.objects.filter(state="pending").values_list("kind", flat=True)) == {
        "poll",
        "narrate",
    }
    assert sound()


@pytest.mark.parametrize("state", [State.STARTING, State.LIVE, State.STOPPING])
def test_only_an_error_is_recovered(session: Session, state: State) -> None:
    run_in(session, state)
    with pytest.raises(Conflict) as refused:
        press(session, "recover")
    assert refused.value.state == state


def test_a_live_run_without_a_narrate_step_gets_one(session: Session, go_live: GoLive) -> None:
    run = go_live(session)
    run_due_steps(session, "poll")
    Step.objects.filter(kind="narrate").update(state="failed")
    sweeper.sweep()
    sweeper.sweep()
    assert Step.objects.filter(kind="narrate", subject=str(run.pk), state="pending").count() == 1


def test_a_hold_keeps_the_run_live_and_is_an_event(session: Session, go_live: GoLive) -> None:
    go_live(session)
    run_due_steps(session, "narrate")
    run = orchestrator.active(session)
    assert run is not None
    hold: orchestrator.HoldPayload = {"code": "budget", "sentence": "Spent.", "until": None}
    with orchestrator.locked(run):
        orchestrator.set_hold(run, hold)
        orchestrator.set_hold(run, hold)
    assert orchestrator.latest_payload(session)["state"] == State.LIVE
    assert orchestrator.latest_payload(session)["hold"] == hold
    assert SessionEvent.objects.filter(payload__cause="hold").count() == 1
    assert sound()


def test_stopping_ends_a_hold(session: Session, go_live: GoLive) -> None:
    go_live(session)
    run_due_steps(session, "narrate")
    Broadcast.objects.update(hold={"code": "budget", "sentence": "Spent.", "until": None})
    assert press(session, "stop").hold is None


def test_stopping_takes_the_story_off_the_air(make_session: MakeSession, go_live: GoLive) -> None:
    session = make_session(pace=60, model="extractive")
    go_live(session)
    run_due_steps(session)
    assert airing.now_airing(session) is not None
    press(session, "stop")
    assert airing.now_airing(session) is None
    assert Story.objects.get(session=session).state == Story.State.AIRED
    assert Airing.objects.get(session=session).finished_at is not None
    assert sound()


@pytest.mark.databases
def test_the_run_of_another_epoch_cannot_be_written_to(session: Session, go_live: GoLive) -> None:
    go_live(session)
    run_due_steps(session, "narrate")
    old = orchestrator.active(session)
    assert old is not None
    press(session, "stop")
    with pytest.raises(StaleClaim), orchestrator.locked(old):
        pass


def test_a_run_that_was_recovered_is_of_another_epoch(session: Session, go_live: GoLive) -> None:
    go_live(session)
    run_due_steps(session, "narrate", most=1)
    old = orchestrator.active(session)
    assert old is not None
    orchestrator.fail(old, "The roof came down.")
    press(session, "recover")
    run_due_steps(session, "narrate", most=1)
    assert state_of(session) == State.LIVE
    assert not orchestrator.on_air(old)
    with pytest.raises(StaleClaim), orchestrator.locked(old):
        pass


@pytest.mark.databases
def test_time_on_air_is_counted_when_the_run_leaves_the_air(
    session: Session, go_live: GoLive
) -> None:
    go_live(session)
    run_due_steps(session, "narrate")
    Broadcast.objects.update(live_at=timezone.now() - timedelta(seconds=90))
    press(session, "stop")
    session.stats.refresh_from_db()
    assert session.stats.on_air_seconds == 90


def test_two_sessions_on_air_at_once_do_not_mix(
    make_session: MakeSession, go_live: GoLive, owner: User
) -> None:
    both = [make_session(name, model="extractive") for name in ("One", "Other")]
    for session in both:
        go_live(session)
    for session in both:
        run_due_steps(session, most=8)
    for session in both:
        stories = Story.objects.filter(session=session)
        assert stories.exists()
        assert all(story.post.session_id == session.pk for story in stories if story.post)
    press(both[0], "stop")
    assert state_of(both[1]) == State.LIVE
    assert not Message.objects.filter(session__in=both, code="error").exists()
    assert sound()


@pytest.mark.parametrize(
    ("state", "stop", "recover"),
    [
        (State.IDLE, False, False),
        (State.STARTING, True, False),
        (State.LIVE, True, False),
        (State.STOPPING, False, False),
        (State.ERROR, True, True),
    ],
)
def test_the_buttons_follow_the_state(
    session: Session, state: State, stop: bool, recover: bool
) -> None:
    shown = orchestrator.payload(run_in(session, state))
    assert (shown["can_stop"], shown["can_recover"]) == (stop, recover)
    assert shown["can_start"] == (state == State.IDLE)
