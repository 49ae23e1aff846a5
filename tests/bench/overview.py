"""How far the figures on an owner's page are behind the database at five stories a second."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from tests.bench.figure import Figure
from tests.endtoend.studio_process import Studio, running

STORIES, PER_SECOND = 100, 5
PATIENCE = 60


def measure(folder: Path) -> Iterator[Figure]:
    with running(folder / "var") as studio:
        lags = asyncio.run(_lags(studio, studio.create("Bench")))
    name = f"figures behind the database at {PER_SECOND} stories/s, worst of {STORIES}"
    yield Figure(name, max(lags), 1000, "ms")


async def _lags(studio: Studio, session: str) -> list[float]:
    """Milliseconds from a story's moment to the frame with the figures after it."""
    address = f"ws://127.0.0.1:{studio.port}/ws/sessions/{session}/?format=json"
    headers = {"Authorization": f"Bearer {studio.token}"}
    async with connect(address, additional_headers=headers, compression=None) as socket:
        telling = asyncio.create_task(asyncio.to_thread(_tell, studio, session))
        async with asyncio.timeout(PATIENCE):
            lags = [await _lag(socket, number) for number in range(1, STORIES + 1)]
        await telling
    return lags


def _tell(studio: Studio, session: str) -> None:
    script = f"from tests.bench.telling import tell\ntell({session!r}, {STORIES}, {PER_SECOND})"
    told = studio.manage("shell", "-c", script)
    assert told.returncode == 0, told.stderr


async def _lag(socket: ClientConnection, number: int) -> float:
    while True:
        frame = json.loads(await socket.recv())
        if frame["type"] == "story.written":
            assert frame["data"]["figures"]["story_count"] == number
            return 1000 * (time.time() - datetime.fromisoformat(frame["at"]).timestamp())
