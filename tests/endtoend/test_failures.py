"""Processes that are killed or frozen, and a Redis that is frozen or full, in a running studio."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from smnb.runner import redis_server
from tests.endtoend.studio_process import ROOT, Studio, answers, eventually, migrated, running
from tests.endtoend.test_sockets import frames, owner_socket
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.feeds import FeedStandIn

STORIES = 8
RECORDING = {"kind": "recording", "locator": "demo"}


def host_processes(studio: Studio) -> list[int]:
    """The host's worker, which the studio started, and the pool children in which its steps run."""
    children = studio.children()
    [worker] = [
        pid
        for pid, line in children.items()
        if "host,drafting" in line and parent(pid) == studio.process.pid
    ]
    return [worker, *(pid for pid in children if parent(pid) == worker)]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def asked_by(api: AnthropicStandIn, before: int) -> int:
    return sum(each.path.startswith("/v1/messages") for each in api.requests[before:])


def go_live(studio: Studio, feeds: FeedStandIn, name: str) -> str:
    feed = feeds.publish_distinct(name, STORIES)
    session = studio.create(name, {"kind": "rss", "locator": feed}, pace=0)
    assert studio.command(session, "start").status == 202
    return session


def check_told_once(studio: Studio, api: AnthropicStandIn, session: str, before: int) -> None:
    studio.wait_stories(session, STORIES)
    studio.command(session, "stop")
    studio.wait_state(session, "idle")
    stories = studio.items(session, "stories")
    assert len({story["post"]["id"] for story in stories}) == len(stories) == STORIES
    usage = studio.items(session, "usage")
    # Each question has its row; what a dead worker did not learn has bounds.
    assert len(usage) >= asked_by(api, before) - 1
    assert {row["state"] for row in usage} <= {"final", "bounded"}


def in_mid_sentence(newsroom: Studio, api: AnthropicStandIn, feeds: FeedStandIn, name: str) -> str:
    """Goes live and returns the session while the host writes its second story."""
    api.pause = 0.2
    session = go_live(newsroom, feeds, name)
    newsroom.wait_stories(session, 1)
    seen = len(api.served)
    eventually("it is being written", lambda: len(api.served) > seen)
    return session


def test_a_pool_child_killed_in_mid_sentence_costs_a_moment_and_one_attempt(
    newsroom: Studio, api: AnthropicStandIn
) -> None:
    before = len(api.requests)
    with FeedStandIn() as feeds:
        session = in_mid_sentence(newsroom, api, feeds, "childkill")
        for pid in host_processes(newsroom)[1:]:
            os.kill(pid, signal.SIGKILL)
        api.pause = 0.0
        check_told_once(newsroom, api, session, before)
    bounded = [row for row in newsroom.items(session, "usage") if row["state"] == "bounded"]
    assert len(bounded) == 1


@pytest.mark.slow
def test_a_frozen_worker_is_replaced_and_its_late_answer_changes_no_story(
    newsroom: Studio, api: AnthropicStandIn
) -> None:
    before = len(api.requests)
    with FeedStandIn() as feeds:
        session = in_mid_sentence(newsroom, api, feeds, "freeze")
        with frozen(host_processes(newsroom)), second_host(newsroom):
            api.pause = 0.0
            # The lease of the frozen one expires, and the other worker tells all the rest.
            newsroom.wait_stories(session, STORIES)
        check_told_once(newsroom, api, session, before)
    rows = newsroom.items(session, "usage")
    eventually("the frozen call is closed", lambda: all(row["state"] != "started" for row in rows))


def test_parts_that_live_and_do_nothing_are_replaced_and_the_show_goes_on(tmp_path: Path) -> None:
    quick = {"SMNB_SILENT_SECONDS": "20", "SMNB_POLL_SECONDS": "30"}
    with running(migrated(tmp_path / "var"), **quick) as studio:
        parts = parts_of(studio)
        assert set(parts) == {"redis", "web", "control", "host", "sweeper"}
        # Nothing ends them: no pipe closes, and no connection.
        stuck = {name: parts[name] for name in ("web", "control", "sweeper")}
        for pid in stuck.values():
            os.kill(pid, signal.SIGSTOP)
        eventually("they are replaced", lambda: not stuck.items() & parts_of(studio).items())
        eventually("all parts answer", lambda: answers(studio))
        session = studio.create("Unstuck", RECORDING, pace=0, model="extractive")
        assert studio.command(session, "start").status == 202
        studio.wait_stories(session, 3)
        studio.command(session, "stop")
        studio.wait_state(session, "idle")
        # The others gave signs of life, at rest and at work.
        after = parts_of(studio)
        assert (after["host"], after["redis"]) == (parts["host"], parts["redis"])
        lines = [line for line in studio.log.read_text().splitlines() if "sign of life" in line]
        assert sorted(line.split()[2] for line in lines) == ["control", "sweeper", "web"]
        studio.audit()


def parts_of(studio: Studio) -> dict[str, int]:
    """The processes that the studio itself has started, by name."""
    marks = {
        "redis": "redis-server",
        "web": "daphne",
        "control": "control,producer",
        "host": "host,drafting",
        "sweeper": "sweep",
    }
    return {
        name: pid
        for pid, line in studio.children().items()
        for name, mark in marks.items()
        if mark in line and parent(pid) == studio.process.pid
    }


@contextmanager
def second_host(studio: Studio) -> Iterator[None]:
    """Another worker of the host's queue, as in a deployment with several."""
    command = [sys.executable, "-m", "celery", "-q", "-A", "smnb", "worker", "-Q", "host"]
    command += ["-c", "1", "-n", "second@%h", "--loglevel", "ERROR", "--without-mingle"]
    with subprocess.Popen(command, cwd=ROOT, env=studio.env) as worker:
        try:
            yield
        finally:
            # Softly: what it is doing ends first.
            worker.terminate()
            worker.wait(timeout=100)


def test_a_frozen_or_full_redis_delays_and_loses_nothing(
    newsroom: Studio, api: AnthropicStandIn
) -> None:
    before = len(api.requests)
    client = redis.Redis(unix_socket_path=str(redis_server.socket_path(newsroom.data)))
    server = [pid for pid, line in newsroom.children().items() if "redis-server" in line]
    with FeedStandIn() as feeds:
        session = go_live(newsroom, feeds, "redis")
        newsroom.wait_stories(session, 1)
        with owner_socket(newsroom, session) as socket, frozen(server):
            renamed = newsroom.call("PATCH", f"/api/sessions/{session}", {"name": "Redis frozen"})
            # The change is stored and shown, though nobody can be told of it.
            assert renamed.status == 200
            # As a page does: a change between the handshake and joining is in the answer.
            socket.send('{"after": 0}')
            name = ""
            while name != "Redis frozen":
                name = frames(socket, "session.changed")[-1]["data"]["session"]["name"]
        client.config_set("maxmemory", 1)
        try:
            renamed = newsroom.call("PATCH", f"/api/sessions/{session}", {"name": "Redis full"})
            assert renamed.status == 200
        finally:
            client.config_set("maxmemory", 0)
        check_told_once(newsroom, api, session, before)
