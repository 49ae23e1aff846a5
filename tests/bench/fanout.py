"""Frames to 1,000 viewers by daphne and by uvicorn, beside plain websockets in the same run.

Five events a second show the delay; many events of one transaction show how much a process carries.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.server import ServerConnection, broadcast, serve

from tests.bench.figure import Figure, percentile
from tests.bench.handshakes import raise_open_files
from tests.endtoend.studio_process import ROOT, Studio, running, served_by_uvicorn

VIEWERS = int(os.environ.get("VIEWERS", "1000"))
EVENTS, PAUSE, BURST = 50, 0.2, 200
PATIENCE = 60
TEXT = "It is so. " * 45  # an event of about 1 kB

# Records events as any process of the studio does; prints the seq and time of each commit.
WRITER = """
import sys, time, django
django.setup()
from django.db import transaction
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent
session, text = Session.objects.get(pk=sys.argv[1]), sys.argv[2]
for line in sys.stdin:
    count, together, pause = line.split()
    for _ in range(int(count)):
        with transaction.atomic():
            for _ in range(int(together)):
                recorder.add_message(session, "system", text)
            at = time.time()
        print(SessionEvent.objects.filter(session=session).latest("seq").seq, at, flush=True)
        time.sleep(float(pause))
    print(flush=True)
"""


@dataclass(eq=False)
class Client(asyncio.Protocol):
    """An open socket that notes what arrives and when, and nothing else, to leave time to the server."""

    request: bytes
    opened: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    chunks: list[tuple[float, bytes]] = field(default_factory=list)
    received: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            self.chunks.append((time.time(), data))
            self.received += len(data)
        elif b"\r\n\r\n" in data:
            assert b" 101 " in data, data
            self.opened.set_result(None)
            _, rest = data.split(b"\r\n\r\n", 1)
            if rest:
                self.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed"))

    def frames(self) -> list[tuple[float, bytes]]:
        """Returns each message with the moment at which its last byte arrived."""
        found: list[tuple[float, bytes]] = []
        data = bytearray()
        for at, chunk in self.chunks:
            data += chunk
            while len(data) >= 2:
                size, begins = data[1] & 127, 2
                if size == 126:
                    size, begins = int.from_bytes(data[2:4], "big"), 4
                elif size == 127:
                    size, begins = int.from_bytes(data[2:10], "big"), 10
                if len(data) < begins + size:
                    break
                if data[0] == 0x81:
                    found.append((at, bytes(data[begins : begins + size])))
                del data[: begins + size]
        return found


@dataclass
class Target:
    """A server with the address of its sockets, and the processes that serve them."""

    ports: list[int]
    path: str
    headers: str
    pids: list[int]
    events: subprocess.Popen[str]

    def order(self, count: int, together: int, pause: float) -> dict[int, float]:
        """Has events recorded; returns the moment of each seq, or of the last of a transaction."""
        assert self.events.stdin is not None
        assert self.events.stdout is not None
        self.events.stdin.write(f"{count} {together} {pause}\n")
        self.events.stdin.flush()
        lines = iter(self.events.stdout.readline, "\n")
        return {int(seq): float(at) for seq, at in (line.split() for line in lines)}

    def processor_seconds(self) -> float:
        fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1] for pid in self.pids]
        ticks = sum(int(each.split()[11]) + int(each.split()[12]) for each in fields)
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids)
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Outcome:
    delays: list[float]
    per_second: float
    per_processor_second: float
    bytes_each: float


async def watched(target: Target) -> Outcome:
    loop = asyncio.get_running_loop()
    key = b64encode(os.urandom(16)).decode()
    request = (
        f"GET {target.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"{target.headers}\r\n"
    ).encode()
    clients = [Client(request) for _ in range(VIEWERS)]

    async def open_(number: int) -> None:
        client, port = clients[number], target.ports[number % len(target.ports)]
        await loop.create_connection(lambda: client, "127.0.0.1", port)
        await client.opened

    for number in range(20):
        await open_(number)
    before = target.memory()
    for first in range(20, VIEWERS, 100):
        await asyncio.gather(*map(open_, range(first, min(first + 100, VIEWERS))))
    await asyncio.sleep(2)
    await _sent(target, clients, 5, 1, PAUSE)
    grown = (target.memory() - before) / (VIEWERS - 20)
    moments = await _sent(target, clients, EVENTS, 1, PAUSE)
    delays = [
        1000 * (at - moments[seq])
        for client in clients
        for (at, _), seq in zip(client.frames()[5:], sorted(moments), strict=True)
    ]
    used = target.processor_seconds()
    moments = await _sent(target, clients, 1, BURST, 0)
    seconds = max(client.chunks[-1][0] for client in clients) - max(moments.values())
    used = target.processor_seconds() - used
    for client in clients:
        client.transport.close()
    delivered = BURST * VIEWERS
    return Outcome(delays, delivered / seconds, delivered / used, grown)


async def _sent(
    target: Target, clients: list[Client], count: int, together: int, pause: float
) -> dict[int, float]:
    """Waits until all clients have as many bytes as the first, which has all the frames."""
    had = len(clients[0].frames())
    moments = await asyncio.to_thread(target.order, count, together, pause)
    async with asyncio.timeout(PATIENCE):
        while len(clients[0].frames()) < had + count * together:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        while {client.received for client in clients} != {clients[0].received}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert all(len(client.frames()) == had + count * together for client in clients[:10])
    return moments


@contextmanager
def writing(studio: Studio, session: str) -> Iterator[subprocess.Popen[str]]:
    """A process that records events of the session when it is asked to."""
    env = {**studio.env, "DJANGO_SETTINGS_MODULE": "smnb.settings"}
    command = [sys.executable, "-c", WRITER, session, TEXT]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stdin=pipe, stdout=pipe, stderr=nowhere
    ) as process:
        yield process
        process.terminate()


@contextmanager
def plain() -> Iterator[Target]:
    """Plain websockets with the same events, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.fanout"]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Target([port], "/", "", [process.pid], process)
        process.terminate()


def measure(folder: Path) -> Iterator[Figure]:
    raise_open_files()
    with running(folder / "var") as studio, ExitStack() as stack:
        session = studio.create("Bench", {"kind": "recording", "locator": "demo"})
        token = f"Authorization: Bearer {studio.token}\r\n"
        events = stack.enter_context(writing(studio, session))
        [daphne] = [pid for pid, line in studio.children().items() if "daphne" in line]
        first, second = (stack.enter_context(served_by_uvicorn(studio)) for _ in range(2))
        limit = stack.enter_context(plain())
        path = f"/ws/sessions/{session}/"
        servers = {"daphne": (studio.port, daphne, 4.0, 0.4)}
        servers["uvicorn"] = (first[0].port, first[1], 1.5, 0.75)
        limits = [asyncio.run(watched(limit))]
        found: dict[str, Outcome] = {}
        for name, (port, pid, *_) in servers.items():
            for format_ in ("json", "html"):
                target = Target([port], f"{path}?format={format_}", token, [pid], events)
                found[f"{name}, {format_}"] = asyncio.run(watched(target))
        ports, pids = [first[0].port, second[0].port], [first[1], second[1]]
        both = asyncio.run(watched(Target(ports, f"{path}?format=json", token, pids, events)))
        # Twice, as other work of the machine only makes it slower.
        limits.append(asyncio.run(watched(limit)))
    best_p99 = min(percentile(each.delays, 0.99) for each in limits)
    most = max(each.per_second for each in limits)
    for each in limits:
        yield from _of("plain websockets", each)
    for label, outcome in found.items():
        *_, slower, share = servers[label.partition(",")[0]]
        yield from _of(label, outcome)
        late = percentile(outcome.delays, 0.99) / best_p99
        yield Figure(f"{label}: p99, times plain websockets", late, slower, "x")
        carried = most / outcome.per_second
        yield Figure(f"{label}: plain carries, times as much", carried, 1 / share, "x")
        yield Figure(f"{label}: memory of a viewer", outcome.bytes_each / 1000, 40, "kB")
    cost = found["uvicorn, json"].per_processor_second / both.per_processor_second
    yield Figure("processor time of two processes, times that of one", cost, 2 / 1.7, "x")


def _of(name: str, found: Outcome) -> Iterator[Figure]:
    """The figures without a bound."""
    for share in (0.5, 0.99):
        delay = percentile(found.delays, share)
        yield Figure(f"{name}: delay, p{100 * share:g}", delay, float("inf"), "ms")
    yield Figure(f"{name}: frames a second", found.per_second, float("inf"), "")


async def _serve_plain() -> None:
    """Sends JSON of the same size to all sockets, as each line of the standard input orders."""

    async def ignore(socket: ServerConnection) -> None:
        sockets.add(socket)
        await socket.wait_closed()
        sockets.discard(socket)

    sockets: set[ServerConnection] = set()
    seq = 0
    async with serve(ignore, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            count, together, pause = line.split()
            for _ in range(int(count)):
                at = time.time()
                for _ in range(int(together)):
                    seq += 1
                    broadcast(sockets, json.dumps({"seq": seq, "data": TEXT * 2}))
                    await asyncio.sleep(0)
                print(seq, at, flush=True)
                await asyncio.sleep(float(pause))
            print(flush=True)


if __name__ == "__main__":
    asyncio.run(_serve_plain())
