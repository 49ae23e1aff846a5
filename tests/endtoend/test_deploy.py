"""A deploy: the commands of ``deploy/systemd``, stopped and started again while a story is written."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from smnb.runner.redis_server import EmbeddedRedis
from tests.endtoend.studio_process import (
    PASSWORD,
    PATIENCE,
    ROOT,
    Json,
    Studio,
    environment,
    eventually,
    free_port,
    migrated,
)
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.feeds import FeedStandIn

pytestmark = pytest.mark.slow

STORIES = 5
UNITS = ("smnb-web@", "smnb-worker-control", "smnb-worker-host", "smnb-sweeper@")
PROGRAMS = {
    "/opt/smnb/.venv/bin/python": [sys.executable],
    "/opt/smnb/.venv/bin/celery": [sys.executable, "-m", "celery"],
}


@dataclass
class Unit:
    """A service as systemd runs it: SIGTERM to its main process, and a start when that has ended."""

    name: str
    studio: dict[str, str]
    statuses: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = (ROOT / "deploy" / "systemd" / f"{self.name}.service").read_text()
        [line] = re.findall(r"^ExecStart=(.+)$", text.replace("\\\n", " "), re.MULTILINE)
        [patience] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
        self.patience = int(patience)
        line = line.replace("port=800%i", f"port={self.studio['PORT']}").replace("%%", "%")
        program, *words = shlex.split(line.replace("${SMNB_HOST_SLOTS}", "2"))
        self.command = [*PROGRAMS[program], *words]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.studio)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.statuses.append(self.process.wait(self.patience))

    def restart(self) -> None:
        self.stop()
        self.start()


@contextmanager
def deployed(data: Path, **more: str) -> Iterator[tuple[Studio, list[Unit]]]:
    """The services of a deployment, with a Redis that is not restarted with them."""
    migrated(data)
    port = free_port()
    env = environment(data, port, PUBLIC_URL=f"http://localhost:{port}", **more)
    redis = EmbeddedRedis(data)
    redis.prepare()
    with ExitStack() as stack:
        stack.callback(redis.remove)
        server = stack.enter_context(subprocess.Popen(redis.command()))
        stack.callback(server.terminate)
        eventually("Redis answers", redis.is_ready)
        made = subprocess.run(
            [sys.executable, "manage.py", "createsuperuser", "--noinput", "--username=studio"],
            cwd=ROOT,
            env=env | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD, "DJANGO_SUPERUSER_EMAIL": "s@s.test"},
            check=True,
        )
        assert made.returncode == 0
        units: list[Unit] = []
        for name in UNITS:
            units.append(Unit(name, env))
            stack.callback(units[-1].stop)
        studio = Studio(port, data, env, units[0].process, data / "no-log")
        eventually("the deployment is healthy", lambda: healthy(studio))
        yield studio, units


def healthy(studio: Studio) -> bool:
    with suppress(OSError):
        return studio.call("GET", "/healthz").status == 200
    return False


class Page:
    """A page that stays open: it connects again after a pause and asks for what it missed."""

    def __init__(self, studio: Studio, session: str) -> None:
        self.address = f"ws://127.0.0.1:{studio.port}/ws/sessions/{session}/?format=json"
        self.headers = {"Authorization": f"Bearer {studio.token}"}
        self.frames: list[Json] = []
        self.connections = 0
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self) -> None:
        while not self.closed.is_set():
            with (
                suppress(OSError, ConnectionClosed, InvalidHandshake),
                connect(self.address, additional_headers=self.headers) as socket,
            ):
                self.connections += 1
                socket.send(json.dumps({"after": self.frames[-1]["seq"] if self.frames else 0}))
                while not self.closed.is_set():
                    with suppress(TimeoutError):
                        self.read(json.loads(socket.recv(timeout=0.5)))
            time.sleep(0.2)

    def read(self, frame: Any) -> None:
        """Notes a stored frame, once; one behind a gap comes again with what was asked for."""
        last = self.frames[-1]["seq"] if self.frames else 0
        if frame["seq"] is not None and (frame["prev"] or 0) <= last < frame["seq"]:
            self.frames.append(frame)


def test_a_deploy_in_mid_sentence_ends_the_story_and_nothing_is_told_twice(tmp_path: Path) -> None:
    with AnthropicStandIn() as api, FeedStandIn() as feeds:
        api.pause = 0.2
        keys = {"ANTHROPIC_API_KEY": "canary-0123456789", "ANTHROPIC_BASE_URL": api.url}
        with deployed(tmp_path / "var", **keys) as (studio, units):
            feed = feeds.publish_distinct("deploy", STORIES)
            session = studio.create("Deploy", {"kind": "rss", "locator": feed}, pace=0)
            page = Page(studio, session)
            eventually("the page is open", lambda: page.connections == 1)
            assert studio.command(session, "start").status == 202
            studio.wait_stories(session, 1)
            seen = len(api.served)
            eventually("the next story is being written", lambda: len(api.served) > seen)
            written = studio.stats(session)["story_count"]
            with ThreadPoolExecutor(len(units)) as systemd:
                list(systemd.map(Unit.restart, units))
            # What was being written when the workers were asked to end was written to its end.
            assert all(answer.finished for answer in api.served[: seen + 1])
            assert not api.abandoned.is_set()
            assert {unit.name: unit.statuses for unit in units}["smnb-worker-host"] == [0]
            eventually("web answers again", lambda: healthy(studio))
            assert studio.stats(session)["story_count"] > written
            api.pause = 0.0
            studio.wait_stories(session, STORIES)
            studio.command(session, "stop")
            studio.wait_state(session, "idle")
            check(studio, session, page)
            studio.audit()


def check(studio: Studio, session: str, page: Page) -> None:
    """Each story is written, aired, paid for and shown once, on a page that missed nothing."""
    stories = studio.items(session, "stories")
    assert len({story["post"]["id"] for story in stories}) == len(stories) == STORIES
    usage = [row for row in studio.items(session, "usage") if row["operation"] == "narrate"]
    assert [row["state"] for row in usage] == ["final"] * STORIES
    last = max(event["seq"] for event in studio.items(session, "events"))
    eventually("the page has seen everything", lambda: page.frames[-1]["seq"] >= last)
    page.closed.set()
    page.thread.join(PATIENCE)
    assert page.connections >= 2
    seen = [frame["seq"] for frame in page.frames]
    # The log of the session may become an artifact in the meantime.
    assert seen == list(range(1, max(last, seen[-1]) + 1))
    shown = Counter(frame["type"] for frame in page.frames)
    assert (shown["story.written"], shown["story.aired"]) == (STORIES, STORIES)
