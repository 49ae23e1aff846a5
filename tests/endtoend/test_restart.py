"""Stopping and starting the whole studio."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.endtoend.studio_process import Studio, eventually, running, start

# The first test waits for all three starts.
pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]

RECORDING = {"kind": "recording", "locator": "demo"}


def runs(pid: int) -> bool:
    """Whether the process does anything; a machine's init may leave the dead unburied."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pids: list[int]) -> bool:
    return not any(runs(pid) for pid in pids)


@dataclass
class Start:
    """What was seen of a studio between its start and its end."""

    sessions: list[dict[str, Any]]
    stories: int  # of the session on air, at the start
    state: str  # of its broadcast, at the start
    state_after_go_live: str
    log: str


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> list[Start]:
    """A studio that is started in an empty folder, stopped, started, killed and started again."""
    data = tmp_path_factory.mktemp("restart") / "var"
    with running(data, SMNB_DEMO="1", SMNB_POLL_SECONDS="30") as studio:
        [demo] = studio.get("/sessions")["items"]
        studio.wait_stories(demo["id"], 1)
        session = studio.create("Overnight", RECORDING, pace=6000, model="extractive")
        first = observe(studio, session)
        children = list(studio.children())
        assert studio.stop() == 0
        assert gone(children)
        token = studio.token
    studio = start(data, SMNB_DEMO="1")
    studio.token = token
    second = observe(studio, session)
    children = list(studio.children())
    os.kill(studio.process.pid, signal.SIGKILL)
    studio.process.wait()
    eventually("no child is left", lambda: gone(children))
    with running(data, SMNB_DEMO="1") as studio:
        studio.token = token
        third = observe(studio, session)
        studio.audit()
    return [first, second, third]


def observe(studio: Studio, session: str) -> Start:
    """Look at the studio as it is, go live, and wait for two new stories."""
    stats = studio.stats(session)
    sessions = studio.get("/sessions")["items"]
    state = studio.command(session, "start").body["state"]
    studio.wait_stories(session, stats["story_count"] + 2)
    log = studio.log.read_text()
    return Start(sessions, stats["story_count"], stats["broadcast_state"], state, log)


def test_a_run_that_was_live_is_live_again_after_a_restart(starts: list[Start]) -> None:
    for after in starts[1:]:
        assert after.state == "live"
        assert after.state_after_go_live == "live"


def test_a_studio_stopped_or_killed_tells_on_from_where_it_was(starts: list[Start]) -> None:
    """It leaves no process either time: the fixture waits for that."""
    first, second, third = (each.stories for each in starts)
    assert second >= first + 2
    assert third >= second + 2


def test_the_demo_of_the_first_run_is_on_air_and_made_only_once(starts: list[Start]) -> None:
    for each in starts:
        [demo] = [found for found in each.sessions if found["name"] == "Demo newsroom"]
        assert demo["watch_url"] in each.log
