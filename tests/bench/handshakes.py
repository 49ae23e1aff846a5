"""A thousand sockets that connect at once and ask for what they missed, beside plain websockets.

They do so once more together when the web process was killed and has started again.
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tests.bench.figure import Figure
from tests.endtoend.studio_process import Studio, running

SOCKETS = 1000
PATIENCE = 120
ASK = '{"after":0}'


def raise_open_files() -> None:
    """Both ends of each connection are open files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))


def measure(folder: Path) -> Iterator[Figure]:
    raise_open_files()
    with running(folder / "var", SMNB_LIMIT_PUBLIC_SOCKETS="0") as studio:
        session = studio.create("Bench", {"kind": "recording", "locator": "demo"})
        shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
        host = f"ws://127.0.0.1:{studio.port}"
        token = {"Authorization": f"Bearer {studio.token}"}
        watched = f"{host}/ws/watch/{shown['watch_url'].split('/watch/')[1]}?format=json"
        # The audience has something to miss.
        studio.command(session, "start")
        studio.wait_stories(session, 1)
        plain = asyncio.run(_plain())
        owners = asyncio.run(_burst(f"{host}/ws/sessions/{session}/?format=json", token))
        public = asyncio.run(_burst(watched, {}))
        recovered, errors = asyncio.run(_storm(studio, watched))
    yield Figure(f"{SOCKETS} handshakes of plain websockets", plain[0], 10, "s")
    for who, (opened, answered) in (("owner", owners), ("public", public)):
        yield Figure(f"{SOCKETS} {who} handshakes", opened, 3, "s")
        yield Figure(f"{SOCKETS} {who} sockets with what they missed", opened + answered, 5, "s")
        yield Figure(f"{who} handshakes, times plain websockets", opened / plain[0], 8, "x")
    yield Figure(f"{SOCKETS} sockets back after a restart of web", recovered, 5, "s")
    yield Figure("responses 5xx meanwhile", errors, 0, "")


async def _plain() -> tuple[float, float]:
    async def answer(socket: ServerConnection) -> None:
        async for text in socket:
            await socket.send(text)

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        return await _burst(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {})


async def _burst(url: str, headers: dict[str, str]) -> tuple[float, float]:
    """Seconds until all sockets are open, and until each then has an answer to what it asks."""

    async def ask(socket: ClientConnection) -> None:
        await socket.send(ASK)
        await asyncio.wait_for(socket.recv(), PATIENCE)

    async def opened() -> ClientConnection:
        return await connect(
            url, additional_headers=headers, compression=None, open_timeout=PATIENCE
        )

    began = time.perf_counter()
    sockets = await asyncio.gather(*(opened() for _ in range(SOCKETS)))
    connected = time.perf_counter()
    await asyncio.gather(*map(ask, sockets))
    answered = time.perf_counter()
    await asyncio.gather(*(socket.close() for socket in sockets))
    return connected - began, answered - connected


async def _storm(studio: Studio, url: str) -> tuple[float, int]:
    """Kills web; seconds from when it listens again until each socket has an answer, and 5xx."""
    errors, opened = 0, asyncio.Barrier(SOCKETS + 1)

    async def ask() -> None:
        async with connect(url, compression=None, open_timeout=PATIENCE) as client:
            await client.send(ASK)
            await asyncio.wait_for(client.recv(), PATIENCE)

    async def follow() -> None:
        nonlocal errors
        async with connect(url, compression=None, open_timeout=PATIENCE) as client:
            await opened.wait()
            await client.wait_closed()
        while True:
            try:
                return await ask()
            except InvalidStatus as refused:
                errors += refused.response.status_code >= 500
            except (OSError, EOFError, ConnectionClosed, InvalidHandshake):
                pass
            await asyncio.sleep(random.uniform(0.1, 0.3))

    async def wait_until(listens: bool) -> None:
        while True:
            with socket.socket() as probe:
                if (probe.connect_ex(("127.0.0.1", studio.port)) == 0) == listens:
                    return
            await asyncio.sleep(0.02)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        sockets = [group.create_task(follow()) for _ in range(SOCKETS)]
        await opened.wait()
        [web] = [pid for pid, line in studio.children().items() if "daphne" in line]
        os.kill(web, signal.SIGKILL)
        # The killed process listens for another moment.
        await wait_until(False)
        await wait_until(True)
        began = time.perf_counter()
        await asyncio.wait(sockets)
    return time.perf_counter() - began, errors
