"""Stopping and starting the whole studio."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.endtoend.studio_process import Studio, eventually, running, start

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


def on_air(studio: Studio) -> str:
    session = studio.create("Overnight", RECORDING, pace=0, model="extractive")
    studio.command(session, "start")
    studio.wait_stories(session, 2)
    return session


def test_a_run_that_was_live_is_live_again_after_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "var") as studio:
        session = on_air(studio)
        children = list(studio.children())
        assert studio.stop() == 0
        assert gone(children)
    told = 0
    with running(tmp_path / "var") as studio:
        stats = studio.stats(session)
        assert stats["broadcast_state"] == "live"
        told = stats["story_count"]
        studio.wait_stories(session, told + 2)
        studio.audit()
        assert studio.command(session, "start").body["state"] == "live"


def test_a_studio_killed_outright_leaves_no_process_and_starts_again(tmp_path: Path) -> None:
    studio = start(tmp_path / "var")
    session = on_air(studio)
    children = list(studio.children())
    os.kill(studio.process.pid, signal.SIGKILL)
    studio.process.wait()
    eventually("no child is left", lambda: gone(children))
    with running(tmp_path / "var") as again:
        again.wait_stories(session, again.stats(session)["story_count"] + 1)
        again.audit()


def test_the_demo_of_the_first_run_is_on_air_and_made_only_once(tmp_path: Path) -> None:
    for _ in range(2):
        with running(tmp_path / "var", SMNB_DEMO="1", SMNB_POLL_SECONDS="30") as studio:
            [demo] = studio.get("/sessions")["items"]
            assert demo["name"] == "Demo newsroom"
            studio.wait_stories(demo["id"], 1)
            assert demo["watch_url"] in studio.log.read_text()
