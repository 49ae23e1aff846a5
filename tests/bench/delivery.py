"""From a story's commit to the frame at each of 50 viewers of one web process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from websockets.asyncio.client import connect

from tests.bench.figure import Figure, percentile
from tests.endtoend.studio_process import Studio, running

VIEWERS = 50
STORIES = 30
PATIENCE = 120


def measure(folder: Path) -> Iterator[Figure]:
    with running(folder / "var", SMNB_POLL_SECONDS="1") as studio:
        session = studio.create(
            "Bench", {"kind": "recording", "locator": "demo"}, pace=0, model="extractive"
        )
        lags = asyncio.run(_lags(studio, session))
    yield Figure(f"commit to frame, {VIEWERS} viewers, p50", percentile(lags, 0.5), 250, "ms")
    yield Figure(f"commit to frame, {VIEWERS} viewers, p99", percentile(lags, 0.99), 250, "ms")


async def _lags(studio: Studio, session: str) -> list[float]:
    ready = asyncio.Barrier(VIEWERS + 1)
    viewers = [asyncio.create_task(_view(studio, session, ready)) for _ in range(VIEWERS)]
    await ready.wait()
    await asyncio.to_thread(studio.command, session, "start")
    found = await asyncio.wait_for(asyncio.gather(*viewers), PATIENCE)
    return [lag for lags in found for lag in lags]


async def _view(studio: Studio, session: str, ready: asyncio.Barrier) -> list[float]:
    """Milliseconds between an event's moment, taken just before its commit, and its arrival."""
    lags: list[float] = []
    address = f"ws://127.0.0.1:{studio.port}/ws/sessions/{session}/?format=json"
    headers = {"Authorization": f"Bearer {studio.token}"}
    async with connect(address, additional_headers=headers, compression=None) as socket:
        await ready.wait()
        async for text in socket:
            arrived = time.time()
            frame = json.loads(text)
            if frame["type"] == "story.written":
                written = datetime.fromisoformat(frame["at"]).timestamp()
                lags.append(1000 * (arrived - written))
                if len(lags) == STORIES:
                    break
    return lags
