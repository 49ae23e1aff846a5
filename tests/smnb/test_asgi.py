"""Requests under ASGI: each in one thread, of which few keep a database connection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.core.signals import request_finished, request_started
from django.db import OperationalError, close_old_connections, connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from smnb.asgi import FEW, Handler, use_own_connection
from smnb.env import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

postgres_only = pytest.mark.skipif(
    "os.environ.get('SMNB_TEST_DATABASE') != 'postgres'", reason="SQLite has no pool."
)


class Visit:
    """A GET by a client that leaves when ``leaves`` is set; ``sent`` is what it was sent."""

    def __init__(self, path: str) -> None:
        self.scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        self.sent: list[dict[str, Any]] = []
        self.leaves = asyncio.Event()
        self._asked = False

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def to(self, handler: Handler) -> None:
        await handler(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


async def test_all_of_a_request_happens_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def note(**_: object) -> None:
        threads.append(threading.current_thread().name)

    async def changes(*_: object, **__: object) -> None:
        raise AssertionError("the request changes threads")

    monkeypatch.setattr(SyncToAsync, "__call__", changes)
    request_started.connect(note)
    request_finished.connect(note)
    try:
        await (visit := Visit("/login/")).to(Handler())
    finally:
        request_started.disconnect(note)
        request_finished.disconnect(note)
    assert visit.status == 200
    assert b"</html>" in visit.body
    assert [name.startswith("request") for name in threads] == [True, True]
    assert len(set(threads)) == 1


async def test_a_static_file_arrives_whole() -> None:
    await (visit := Visit("/static/css/base.css")).to(Handler())
    assert visit.status == 200
    assert visit.body == (ROOT / "static/css/base.css").read_bytes()


async def test_of_many_requests_at_once_few_keep_their_connection() -> None:
    together, used = threading.Barrier(FEW + 3), list[Any]()

    class Busy(Handler):
        def get_response(self, request: HttpRequest) -> HttpResponseBase:
            connection = connections["default"]
            connection.ensure_connection()
            connection.inc_thread_sharing()
            used.append(connection)
            together.wait(60)
            return HttpResponse("x")

    handler = Busy()
    for _ in range(2):
        visits = [Visit("/") for _ in range(FEW + 3)]
        await asyncio.gather(*(visit.to(handler) for visit in visits))
        assert [visit.body for visit in visits] == [b"x"] * (FEW + 3)
    still_open = {id(each) for each in used if each.connection is not None}
    assert len(still_open) == FEW
    for each in used:
        await asyncio.to_thread(each.close)


@pytest.mark.databases
@postgres_only
def test_the_hub_reads_while_requests_hold_all_connections_of_the_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = connections["default"].settings_dict
    pooled = {**own["OPTIONS"], "pool": {"min_size": 1, "max_size": 1, "timeout": 0.5}}
    # Threads that begin from here on have the pool; the one of the test keeps its connection.
    monkeypatch.setitem(connections.settings, "default", {**own, "OPTIONS": pooled})

    def backend() -> int:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])

    def last_request() -> None:
        connections.close_all()
        pooled_connection: Any = connections["default"]
        pooled_connection.close_pool()

    with (
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(1) as another,
        ThreadPoolExecutor(1, "hub", use_own_connection) as hub,
    ):
        held = one.submit(backend).result()
        with pytest.raises(OperationalError):
            another.submit(backend).result()
        read = [hub.submit(close_old_connections) and hub.submit(backend).result() for _ in "123"]
        # The same one each time, and none of the pool.
        assert len({held, *read}) == 2
        one.submit(connections.close_all).result()
        assert another.submit(backend).result() == held
        hub.submit(connections.close_all).result()
        another.submit(last_request).result()


async def test_an_endless_response_ends_when_its_client_leaves() -> None:
    ended = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)
        finally:
            ended.append(True)

    class Endless(Handler):
        def get_response(self, request: HttpRequest) -> HttpResponseBase:
            return StreamingHttpResponse(endless())

    visit = Visit("/")
    visiting = asyncio.create_task(visit.to(Endless()))
    while len(visit.sent) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    visit.leaves.set()
    await asyncio.wait_for(visiting, 60)
    assert ended == [True]
