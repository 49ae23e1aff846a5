"""A thousand sockets that connect at once and ask for what they missed, beside plain websockets."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from tests.bench.figure import Figure
from tests.endtoend.studio_process import running

SOCKETS = 1000
PATIENCE = 120
ASK = '{"after":0}'


def measure(folder: Path) -> Iterator[Figure]:
    # Both ends of each connection are open files.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
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
    yield Figure(f"{SOCKETS} handshakes of plain websockets", plain[0], 10, "s")
    for who, (opened, answered) in (("owner", owners), ("public", public)):
        yield Figure(f"{SOCKETS} {who} handshakes", opened, 3, "s")
        yield Figure(f"{SOCKETS} {who} sockets with what they missed", opened + answered, 5, "s")
        yield Figure(f"{who} handshakes, times plain websockets", opened / plain[0], 8, "x")


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
