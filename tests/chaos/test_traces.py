"""A thousand stories by a model while workers are killed at random: every way is intact."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.endtoend.studio_process import Studio, migrated, running
from tests.process_killer import WORKERS, Killer
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.feeds import FeedStandIn

SEED = int(os.environ.get("SEED", "20261121"))
STORIES = int(os.environ.get("STORIES", "1000"))
SECONDS = float(os.environ.get("SECONDS", "900"))  # within which all are told, with all the deaths
SESSIONS = 10


def told(studio: Studio, sessions: list[str]) -> int:
    return sum(int(studio.stats(session)["story_count"]) for session in sessions)


@pytest.mark.timeout(1.2 * SECONDS + 120)
def test_after_any_death_of_workers_the_way_of_every_story_is_intact(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    with (
        FeedStandIn() as feeds,
        AnthropicStandIn() as api,
        running(
            migrated(tmp_path / "var"),
            ANTHROPIC_API_KEY="sk-test-0123456789",
            ANTHROPIC_BASE_URL=api.url,
            SMNB_HOST_SLOTS="4",
        ) as studio,
    ):
        api.mode = "compose"
        each = STORIES // SESSIONS
        sessions = [
            studio.create(
                f"Chaos {number}",
                {"kind": "rss", "locator": feeds.publish_distinct(f"trace{number}", each)},
                pace=0,
            )
            for number in range(SESSIONS)
        ]
        for session in sessions:
            assert studio.command(session, "start").status == 202
        killer, deadline = Killer(studio, chance, WORKERS), time.monotonic() + SECONDS
        while told(studio, sessions) < SESSIONS * each and time.monotonic() < deadline:
            time.sleep(chance.uniform(4, 9))
            killer.strike()
        for session in sessions:
            studio.command(session, "stop")
            studio.wait_state(session, "idle")
        for session in sessions:
            found = studio.manage("trace_session", session, "--last", str(each))
            assert found.returncode == 0, found.stdout[-4000:] + found.stderr
            assert "INTACT: " in found.stdout.splitlines()[-1]
        print(f"{killer.killed} deaths, {told(studio, sessions)} stories, all intact")
        assert killer.killed > 3
        assert told(studio, sessions) == SESSIONS * each
        for session in sessions:
            studio.wait_filed(session)
        studio.audit()
