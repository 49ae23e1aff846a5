"""Sockets that ask at the same time are answered together, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import pytest

from sessions_app import context
from sessions_app.realtime.batching import Batcher, one_by_one

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_is_asked_while_a_call_runs_is_answered_by_the_next_one() -> None:
    calls: list[list[int]] = []
    begun, free = threading.Event(), threading.Event()

    def answer(asked: Mapping[int, object]) -> dict[int, str]:
        calls.append(sorted(asked))
        begun.set()
        if len(calls) == 1:
            assert free.wait(60)
        return {key: f"answer {key}" for key in asked}

    batcher: Batcher[int, str] = Batcher(answer)
    first = asyncio.create_task(batcher.ask(1))
    assert await asyncio.to_thread(begun.wait, 60)
    others = [asyncio.create_task(batcher.ask(key)) for key in (2, 3, 3, 1)]
    await asyncio.sleep(0)
    free.set()
    assert await first == "answer 1"
    assert await asyncio.gather(*others) == ["answer 2", "answer 3", "answer 3", "answer 1"]
    assert calls == [[1], [1, 2, 3]]


async def test_a_key_that_fails_does_not_fail_the_others() -> None:
    def answer(key: int) -> float:
        return 1 / key

    batcher = Batcher(one_by_one(answer))
    found = await asyncio.gather(*(batcher.ask(key) for key in (0, 2)), return_exceptions=True)
    assert isinstance(found[0], ZeroDivisionError)
    assert found[1] == 0.5


async def test_each_key_is_answered_in_the_context_of_its_socket() -> None:
    def answer(key: str) -> object:
        return context.current().get("request")

    batcher = Batcher(one_by_one(answer))

    async def ask(key: str) -> object:
        with context.scope(request=key):
            return await batcher.ask(key)

    assert list(await asyncio.gather(ask("one"), ask("two"))) == ["one", "two"]


async def test_a_call_that_fails_fails_for_all_that_wait_and_for_none_later() -> None:
    outcomes = [ConnectionError(), None]

    def answer(asked: Mapping[int, object]) -> dict[int, int]:
        if outcome := outcomes.pop(0):
            raise outcome
        return dict.fromkeys(asked, 1)

    batcher: Batcher[int, int] = Batcher(answer)
    found = await asyncio.gather(batcher.ask(1), batcher.ask(2), return_exceptions=True)
    assert [type(each) for each in found] == [ConnectionError, ConnectionError]
    assert await batcher.ask(1) == 1


async def test_a_socket_that_leaves_does_not_take_the_answer_of_another_along() -> None:
    def answer(key: int) -> int:
        return key

    batcher = Batcher(one_by_one(answer))
    leaving, staying = (asyncio.create_task(batcher.ask(1)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 1
