"""The children of a worker: started when a message needs one, and ended when none did for a while."""

from __future__ import annotations

from typing import Any

import pytest
from celery.worker import state

from smnb.celery import OnDemand, app


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


def test_the_workers_use_it() -> None:
    assert app.conf.worker_autoscaler == "smnb.celery:OnDemand"
