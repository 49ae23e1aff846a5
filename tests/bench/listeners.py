"""500 listeners of the HLS address of one audio stream: how long a segment takes, and what it costs.

Each of them asks for the playlist every six seconds, as players do, and for the newest segment.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure, percentile
from tests.bench.handshakes import raise_open_files
from tests.endtoend.studio_process import Studio, migrated, running

LISTENERS = int(os.environ.get("LISTENERS", "500"))
SECONDS, EVERY = 36, 6.0


async def get(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str
) -> tuple[float, bytes]:
    """Asks on an open connection; returns how long the answer took in ms, and its body."""
    began = time.monotonic()
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head[:100]
    length = re.search(rb"content-length: (\d+)", head.lower())
    assert length, head
    body = await reader.readexactly(int(length[1]))
    return 1000 * (time.monotonic() - began), body


async def listener(port: int, path: str, until: float, delays: list[float]) -> None:
    await asyncio.sleep(random.random() * EVERY)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    last = ""
    while time.monotonic() < until:
        began = time.monotonic()
        delay, body = await get(reader, writer, f"{path}stream/audio.m3u8")
        delays.append(delay)
        segment = body.decode().split()[-1]
        if segment != last:
            delay, sound = await get(reader, writer, f"{path}stream/{segment}")
            assert len(sound) > 48_000
            delays.append(delay)
        last = segment
        await asyncio.sleep(max(0.0, EVERY - (time.monotonic() - began)))
    writer.close()


def processor_seconds(studio: Studio) -> float:
    """What all processes of the studio have used so far."""
    ticks = 0
    for pid in [studio.process.pid, *studio.children()]:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # With the children that have ended: each batch of segments has a process of its own.
        ticks += sum(map(int, stat[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(folder: Path) -> Iterator[Figure]:
    raise_open_files()
    with running(migrated(folder / "var")) as studio:
        source = {"kind": "recording", "locator": "demo"}
        session = studio.create("Radio", source, model="extractive")
        shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
        path = "/watch/" + str(shown["watch_url"]).split("/watch/")[1]
        assert studio.command(session, "start").status == 202
        assert studio.call("GET", f"{path}stream/audio.m3u8").status == 200
        delays: list[float] = []
        used = processor_seconds(studio)

        async def listen() -> None:
            until = time.monotonic() + SECONDS
            await asyncio.gather(
                *(listener(studio.port, path, until, delays) for _ in range(LISTENERS))
            )

        asyncio.run(listen())
        used = processor_seconds(studio) - used
    name = f"{LISTENERS} listeners of an audio stream"
    yield Figure(f"{name}, p99 of an answer", percentile(delays, 0.99), 1000, "ms")
    yield Figure(f"{name}, cores in use", used / SECONDS, 2, "cores")
