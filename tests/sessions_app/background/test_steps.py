"""Steps are claimed once, leased, fenced by their epoch, poked, and given up after three attempts."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from sessions_app.background import sending, steps, sweeper
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NeedsHuman, Retry, SmnbError, StaleClaim, WaitUntil
from sessions_app.models import FailedWork, Session, Step
from tests.concurrency import forked, together
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

postgres_only = pytest.mark.skipif(
    "os.environ.get('SMNB_TEST_DATABASE') != 'postgres'", reason="SQLite has no server to lose."
)

PROBE = "probe"
Does = Callable[[Callable[[Claim], None]], None]


@pytest.fixture
def given_up() -> list[int]:
    return []


@pytest.fixture
def does(monkeypatch: pytest.MonkeyPatch, given_up: list[int]) -> Does:
    """Returns a function that sets the handler of the kind "probe"."""

    def gave_up(claim: Claim) -> None:
        given_up.append(claim.step.pk)

    def set_(handler: Callable[[Claim], None]) -> None:
        monkeypatch.setitem(steps._kinds, PROBE, Kind(PROBE, "control", handler, gave_up))

    set_(lambda claim: None)
    return set_


@pytest.fixture
def poked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    monkeypatch.setattr(sending, "_poker", [lambda step_id, queue: found.append((step_id, queue))])
    return found


@pytest.fixture
def step(session: Session, does: Does) -> Step:
    return steps.enqueue(session, PROBE, 1)


def claimed(step: Step) -> Claim:
    held = steps.claim(step.pk)
    assert held is not None
    return held


def expire(step: Step) -> None:
    """Lets the lease expire, as if the worker had died."""
    Step.objects.filter(pk=step.pk).update(lease_until=steps.now() - timedelta(seconds=1))


def quiet_since(step: Step, seconds: int) -> None:
    """Sets the time of the last poke."""
    Step.objects.filter(pk=step.pk).update(poked_at=steps.now() - timedelta(seconds=seconds))


def fresh(step: Step) -> Step:
    return Step.objects.get(pk=step.pk)


def raises(error: Exception) -> Callable[[Claim], None]:
    def handler(_claim: Claim) -> None:
        raise error

    return handler


@pytest.mark.databases
def test_of_eight_claims_at_once_exactly_one_gets_the_step(step: Step) -> None:
    found = together(8, lambda _: steps.claim(step.pk))
    assert sum(claim is not None for claim in found) == 1
    assert fresh(step).epoch == 1


@pytest.mark.databases
def test_a_process_that_dies_between_commit_and_message_leaves_the_step_to_the_sweeper(
    session: Session, does: Does, poked: list[tuple[int, str]]
) -> None:
    def enqueue_and_die() -> None:
        # Called after the commit, in place of the message.
        sending.set_poker(lambda *_: os._exit(9))
        steps.enqueue(session, PROBE, 1)

    assert os.waitstatus_to_exitcode(os.waitpid(forked(enqueue_and_die), 0)[1]) == 9
    orphan = Step.objects.get(kind=PROBE)
    assert (orphan.state, orphan.poked_at is None) == ("pending", False)
    # Its row says that it was sent just now.
    assert sweeper.poke_overdue() == 0
    quiet_since(orphan, 11)
    assert sweeper.poke_overdue() == 1
    assert poked == [(orphan.pk, "control")]
    assert steps.run(orphan.pk)
    assert fresh(orphan).state == Step.State.DONE


def test_a_claim_brings_the_session_of_the_row(step: Step) -> None:
    assert claimed(step).session == step.session


def test_a_step_that_is_not_due_cannot_be_claimed(session: Session, does: Does) -> None:
    later = steps.enqueue(session, PROBE, 1, steps.now() + timedelta(minutes=1))
    assert steps.claim(later.pk) is None


@pytest.mark.databases
def test_a_leased_step_is_taken_over_only_after_its_lease(step: Step) -> None:
    first = claimed(step)
    assert steps.claim(step.pk) is None
    expire(step)
    assert claimed(step).epoch == first.epoch + 1


def test_a_task_that_is_delivered_again_takes_its_own_lease_over_at_once(step: Step) -> None:
    first = steps.claim(step.pk, "task-1")
    assert first is not None
    # A copy of the message, and the message of a process that lost the step before.
    assert steps.claim(step.pk, "task-1") is None
    assert steps.claim(step.pk, "task-0", redelivered=True) is None
    second = steps.claim(step.pk, "task-1", redelivered=True)
    assert second is not None
    assert second.epoch == first.epoch + 1
    with pytest.raises(StaleClaim):
        first.complete()
    second.complete()
    assert steps.claim(step.pk, "task-1", redelivered=True) is None


def test_a_lease_without_a_task_is_taken_over_by_no_message(step: Step) -> None:
    claimed(step)
    assert steps.claim(step.pk, "", redelivered=True) is None
    assert steps.claim(step.pk, "task-1", redelivered=True) is None


@pytest.mark.databases
@pytest.mark.parametrize(
    "settle",
    [
        lambda claim: claim.complete(),
        lambda claim: claim.fail("late"),
        lambda claim: claim.reschedule(steps.now()),
    ],
)
def test_a_worker_that_lost_the_step_cannot_settle_it(
    step: Step, settle: Callable[[Claim], None]
) -> None:
    late = claimed(step)
    expire(step)
    claimed(step)
    before = Step.objects.filter(pk=step.pk).values().get()
    with pytest.raises(StaleClaim), transaction.atomic():
        settle(late)
    assert Step.objects.filter(pk=step.pk).values().get() == before


def test_a_late_handler_ends_quietly_and_leaves_the_new_holder_alone(
    step: Step, does: Does
) -> None:
    def too_slow(claim: Claim) -> None:
        expire(step)
        claimed(step)
        claim.complete()

    does(too_slow)
    assert steps.run(step.pk)
    assert fresh(step).state == Step.State.LEASED
    assert fresh(step).epoch == 2


def test_a_step_whose_process_is_ended_by_a_signal_is_due_again_at_once(
    step: Step, does: Does, poked: list[tuple[int, str]]
) -> None:
    poked.clear()

    def interrupted(_claim: Claim) -> None:
        with transaction.atomic():
            Session.objects.update(name="half done")
            raise SystemExit(-241)

    does(interrupted)
    with pytest.raises(SystemExit):
        steps.run(step.pk, "task-1")
    found = fresh(step)
    assert (found.state, found.attempts, found.lease_until) == ("pending", 0, None)
    assert not Session.objects.filter(name="half done").exists()
    assert sweeper.poke_overdue() == 1
    assert poked == [(step.pk, "control")]
    assert steps.claim(step.pk) is not None


def test_a_signal_in_the_middle_of_a_claim_leaves_no_lease(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = steps.claim

    def interrupted(*args: Any, **kwargs: Any) -> None:
        claim(*args, **kwargs)
        raise SystemExit(-241)

    monkeypatch.setattr(steps, "claim", interrupted)
    with pytest.raises(SystemExit):
        steps.run(step.pk, "task-1")
    assert fresh(step).state == Step.State.PENDING


def test_a_signal_leaves_the_lease_of_another_worker_alone(step: Step, does: Does) -> None:
    def overtaken(_claim: Claim) -> None:
        expire(step)
        steps.claim(step.pk, "task-2")
        raise SystemExit(-241)

    does(overtaken)
    with pytest.raises(SystemExit):
        steps.run(step.pk, "task-1")
    assert (fresh(step).state, fresh(step).epoch) == ("leased", 2)


def test_a_signal_after_the_effect_was_stored_runs_nothing_again(step: Step, does: Does) -> None:
    def ended(claim: Claim) -> None:
        claim.complete()
        raise SystemExit(-241)

    does(ended)
    with pytest.raises(SystemExit):
        steps.run(step.pk)
    assert fresh(step).state == Step.State.DONE


def test_what_could_not_be_sent_is_sent_by_the_next_sweep(
    session: Session, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.enqueue(session, PROBE, 2)
    Step.objects.update(poked_at=None)
    tried: list[int] = []

    def fails(step_id: int, _queue: str) -> None:
        tried.append(step_id)
        raise sending.NotSent

    monkeypatch.setattr(sending, "_poker", [fails])
    assert sweeper.poke_overdue() == 0
    # Without Redis the second one is not even tried.
    assert tried == [step.pk]
    assert not Step.objects.exclude(poked_at=None).exists()
    assert not FailedWork.objects.exists()
    monkeypatch.setattr(sending, "_poker", [lambda step_id, queue: tried.append(step_id)])
    assert sweeper.poke_overdue() == 2


def lose_connection() -> None:
    """Ends the connection of this thread, as a server that restarts does."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        pid = connection.connection.info.backend_pid
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.mark.databases
@postgres_only
@pytest.mark.parametrize("atomic", [True, False])
def test_a_step_that_loses_the_database_is_due_again_as_soon_as_it_answers(
    step: Step, does: Does, poked: list[tuple[int, str]], atomic: bool
) -> None:
    def handler(claim: Claim) -> None:
        with transaction.atomic() if atomic else nullcontext():
            Session.objects.update(name="lost")
            lose_connection()
            claim.complete()

    does(handler)
    steps.run(step.pk)
    found = fresh(step)
    assert (found.state, found.last_error) == (
        "pending",
        "The database was not reachable for a moment.",
    )
    assert poked == [(step.pk, "control")]
    does(lambda claim: claim.complete())
    assert steps.run(step.pk)
    assert fresh(step).state == Step.State.DONE


@pytest.mark.databases
@postgres_only
def test_a_step_that_waits_too_long_for_a_lock_is_never_given_up(step: Step, does: Does) -> None:
    def handler(_claim: Claim) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 5")
            cursor.execute("SELECT pg_sleep(1)")

    does(handler)
    for attempt in range(1, 6):
        assert steps.run(step.pk)
        found = fresh(step)
        assert (found.state, found.attempts) == ("pending", attempt)
        assert found.last_error == "The database was too busy to answer in time."
        Step.objects.filter(pk=step.pk).update(due_at=steps.now())


@pytest.mark.parametrize(
    ("message", "state"),
    [("database is locked", "pending"), ("disk I/O error", "failed")],
)
def test_a_locked_database_is_no_bug(step: Step, does: Does, message: str, state: str) -> None:
    does(raises(OperationalError(message)))
    for _ in range(3):
        with suppress(OperationalError):
            steps.run(step.pk)
        Step.objects.filter(pk=step.pk).update(due_at=steps.now())
    assert fresh(step).state == state


@pytest.mark.databases
@postgres_only
def test_a_message_that_arrives_while_the_database_is_away_is_not_lost(step: Step) -> None:
    lose_connection()
    assert steps.run(step.pk)
    assert fresh(step).state == Step.State.DONE


@pytest.mark.databases
@postgres_only
def test_a_bug_in_a_query_is_no_loss_of_the_database(step: Step, does: Does) -> None:
    def handler(_claim: Claim) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    does(handler)
    with pytest.raises(DatabaseError):
        steps.run(step.pk)
    assert fresh(step).last_error == "An internal error; see the log."


@pytest.mark.databases
def test_the_heartbeat_extends_the_lease_while_the_handler_works(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "HEARTBEAT_SECONDS", 0.02)
    held = claimed(step)
    expire(step)
    with steps.heartbeat(held):
        while fresh(step).lease_until < steps.now():  # type: ignore[operator]
            pass
    held.check()


@pytest.mark.databases
def test_the_heartbeat_marks_the_claim_lost_when_another_worker_has_the_step(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "HEARTBEAT_SECONDS", 0.02)
    held = claimed(step)
    with steps.heartbeat(held):
        Step.objects.filter(pk=step.pk).update(epoch=F("epoch") + 1)
        assert held.lost.wait(10)
    with pytest.raises(StaleClaim):
        held.check()


def test_a_kind_that_is_usually_open_is_read_before_it_is_inserted(
    session: Session, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Kind(PROBE, "control", lambda claim: None, usually_open=True)
    monkeypatch.setitem(steps._kinds, PROBE, usual)
    with CaptureQueriesContext(connection) as queries:
        assert steps.enqueue(session, PROBE, 1) == step
    assert [each["sql"].partition(" ")[0] for each in queries.captured_queries] == ["SELECT"]
    assert steps.enqueue(session, PROBE, 2) != step
    assert steps.enqueue(session, PROBE, 2).subject == "2"
    assert Step.objects.filter(kind=PROBE).count() == 2


@pytest.mark.databases
def test_there_is_one_open_step_of_a_kind_and_subject(session: Session, step: Step) -> None:
    assert steps.enqueue(session, PROBE, 1) == step
    claimed(step)
    assert steps.enqueue(session, PROBE, 1) == step
    found = together(4, lambda _: steps.enqueue(session, PROBE, 2).pk)
    assert len(set(found)) == 1
    with pytest.raises(DatabaseError), transaction.atomic():
        Step.objects.create(session=session, kind=PROBE, subject="1", due_at=steps.now())


@pytest.mark.databases
def test_an_open_step_of_another_session_is_refused_and_never_returned(
    step: Step, make_session: MakeSession
) -> None:
    other = make_session("Evening")
    with pytest.raises(ValueError, match=r"probe\(1\) is an open step of another session"):
        steps.enqueue(other, PROBE, 1)
    held = claimed(step)
    with pytest.raises(ValueError, match="another session"), transaction.atomic():
        steps.enqueue(other, PROBE, 1, steps.now() + timedelta(hours=1))
    assert not Step.objects.filter(session=other).exists()
    # Refused without harm: the step of the first session goes through, and then there is room.
    assert held.extend_lease()
    held.complete()
    assert steps.enqueue(other, PROBE, 1).session == other


def test_an_ended_step_makes_room_for_the_next_of_its_kind(session: Session, step: Step) -> None:
    assert steps.run(step.pk)
    assert steps.enqueue(session, PROBE, 1) != step


def test_an_unknown_kind_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        steps.enqueue(session, "no such thing", 1)


def test_a_step_is_poked_once_its_transaction_is_committed(
    session: Session, does: Does, poked: list[tuple[int, str]]
) -> None:
    with transaction.atomic():
        step = steps.enqueue(session, PROBE, 1)
        assert poked == []
    assert poked == [(step.pk, "control")]


def test_a_step_that_is_due_again_at_once_is_marked_as_sent_by_the_same_statement(
    step: Step, does: Does, poked: list[tuple[int, str]]
) -> None:
    does(lambda claim: claim.reschedule(steps.AT_ONCE))
    steps.run(step.pk)
    assert poked == [(step.pk, "control")]
    assert fresh(step).poked_at is not None
    assert sweeper.poke_overdue() == 0


def test_a_marked_step_that_could_not_be_sent_is_left_to_the_sweeper(
    session: Session, step: Step, does: Does, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_step_id: int, _queue: str) -> None:
        raise sending.NotSent

    monkeypatch.setattr(sending, "_poker", [fails])
    does(lambda claim: claim.reschedule(steps.AT_ONCE))
    steps.run(step.pk)
    later = steps.enqueue(session, PROBE, 2, steps.now() + timedelta(hours=1))
    steps.run_now(session, PROBE, 2)
    new = steps.enqueue(session, PROBE, 3)
    assert [fresh(each).poked_at for each in (step, later, new)] == [None, None, None]


@pytest.mark.databases
def test_of_eight_that_enqueue_the_same_step_at_once_all_get_the_same_one(
    session: Session, does: Does
) -> None:
    found = together(8, lambda _: steps.enqueue(session, PROBE, 1).pk)
    assert len(set(found)) == 1
    assert Step.objects.filter(kind=PROBE).count() == 1


def test_a_step_is_not_poked_before_it_is_due(
    session: Session, does: Does, poked: list[tuple[int, str]]
) -> None:
    steps.enqueue(session, PROBE, 1, steps.now() + timedelta(minutes=1))
    assert poked == []


def test_a_poke_is_not_repeated_within_ten_seconds(
    step: Step, poked: list[tuple[int, str]]
) -> None:
    quiet_since(step, 11)
    for _ in range(3):
        sending.poke(step.pk, PROBE)
    assert len(poked) == 1
    quiet_since(step, 9)
    sending.poke(step.pk, PROBE)
    assert len(poked) == 1
    quiet_since(step, 11)
    sending.poke(step.pk, PROBE)
    assert len(poked) == 2


@pytest.mark.databases
def test_of_two_sweepers_each_overdue_step_is_poked_by_one(
    session: Session, does: Does, poked: list[tuple[int, str]]
) -> None:
    made = [steps.enqueue(session, PROBE, number).pk for number in range(20)]
    poked.clear()
    Step.objects.update(poked_at=None)
    found = together(2, lambda _: sweeper.poke_overdue())
    assert sum(found) == 20
    assert sorted(step_id for step_id, _ in poked) == sorted(made)


def test_a_step_whose_holder_died_is_poked_again(step: Step, poked: list[tuple[int, str]]) -> None:
    claimed(step)
    quiet_since(step, 20)
    assert sweeper.poke_overdue() == 0
    expire(step)
    assert sweeper.poke_overdue() == 1
    assert poked == [(step.pk, "control")]


def test_the_waits_between_attempts_grow_and_are_capped() -> None:
    waits = [steps.backoff(number).total_seconds() for number in range(1, 11)]
    assert waits == [2, 5, 15, 30, 60, 120, 300, 300, 300, 300]


@pytest.mark.parametrize("error", [Retry("Try it again."), NeedsHuman("Fix it.")])
def test_an_error_that_may_pass_is_tried_again_with_its_reason(
    step: Step, does: Does, error: SmnbError
) -> None:
    does(raises(error))
    assert steps.run(step.pk)
    found = fresh(step)
    assert (found.state, found.last_error) == (Step.State.PENDING, error.sentence)
    assert timedelta(seconds=1) < found.due_at - steps.now() <= timedelta(seconds=2)
    assert found.attempts == 1


@pytest.mark.databases
def test_a_step_is_due_exactly_when_the_wait_ends(step: Step, does: Does) -> None:
    until = steps.now() + timedelta(minutes=7)
    does(raises(WaitUntil("Later.", until=until)))
    steps.run(step.pk)
    assert fresh(step).due_at == until


def test_a_bug_is_tried_three_times_and_then_given_up(
    step: Step, does: Does, given_up: list[int]
) -> None:
    does(raises(RuntimeError("a bug")))
    for _ in range(3):
        assert given_up == []
        Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
        with pytest.raises(RuntimeError):
            steps.run(step.pk)
    assert fresh(step).state == Step.State.FAILED
    assert "a bug" not in fresh(step).last_error
    assert given_up == [step.pk]


def test_after_three_silent_deaths_the_step_is_given_up_unrun(
    step: Step, does: Does, given_up: list[int]
) -> None:
    for _ in range(3):
        claimed(step)
        expire(step)
    does(raises(AssertionError("it must not run a fourth time")))
    assert steps.run(step.pk)
    assert fresh(step).state == Step.State.FAILED
    assert given_up == [step.pk]


@pytest.mark.parametrize("error", [Retry("Later."), ValueError("a bug")])
def test_a_clock_set_back_while_a_handler_fails_does_not_delay_the_next_attempt(
    step: Step, does: Does, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    before = steps.now()
    does(raises(error))
    # What was read before the clock was set back lies an hour ahead.
    monkeypatch.setattr(steps, "now", lambda: before + timedelta(hours=1))
    with suppress(ValueError):
        steps.run(step.pk)
    assert timedelta(seconds=1) < fresh(step).due_at - before < timedelta(minutes=5)


def test_a_successful_round_resets_the_count_of_attempts(step: Step, does: Does) -> None:
    claimed(step)
    expire(step)
    does(lambda claim: claim.reschedule(steps.now()))
    steps.run(step.pk)
    assert fresh(step).attempts == 0


def test_cancelling_ends_pending_steps_and_leaves_leased_ones(
    session: Session, step: Step, make_session: MakeSession
) -> None:
    claimed(step)
    waiting = steps.enqueue(session, PROBE, 2)
    elsewhere = steps.enqueue(make_session("Evening"), PROBE, 3)
    assert steps.cancel_pending(session) == 1
    assert fresh(waiting).state == Step.State.CANCELLED
    assert fresh(step).state == Step.State.LEASED
    assert fresh(elsewhere).state == Step.State.PENDING


def test_a_step_to_run_now_is_due_and_poked_at_once(
    session: Session, does: Does, poked: list[tuple[int, str]]
) -> None:
    later = steps.enqueue(session, PROBE, 1, steps.now() + timedelta(hours=1))
    steps.run_now(session, PROBE, 1)
    assert poked == [(later.pk, "control")]
    assert steps.claim(later.pk) is not None


@pytest.mark.databases
def test_only_a_leased_step_has_a_lease(step: Step) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        Step.objects.filter(pk=step.pk).update(lease_until=steps.now())


def lease_until_in(step: Step, seconds: float) -> None:
    until = steps.now() + timedelta(seconds=seconds)
    Step.objects.filter(pk=step.pk).update(lease_until=until)


def test_a_lease_lasts_twenty_seconds(step: Step) -> None:
    claimed(step)
    until = fresh(step).lease_until
    assert until is not None
    assert timedelta(seconds=15) < until - steps.now() <= timedelta(seconds=20)


def test_a_lease_that_is_about_to_expire_still_protects_the_step(
    step: Step, poked: list[tuple[int, str]]
) -> None:
    first = claimed(step)
    quiet_since(step, 60)
    lease_until_in(step, 4)
    assert steps.claim(step.pk) is None
    assert sweeper.poke_overdue() == 0
    assert fresh(step).epoch == first.epoch


def test_a_second_death_is_not_yet_the_last_attempt(
    step: Step, does: Does, given_up: list[int]
) -> None:
    for _ in range(2):
        claimed(step)
        expire(step)
    does(lambda claim: None)
    assert steps.run(step.pk)
    assert fresh(step).state == Step.State.DONE
    assert given_up == []


def test_a_step_that_was_just_poked_is_not_poked_by_a_sweeper(
    step: Step, poked: list[tuple[int, str]]
) -> None:
    quiet_since(step, 9)
    assert sweeper.poke_overdue() == 0
    quiet_since(step, 11)
    assert sweeper.poke_overdue() == 1


def test_cancelling_a_run_leaves_steps_that_outlive_it(
    session: Session, does: Does, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Kind("lasting", "control", lambda claim: None, outlives_run=True)
    monkeypatch.setitem(steps._kinds, "lasting", kind)
    lasting = steps.enqueue(session, "lasting", 1)
    assert steps.cancel_pending(session) == 0
    assert fresh(lasting).state == Step.State.PENDING
    claimed(lasting)
    assert not steps.leased(session.pk).exists()


def test_a_claim_is_lost_when_its_result_is_no_longer_needed(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "HEARTBEAT_SECONDS", 0.02)
    held = claimed(step)
    held.still_needed = lambda: False
    with steps.heartbeat(held):
        assert held.lost.wait(10)
