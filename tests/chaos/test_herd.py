"""Hundreds of pages whose web process is killed: all come back, and none has missed anything."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.endtoend.studio_process import PATIENCE, Studio, eventually, migrated, running

CLIENTS = int(os.environ.get("CLIENTS", "500"))
RENAMED = 20


class Page:
    """A page that reconnects after a short pause and asks for what it missed."""

    def __init__(self, studio: Studio, session: str) -> None:
        self.address = f"ws://127.0.0.1:{studio.port}/ws/sessions/{session}/?format=json"
        self.headers = {"Authorization": f"Bearer {studio.token}"}
        self.seen: list[int] = []
        self.connected = asyncio.Event()
        self.connected_at = 0.0

    async def follow(self, after: int, until: str) -> None:
        """Reads until a frame holds the name ``until``."""
        self.seen = [after]
        while True:
            try:
                async with connect(self.address, additional_headers=self.headers) as socket:
                    await socket.send(json.dumps({"after": self.seen[-1]}))
                    self.connected.set()
                    self.connected_at = time.monotonic()
                    async for text in socket:
                        frame = json.loads(text)
                        if frame["seq"] is None or frame["seq"] <= self.seen[-1]:
                            continue
                        # A live frame from before the answer, which has it too.
                        if (frame["prev"] or 0) > self.seen[-1]:
                            continue
                        self.seen.append(frame["seq"])
                        if until in str(text):
                            return
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                await asyncio.sleep(random.uniform(0.3, 2))


def rename(studio: Studio, session: str, name: str) -> None:
    """Renames the session, once web answers."""

    def renamed() -> bool:
        try:
            return studio.call("PATCH", f"/api/sessions/{session}", {"name": name}).status == 200
        except OSError:
            return False

    eventually("renamed", renamed)


async def follow_through_a_death(studio: Studio, session: str, after: int) -> list[Page]:
    pages = [Page(studio, session) for _ in range(CLIENTS)]
    tasks = [asyncio.create_task(page.follow(after, "The last name")) for page in pages]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(page.connected.wait() for page in pages))
    for number in range(RENAMED):
        if number == RENAMED // 2:
            [web] = [pid for pid, line in studio.children().items() if "daphne" in line]
            os.kill(web, signal.SIGKILL)
            killed_at = time.monotonic()
        await asyncio.to_thread(rename, studio, session, f"Name {number}")
    await asyncio.to_thread(rename, studio, session, "The last name")
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*tasks)
    back = sorted(page.connected_at - killed_at for page in pages)
    print(
        f"\n{CLIENTS} pages: p95 back after {back[CLIENTS * 95 // 100]:.1f} s, last {back[-1]:.1f} s"
    )
    # Each of them had lost its socket.
    assert back[0] > 0
    return pages


def test_all_pages_come_back_and_have_missed_nothing(tmp_path: Path) -> None:
    with running(migrated(tmp_path / "var")) as studio:
        session = studio.create("Herd", {"kind": "recording"}, model="extractive")
        after = max(event["seq"] for event in studio.items(session, "events"))
        pages = asyncio.run(follow_through_a_death(studio, session, after))
        last = max(event["seq"] for event in studio.items(session, "events"))
        assert last >= after + RENAMED
        assert {tuple(page.seen) for page in pages} == {tuple(range(after, last + 1))}
        studio.audit()
