"""A rolling restart of a deployment that is on air: every story once, every frame at every viewer."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.chaos.test_herd import rename
from tests.endtoend.studio_process import PATIENCE, Studio, eventually
from tests.standins.feeds import FeedStandIn
from tests.topology.machines import Deployment, deployed

# A start of PostgreSQL and of ten processes, and a restart of each.
pytestmark = pytest.mark.timeout(900)

STORIES, VIEWERS = 30, 40


class Page:
    """A page of the owner: it connects again, and asks for what a frame shows to be missing."""

    def __init__(self, studio: Studio, session: str, after: int) -> None:
        self.address = f"ws://127.0.0.1:{studio.port}/ws/sessions/{session}/?format=json"
        self.headers = {"Authorization": f"Bearer {studio.token}"}
        self.seen = [after]
        self.connections = 0

    async def follow(self, until: str) -> None:
        while True:
            with suppress(OSError, EOFError, ConnectionClosed, InvalidHandshake, TimeoutError):
                async with connect(self.address, additional_headers=self.headers) as socket:
                    self.connections += 1
                    if await self.read(socket, until):
                        return
            await asyncio.sleep(random.uniform(0.3, 2))

    async def read(self, socket: ClientConnection, until: str) -> bool:
        asked = 0.0
        await socket.send(json.dumps({"after": self.seen[-1]}))
        async for text in socket:
            frame = json.loads(text)
            if frame["seq"] is None or frame["seq"] <= self.seen[-1]:
                continue
            # A live frame may come before the answer.
            if frame["prev"] != self.seen[-1]:
                if time.monotonic() - asked > 1:
                    asked = time.monotonic()
                    await socket.send(json.dumps({"after": self.seen[-1]}))
                continue
            self.seen.append(frame["seq"])
            if until in str(text):
                return True
        return False


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("deployment")) as found:
        yield found
        found.studio.audit()


def count(studio: Studio, session: str) -> int:
    """How many stories there are; 0 while the web process that is asked restarts."""
    try:
        answer = studio.call("GET", f"/api/sessions/{session}/stats")
    except OSError:
        return 0
    return int(answer.body["story_count"]) if answer.status == 200 else 0


def test_the_deployment_has_every_process_of_its_units(deployment: Deployment) -> None:
    assert set(deployment.services) >= {
        *("redis", "web1", "web2", "worker-control", "worker-host", "sweeper1", "sweeper2"),
    }
    assert all(service.process.poll() is None for service in deployment.services.values())


def test_a_rolling_restart_on_air_loses_no_story_and_no_frame(deployment: Deployment) -> None:
    studio = deployment.studio
    with FeedStandIn() as feeds:
        source = {"kind": "rss", "locator": feeds.publish_distinct("rolling", STORIES)}
        session = studio.create("Rolling", source, pace=6000, model="extractive")
        after = max(event["seq"] for event in studio.items(session, "events"))
        pages = [Page(studio, session, after) for _ in range(VIEWERS)]

        async def follow() -> None:
            async with asyncio.timeout(4 * PATIENCE):
                await asyncio.gather(*(page.follow("The last name") for page in pages))

        viewers = threading.Thread(target=asyncio.run, args=(follow(),))
        viewers.start()
        eventually("all watch", lambda: all(page.connections for page in pages))
        assert studio.command(session, "start").status == 202
        eventually("it is on air", lambda: count(studio, session) >= 1)
        deployment.roll()
        eventually("all stories", lambda: count(studio, session) == STORIES)
        assert studio.command(session, "stop").status == 202
        studio.wait_state(session, "idle")
        rename(studio, session, "The last name")
        viewers.join(PATIENCE)
    stories = studio.items(session, "stories")
    assert len({story["post"]["id"] for story in stories}) == len(stories) == STORIES
    last = max(event["seq"] for event in studio.items(session, "events"))
    for page in pages:
        # It stops at the new name; every frame before that one came, once and in order.
        assert page.seen == list(range(after, page.seen[-1] + 1))
        assert last - 1 <= page.seen[-1] <= last
    # Each web process had pages when it was restarted.
    assert sum(page.connections for page in pages) >= 2 * VIEWERS


@pytest.mark.parametrize("name", ["sweeper1", "web2", "worker-host"])
def test_a_process_that_dies_is_started_again(deployment: Deployment, name: str) -> None:
    service = deployment.services[name]
    dead = service.process
    dead.kill()
    eventually(f"{name} again", lambda: service.process is not dead)
    eventually("web2 answers", lambda: deployment.answers(deployment.web_ports[1]))
