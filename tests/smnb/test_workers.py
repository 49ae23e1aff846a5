"""The children of a worker: started when a message needs one, and ended when none did for a while."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, signals
from celery.concurrency import get_implementation
from celery.worker import state
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from kombu.asynchronous import Hub

from sessions_app.background.sending import NotSent
from smnb import celery
from smnb.celery import AnswerReader, OnDemand, PromptPool, app, use_no_pool
from smnb.settings import database


class Pool:
    """Counts processes as Celery's pool does."""

    def __init__(self) -> None:
        self.num_processes = 0
        self.started = 0

    def grow(self, number: int) -> None:
        self.num_processes += number

    def shrink(self, number: int) -> None:
        self.num_processes -= number

    def maintain_pool(self) -> None:
        """Starts what is missing; without it a new child would only start after seconds."""
        self.started = max(self.started, self.num_processes)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """The messages that the worker has received and not yet confirmed."""
    found: set[Any] = set()
    monkeypatch.setattr(state, "reserved_requests", found)
    return found


def receive(scaler: OnDemand, messages: set[Any]) -> object:
    message = object()
    messages.add(message)
    scaler.maybe_scale(message)
    return message


def test_a_message_starts_a_child_at_once_unless_one_is_free(messages: set[Any]) -> None:
    pool = Pool()
    scaler = OnDemand(pool, 2, 0)
    assert (pool.num_processes, pool.started) == (0, 0)
    first = receive(scaler, messages)
    assert (pool.num_processes, pool.started) == (1, 1)
    messages.remove(first)
    receive(scaler, messages)
    assert pool.num_processes == 1
    receive(scaler, messages)
    receive(scaler, messages)
    # Two at most, however many messages there are.
    assert (pool.num_processes, pool.started) == (2, 2)


def test_the_timer_ends_the_children_that_nothing_needed_since_it_last_called(
    messages: set[Any],
) -> None:
    pool = Pool()
    scaler = OnDemand(pool, 4, 0)
    for _ in range(3):
        receive(scaler, messages)
    scaler.maybe_scale()
    # All three are at work.
    assert pool.num_processes == 3
    messages.clear()
    receive(scaler, messages)
    messages.clear()
    scaler.maybe_scale()
    # Three were needed in this half minute, but in the next one only one.
    assert pool.num_processes == 3
    receive(scaler, messages)
    messages.clear()
    scaler.maybe_scale()
    assert pool.num_processes == 1
    scaler.maybe_scale()
    assert pool.num_processes == 0


def test_none_ends_while_one_is_at_work(messages: set[Any]) -> None:
    pool = Pool()
    scaler = OnDemand(pool, 4, 0)
    receive(scaler, messages)
    other = receive(scaler, messages)
    messages.remove(other)
    scaler.maybe_scale()
    scaler.maybe_scale()
    # The idle one cannot be told from one that is about to begin.
    assert pool.num_processes == 2


def test_a_worker_uses_no_pool_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = database("postgresql://u@db.example/news", Path("/data"), 8)
    usual = connections.settings["default"]
    monkeypatch.setitem(connections.settings, "default", {**usual, **pooled})
    receivers = [receiver() for _, receiver in signals.worker_init.receivers]
    assert use_no_pool in receivers
    use_no_pool()
    worker = DatabaseWrapper(connections.settings["default"])
    assert worker.pool is None
    assert worker.get_connection_params()["host"] == "db.example"


def test_the_workers_use_it() -> None:
    assert app.conf.worker_autoscaler == "smnb.celery:OnDemand"


def test_a_child_that_cannot_be_waited_for_yet_is_looked_at_again_at_once() -> None:
    """The kernel closes the pipe of a dying child before its parent can wait for the child."""

    class Hub:
        later: list[tuple[float, Any, tuple[Any, ...]]] = []

        def call_later(self, seconds: float, function: Any, *arguments: Any) -> None:
            self.later.append((seconds, function, arguments))

    class DyingPool(PromptPool):
        looks = 0

        def __init__(self) -> None:
            self._pool = [child]

        def maintain_pool(self) -> None:
            self.looks += 1
            if self.looks == 3:
                self._pool.clear()

    child = object()
    pool, hub = DyingPool(), Hub()
    pool._event_process_exit(hub, child)
    # Not while the events of a round are handled: other pipes would get their numbers.
    assert pool.looks == 0
    while hub.later:
        seconds, function, arguments = hub.later.pop()
        assert seconds < 0.1
        function(*arguments)
    assert pool.looks == 3
    # One that never ends is left to the timer of Celery.
    stuck = DyingPool()
    stuck.looks = 3
    stuck._event_process_exit(hub, child)
    while hub.later:
        _, function, arguments = hub.later.pop()
        function(*arguments)
    assert stuck.looks == 54


def test_workers_use_the_pool_that_looks_again() -> None:
    pool = get_implementation(app.conf.worker_pool)
    assert (pool.Pool, pool.Pool.ResultHandler) == (PromptPool, AnswerReader)


def event_loop() -> Any:
    return Hub()  # type: ignore[no-untyped-call]


def test_a_message_replaces_no_child_while_events_are_handled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maintained: list[str] = []
    monkeypatch.setattr(PromptPool, "maintain_pool", lambda pool: maintained.append("now"))
    pool = object.__new__(PromptPool)
    pool._event_loop = event_loop()
    pool.maintain_soon()
    assert maintained == []
    pool._event_loop.fire_timers()
    assert maintained == ["now"]


@pytest.mark.timeout(20)
def test_the_number_of_a_closed_pipe_is_read_from_no_other_one() -> None:
    """The reader of answers would wait for ever for what another pipe never says."""
    hub = event_loop()
    read_end, write_end = os.pipe()
    answers = object.__new__(AnswerReader)
    answers.fileno_to_outq, answers.on_state_change = {read_end: object()}, None
    answers.register_with_event_loop(hub)
    hub.add_reader(read_end, answers.handle_event, read_end)
    assert read_end in hub.readers
    answers.handle_event(read_end)
    assert read_end not in hub.readers
    os.close(read_end)
    answers.handle_event(read_end)
    os.close(write_end)
    hub.close()


def test_pipes_that_are_destroyed_leave_no_numbers_behind() -> None:
    pool = object.__new__(PromptPool)
    pool.synack, pool._waiting_to_start = True, set()
    pool.hub_remove = pool.on_inqueue_close = lambda *_: None
    queues = pool.create_process_queues()
    pool._queues = {queues: None}
    requests, answers, receipts = queues

    class Child:
        def __init__(self, **numbers: int) -> None:
            vars(self).update(numbers)

        def _is_alive(self) -> bool:
            return False

    numbers = {
        "inqW_fd": requests._writer.fileno(),
        "outqR_fd": answers._reader.fileno(),
        "synqW_fd": receipts._writer.fileno(),
    }
    child, other = Child(**numbers), Child(**numbers)
    pool._fileno_to_outq = {numbers["outqR_fd"]: child}
    # Another child has this number already.
    pool._fileno_to_synq = {numbers["synqW_fd"]: other}
    assert pool.destroy_queues(queues, child) == 1
    assert pool._fileno_to_outq == {}
    assert pool._fileno_to_synq == {numbers["synqW_fd"]: other}
    assert answers._reader.closed


def test_the_messages_that_no_worker_has_taken_are_counted() -> None:
    queue = f"counted-{os.getpid()}"
    assert celery.message_count(queue) == 0
    celery.send(1, queue)
    celery.send(2, queue)
    assert celery.message_count(queue) == 2
    with app.connection_for_write() as broker:
        broker.default_channel.client.delete(queue)


def test_without_a_broker_no_messages_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery, "app", Celery(broker="redis://127.0.0.1:1/0"))
    with pytest.raises(NotSent):
        celery.message_count("host")
