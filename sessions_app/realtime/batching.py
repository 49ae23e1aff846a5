"""Answers what many ask at the same time once: sockets, listeners, and threads of any request."""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

from channels.db import database_sync_to_async
from django.db import DatabaseError

from sessions_app import context

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S", bound=Hashable)

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


class Response(NamedTuple):
    """A response as ASGI has it, without the id of its request."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, wanted: bytes) -> bytes:
        return next((value for name, value in self.headers if name.lower() == wanted), b"")


# The headers of a request on which Django's answer depends: the host and the scheme are checked.
_GIVEN = (b"host", b"x-forwarded-proto")
# A request with one of these gets an answer of its own.
_OWN = frozenset((b"range", b"if-range", b"if-modified-since", b"upgrade"))
MOST_RESPONSES = 96


class OneResponse(Generic[S]):
    """ASGI middleware for HTTP: Django answers a GET once for all who ask for the same address.

    ``states`` gets the first groups of addresses and returns for each what its responses depend on, or
    None if there are none to share. It is called once for all requests that wait meanwhile. A response
    that may be cached by all ("public") is sent again while the state is the same, so it is never older
    than the request. ``on_sent`` is called in a thread, a second later, with the number of those that
    Django was not asked for.
    """

    def __init__(
        self,
        application: Any,
        addresses: re.Pattern[str],
        states: Callable[[Asked[str]], Mapping[str, S | None]],
        on_sent: Callable[[re.Match[str], S, int], None],
    ) -> None:
        self.application = application
        self._addresses, self._on_sent = addresses, on_sent
        self._states: Batcher[str, S | None] = Batcher(states)
        self._responses: OrderedDict[Hashable, asyncio.Task[Response]] = OrderedDict()
        self._sent: Counter[tuple[str, S]] = Counter()
        self._noting: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        match = self._addresses.fullmatch(scope["path"]) if scope["method"] == "GET" else None
        if match is None:
            await self.application(scope, receive, send)
            return
        headers, state = dict(scope["headers"]), None
        if _OWN.isdisjoint(headers):
            # A database that does not answer is reported by Django.
            with suppress(DatabaseError):
                state = await self._states.ask(match[1])
        if state is None:
            await self.application(scope, receive, send)
            return
        given = tuple((name, headers[name]) for name in _GIVEN if name in headers)
        key = (scope["path"], scope.get("scheme"), given, state)
        first = key not in self._responses
        if first:
            # A task of its own: the client who asks first may leave while others wait.
            task = asyncio.create_task(self._ask(scope, given), context=Context())
            self._responses[key] = task
            task.add_done_callback(lambda done: self._store(key, done))
        response = await asyncio.shield(self._responses[key])
        if response.status == 200 and not first:
            self._sent[scope["path"], state] += 1
            if self._noting is None or self._noting.done():
                self._noting = asyncio.create_task(self._note(), context=Context())
        tag = response.header(b"etag")
        own = [(b"X-Request-ID", context.new_id().encode())]
        if tag and headers.get(b"if-none-match") == tag:
            of_body = (b"content-length", b"content-type")
            own += [header for header in response.headers if header[0].lower() not in of_body]
            response = Response(304, [], b"")
        start = {"type": "http.response.start", "status": response.status}
        await send({**start, "headers": response.headers + own})
        await send({"type": "http.response.body", "body": response.body})

    async def _ask(self, scope: Any, given: tuple[tuple[bytes, bytes], ...]) -> Response:
        """Lets Django answer the request as if nothing but the address was asked."""
        sent: list[dict[str, Any]] = []
        request = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> dict[str, Any]:
            # The second call waits for the end of the connection, until Django has answered.
            return request.pop() if request else await asyncio.Future()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        plain = {**scope, "query_string": b"", "headers": list(given)}
        await self.application(plain, receive, send)
        headers = [header for header in sent[0]["headers"] if header[0].lower() != b"x-request-id"]
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Response(sent[0]["status"], headers, body)

    async def _note(self) -> None:
        await asyncio.sleep(1)
        sent = self._sent.copy()
        self._sent.clear()
        for (path, state), count in sent.items():
            if match := self._addresses.fullmatch(path):
                await asyncio.to_thread(self._on_sent, match, state, count)

    def _store(self, key: Hashable, done: asyncio.Task[Response]) -> None:
        """Stores a response that all may have; any other one was for those who waited for it."""
        failed = done.cancelled() or done.exception() is not None
        if failed or b"public" not in done.result().header(b"cache-control"):
            self._responses.pop(key, None)
        while len(self._responses) > MOST_RESPONSES:
            self._responses.popitem(last=False)


class SingleFlight(Generic[V]):
    """Values that are costly to make, made once for all threads that ask at the same time.

    Stores the ``most`` values made last; an error is raised to all who wait and is not stored.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._asked: dict[Hashable, Future[V]] = {}
        self._storing = Lock()

    def stored(self, key: Hashable) -> V | None:
        """Returns the value if it was made."""
        return self._values.get(key)

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Returns the stored value, or calls ``make`` while other threads wait for its result."""
        if (value := self.stored(key)) is not None:
            return value
        own: Future[V] = Future()
        # One operation of the dictionary, so that of two threads one makes the value.
        asked = self._asked.setdefault(key, own)
        if asked is not own:
            return asked.result()
        try:
            # Another thread may have ended between the look above and this one's turn.
            if (value := self.stored(key)) is None:
                value = make()
                with self._storing:
                    self._values[key] = value
                    while len(self._values) > self.most:
                        self._values.popitem(last=False)
            own.set_result(value)
        except BaseException as error:
            own.set_exception(error)
            raise
        finally:
            del self._asked[key]
        return value
