"""500 listeners of the HLS address of one audio stream: how long a segment takes, and what it costs.

All of them ask at the same moment, every six seconds as players do: for the playlist, and then for the
newest segment.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.figure import Figure, percentile
from tests.bench.handshakes import raise_open_files
from tests.endtoend.studio_process import migrated, running, served_by_uvicorn

LISTENERS = int(os.environ.get("LISTENERS", "500"))
SECONDS, EVERY = 18, 6.0


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


def processor_seconds(pids: list[int]) -> float:
    """What the processes have used so far."""
    ticks = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # With the children that have ended: each batch of segments has a process of its own.
        ticks += sum(map(int, stat[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def listen(port: int, path: str, processes: Callable[[], list[int]]) -> tuple[list[float], float]:
    """Lets all of them listen for a while; returns the delays of the answers and the cores used."""
    delays: list[float] = []
    used = processor_seconds(processes())

    async def all_of_them() -> None:
        until = time.monotonic() + SECONDS
        await asyncio.gather(*(listener(port, path, until, delays) for _ in range(LISTENERS)))

    asyncio.run(all_of_them())
    return delays, (processor_seconds(processes()) - used) / SECONDS


def measure(folder: Path) -> Iterator[Figure]:
    raise_open_files()
    with running(migrated(folder / "var")) as studio:
        source = {"kind": "recording", "locator": "demo"}
        session = studio.create("Radio", source, model="extractive")
        shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
        path = "/watch/" + str(shown["watch_url"]).split("/watch/")[1]
        assert studio.command(session, "start").status == 202
        assert studio.call("GET", f"{path}stream/audio.m3u8").status == 200

        def processes(*more: int) -> list[int]:
            return [studio.process.pid, *studio.children(), *more]

        # It closes a connection after 5 s without a request, unless it gets more.
        with served_by_uvicorn(studio, "--timeout-keep-alive=30") as (other, pid):
            for server, port, own in (("Daphne", studio.port, ()), ("uvicorn", other.port, (pid,))):
                delays, cores = listen(port, path, partial(processes, *own))
                name = f"{LISTENERS} listeners at once, {server}"
                yield Figure(f"{name}, p99 of an answer", percentile(delays, 0.99), 1000, "ms")
                yield Figure(f"{name}, cores in use", cores, 2, "cores")
