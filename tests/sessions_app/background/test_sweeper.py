"""The sweeper calls every round, then pokes overdue steps; it survives a database outage."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import OperationalError

from sessions_app.background import isolation, steps, sweeper
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


def test_a_rule_that_is_in_no_hurry_is_called_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, rounds: list[float]
) -> None:
    rare: list[float] = []
    monkeypatch.setattr(sweeper, "_due", {})
    sweeper.register(rare.append, every=5)
    for up in (0.0, 1.0, 4.9, 5.0, 6.0, 9.9, 10.1):
        sweeper.sweep(up)
    assert rare == [0.0, 5.0, 10.1]
    assert rounds == [0.0, 1.0, 4.9, 5.0, 6.0, 9.9, 10.1]
    # A command that sweeps once calls all of them, as often as it is run.
    sweeper.sweep()
    sweeper.sweep()
    assert rare[3:] == [float("inf"), float("inf")]


def test_it_runs_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    ups: list[float] = []

    def third_time_stops(up: float) -> None:
        ups.append(up)
        if len(ups) == 3:
            stop.set()

    monkeypatch.setattr(sweeper, "_rounds", [third_time_stops])
    monkeypatch.setattr(sweeper, "close_old_connections", lambda: None)
    sweeper.run_forever(stop, every=0.001)
    assert ups == sorted(ups)
    assert len(ups) == 3


def test_a_database_that_is_away_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    tries: list[float] = []

    def away_at_first(up: float) -> None:
        tries.append(up)
        if len(tries) == 1:
            raise OperationalError
        stop.set()

    monkeypatch.setattr(sweeper, "_rounds", [away_at_first])
    monkeypatch.setattr(sweeper, "close_old_connections", lambda: None)
    monkeypatch.setattr(isolation, "database_answers", lambda: len(tries) > 1)
    sweeper.run_forever(stop, every=0.001)
    assert len(tries) == 2
    assert any("sweep_failed" in str(record.msg) for record in caplog.records)


def test_a_clock_that_was_set_back_delays_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
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
    stop = threading.Event()
    moments = iter([now + hour, now])
    rounds: list[float] = []

    def second_time_stops(up: float) -> None:
        rounds.append(up)
        if len(rounds) == 2:
            stop.set()

    monkeypatch.setattr(sweeper, "_rounds", [second_time_stops])
    monkeypatch.setattr(sweeper, "close_old_connections", lambda: None)
    monkeypatch.setattr(steps, "now", lambda: next(moments))
    sweeper.run_forever(stop, every=0.001)
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
    waiting = steps.enqueue(session, "poll", 1)
    Step.objects.update(poked_at=steps.now())
    sweeper.note_round()
    sweeper.note_round()
    # Its message is in Redis.
    assert sweeper.sweep() == 0
    cache.clear()
    sweeper.note_round()
    assert Step.objects.get(pk=waiting.pk).poked_at is None
    assert sweeper.sweep() == 1
