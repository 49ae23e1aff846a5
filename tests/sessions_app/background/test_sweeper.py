"""The sweeper calls its rules and sends what is due, when it is due; it survives an outage."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError

from sessions_app.background import isolation, sending, steps, sweeper
from sessions_app.events import recorder
from sessions_app.models import Session, Step

pytestmark = pytest.mark.django_db


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(sweeper, "_rounds", [found.append])
    return found


def test_a_round_calls_every_app_and_pokes_what_is_overdue(
    session: Session, rounds: list[float]
) -> None:
    steps.enqueue(session, "poll", 1)
    Step.objects.update(poked_at=None)
    assert sweeper.sweep(5.0) == 1
    assert rounds == [5.0]


def test_a_single_sweep_counts_as_up_for_ever(rounds: list[float]) -> None:
    sweeper.sweep()
    assert rounds == [float("inf")]


def test_a_rule_is_called_every_five_seconds_or_when_it_wants_to_be(
    monkeypatch: pytest.MonkeyPatch, rounds: list[float]
) -> None:
    busy: list[float] = []

    def more_to_do(up: float) -> float:
        busy.append(up)
        return 1.0

    monkeypatch.setattr(sweeper, "_due", {})
    sweeper.register(more_to_do)
    for up in (0.0, 0.5, 1.0, 4.9, 5.0, 6.0, 9.9, 10.1):
        sweeper.sweep(up)
    assert rounds == [0.0, 5.0, 10.1]
    assert busy == [0.0, 1.0, 4.9, 6.0, 9.9]
    # A command that sweeps once calls all of them, as often as it is run.
    sweeper.sweep()
    sweeper.sweep()
    assert rounds[3:] == busy[5:] == [float("inf"), float("inf")]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> sweeper.Calls:
    """What other processes announce, without a thread that listens to them."""
    monkeypatch.setattr(sweeper, "close_old_connections", lambda: None)
    monkeypatch.setattr(sweeper, "listen", lambda _calls: None)
    # Without a note of an earlier round Redis would count as restarted.
    sweeper.note_round()
    return SimpleQueue()


def stops_in_round(
    monkeypatch: pytest.MonkeyPatch, calls: sweeper.Calls, last: int, wish: float | None = None
) -> list[float]:
    """The only rule; puts a stop into the calls in its last round, and returns when it was called."""
    ups: list[float] = []

    def rule(up: float) -> float | None:
        ups.append(up)
        if len(ups) == last:
            calls.put(None)
        return wish

    monkeypatch.setattr(sweeper, "_rounds", [rule])
    return ups


def test_it_runs_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch, calls: sweeper.Calls) -> None:
    ups = stops_in_round(monkeypatch, calls, 3, wish=0.001)
    sweeper.run_forever(calls, every=0.001)
    assert ups == sorted(ups)
    assert len(ups) == 3


def test_a_step_gets_its_round_when_it_is_due_and_not_before(
    session: Session, monkeypatch: pytest.MonkeyPatch, calls: sweeper.Calls
) -> None:
    steps.enqueue(session, "poll", 1, steps.now() + timedelta(seconds=0.4))
    sent: list[int] = []
    real = sweeper.sweep

    def counted(up: float) -> int:
        sent.append(real(up))
        if len(sent) == 2:
            calls.put(None)
        return sent[-1]

    monkeypatch.setattr(sweeper, "_rounds", [])
    monkeypatch.setattr(sweeper, "sweep", counted)
    began = time.monotonic()
    sweeper.run_forever(calls, every=0.001)
    # One round that finds nothing, and the next one at the time of the step instead of after 5 s.
    assert sent == [0, 1]
    assert time.monotonic() - began < 4


def test_a_call_of_another_process_brings_the_next_round_forward(
    monkeypatch: pytest.MonkeyPatch, calls: sweeper.Calls
) -> None:
    ups = stops_in_round(monkeypatch, calls, 1)
    rounds: list[float] = []
    monkeypatch.setattr(sweeper, "note_round", lambda: rounds.append(1.0))
    calls.put(0.0)
    sweeper.run_forever(calls, every=0.001)
    assert (len(ups), len(rounds)) == (1, 1)


@pytest.mark.parametrize(("seconds", "told"), [(2.0, True), (4.9, True), (6.0, False)])
def test_a_step_that_is_due_before_the_pause_can_end_is_announced(
    session: Session, seconds: float, told: bool, django_capture_on_commit_callbacks: Any
) -> None:
    heard: sweeper.Calls = SimpleQueue()
    threading.Thread(target=sweeper.listen, args=(heard,), daemon=True).start()
    # It asks for a round as soon as it listens.
    assert heard.get(timeout=20) == 0.0
    with django_capture_on_commit_callbacks(execute=True):
        steps.enqueue(session, "poll", 1, steps.now() + timedelta(seconds=seconds))
    recorder.send(recorder.DUE_CHANNEL, 77.0)
    first = heard.get(timeout=20)
    assert first is not None
    assert (first <= seconds) is told
    assert told or first == 77.0


def test_the_next_moment_is_that_of_a_step_a_lease_or_a_message_that_was_lost(
    session: Session,
) -> None:
    now, second = steps.now(), timedelta(seconds=1)
    assert sweeper.next_moment(now) is None
    late = steps.enqueue(session, "poll", 1, now + 60 * second)
    assert sweeper.next_moment(now) == now + 60 * second
    leased = steps.enqueue(session, "poll", 2)
    Step.objects.filter(pk=leased.pk).update(state="leased", lease_until=now + 20 * second)
    assert sweeper.next_moment(now) == now + 20 * second
    # Sent to a worker four seconds ago, which has not claimed it: sent again after ten.
    Step.objects.filter(pk=late.pk).update(due_at=now - 5 * second, poked_at=now - 4 * second)
    assert sweeper.next_moment(now) == now + 6 * second
    # What is set aside or was handled in this round asks for no other one.
    Step.objects.filter(pk=late.pk).update(poked_at=now - 30 * second)
    Step.objects.filter(pk=leased.pk).update(lease_until=now - second)
    assert sweeper.next_moment(now) is None


def test_steps_that_only_wait_in_a_long_queue_are_not_sent_again(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_poker", [])
    monkeypatch.setattr(sending, "_message_count", [])
    messages: list[int] = []
    asked: list[str] = []

    def count(queue: str) -> int:
        asked.append(queue)
        return len(messages)

    sending.set_poker(lambda step, _queue: messages.append(step), count)
    waiting = [steps.enqueue(session, "narrate", subject, steps.now()).pk for subject in (1, 2, 3)]
    # The message of a worker that died is used up.
    abandoned = steps.enqueue(session, "narrate", 4, steps.now()).pk
    long_ago = steps.now() - timedelta(seconds=60)
    Step.objects.filter(pk__in=waiting).update(poked_at=long_ago)
    Step.objects.filter(pk=abandoned).update(
        state="leased", poked_at=long_ago, lease_until=long_ago + timedelta(seconds=20)
    )
    messages[:] = waiting
    assert sweeper.poke_overdue() == 1
    assert messages == [*waiting, abandoned]
    assert asked == ["host"]
    # A worker took a message and died before it claimed the step: one is missing.
    messages[:] = waiting[1:]
    assert sweeper.poke_overdue() == 3
    assert messages == [*waiting[1:], *waiting]
    # What was just sent is not sent again, whatever the queue holds.
    messages.clear()
    assert sweeper.poke_overdue() == 0
    # A worker's step that was sent after its lease ended can be lost, too.
    Step.objects.exclude(pk=abandoned).update(state="done")
    Step.objects.update(poked_at=long_ago + timedelta(seconds=30))
    messages[:] = [abandoned]
    assert sweeper.poke_overdue() == 0
    messages.clear()
    assert sweeper.poke_overdue() == 1


def test_a_database_that_is_away_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, calls: sweeper.Calls
) -> None:
    tries: list[float] = []

    def away_at_first(up: float) -> None:
        tries.append(up)
        if len(tries) == 1:
            raise OperationalError
        calls.put(None)

    monkeypatch.setattr(sweeper, "_rounds", [away_at_first])
    monkeypatch.setattr(sweeper, "_due", {})
    monkeypatch.setattr(isolation, "database_answers", lambda: len(tries) > 1)
    monkeypatch.setattr(sweeper, "LONGEST_PAUSE", 0.001)
    sweeper.run_forever(calls, every=0.001)
    assert len(tries) == 2
    assert any("sweep_failed" in str(record.msg) for record in caplog.records)


def test_a_clock_that_was_set_back_delays_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch, calls: sweeper.Calls
) -> None:
    # As an hour ago, before the clock was set back: one step waits for five minutes, one is at work.
    now, hour = steps.now(), timedelta(hours=1)
    waiting = steps.enqueue(session, "poll", 1, now + hour + timedelta(minutes=5))
    due = steps.enqueue(session, "poll", 2, now + hour)
    Step.objects.filter(pk=due.pk).update(poked_at=now + hour)
    leased = steps.enqueue(session, "poll", 3)
    Step.objects.filter(pk=leased.pk).update(state="leased", lease_until=now + hour)
    # Its worker died before the clock was set forward, and it was sent again after that.
    expired = steps.enqueue(session, "poll", 4)
    Step.objects.filter(pk=expired.pk).update(
        state="leased", lease_until=now - timedelta(seconds=5), poked_at=now + hour
    )
    moments = iter([now + hour, now])
    stops_in_round(monkeypatch, calls, 2, wish=0.001)
    monkeypatch.setattr(steps, "now", lambda: next(moments))
    sweeper.run_forever(calls, every=0.001)
    for step in (waiting, due, leased, expired):
        step.refresh_from_db()
    second = timedelta(seconds=1)
    assert abs(waiting.due_at - now - timedelta(minutes=5)) < second
    assert abs(due.due_at - now) < second
    assert due.poked_at is None or due.poked_at < now + hour
    assert leased.lease_until == now + timedelta(seconds=20)
    assert expired.poked_at is not None
    assert expired.poked_at < now + hour / 2


def test_the_time_that_a_query_takes_moves_no_step(session: Session) -> None:
    step = steps.enqueue(session, "poll", 1, steps.now() + timedelta(minutes=5))
    before = (time.monotonic(), steps.now() + timedelta(seconds=5))
    sweeper.follow_clock(before)
    assert Step.objects.get().due_at == step.due_at


def test_after_redis_started_empty_steps_are_sent_again_without_a_pause(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "_rounds", [])
    sweeper.note_round()
    waiting = steps.enqueue(session, "poll", 1)
    Step.objects.update(poked_at=steps.now())
    sweeper.note_round()
    # Its message is in Redis.
    assert sweeper.sweep() == 0
    cache.clear()
    sweeper.note_round()
    assert Step.objects.get(pk=waiting.pk).poked_at is None
    assert sweeper.sweep() == 1
