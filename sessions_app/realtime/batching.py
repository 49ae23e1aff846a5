"""Answers what many sockets ask at the same time with one call in a thread."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Generic, TypeVar

from channels.db import database_sync_to_async

K = TypeVar("K")
V = TypeVar("V")

# The keys that are asked, each with the context of the socket that asked first.
Asked = Mapping[K, Context]


def one_by_one(answer: Callable[[K], V]) -> Callable[[Asked[K]], dict[K, V | Exception]]:
    """Returns the function for a batcher that answers each key alone, in the context of its socket."""

    def answered(key: K, context: Context) -> V | Exception:
        try:
            return context.run(answer, key)
        except Exception as error:  # noqa: BLE001 - the batcher raises it where the key was asked
            return error

    return lambda asked: {key: answered(key, context) for key, context in asked.items()}


class Batcher(Generic[K, V]):
    """Collects keys while a call runs, and answers them all with the next one.

    ``answer`` gets the distinct keys and returns for each a value, or an exception to raise. It runs in
    a thread, with a database connection. If it raises, all who wait for it get the exception.
    """

    def __init__(self, answer: Callable[[Asked[K]], Mapping[K, V | Exception]]) -> None:
        self._answer = answer
        self._waiting: list[tuple[K, Context, asyncio.Future[V]]] = []
        self._task: asyncio.Task[None] | None = None
        # The context of the hub, because a call serves many sockets.
        self._context = contextvars.copy_context()

    async def ask(self, key: K) -> V:
        """Returns the value of a key as it is after this call."""
        # Each caller has a future of its own, so that one that is cancelled does not end the others.
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, contextvars.copy_context(), future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="batch", context=self._context)
        return await future

    def close(self) -> None:
        """Ends the task that answers; what still waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
        for _, _, future in self._waiting:
            future.cancel()

    async def _run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            asked = {key: context for key, context, _ in reversed(waiting)}
            try:
                answers = await database_sync_to_async(self._answer)(asked)
            except Exception as error:  # noqa: BLE001 - raised again where it was asked
                answers = dict.fromkeys(asked, error)
            for key, _, future in waiting:
                answer = answers[key]
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
