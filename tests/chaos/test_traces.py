"""A thousand stories by a model while workers are killed at random: every way is intact."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

from tests.endtoend.running import Studio, running
from tests.killing import WORKERS, Killer
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.feeds import FeedStandIn

SEED = int(os.environ.get("SEED", "20261121"))
SESSIONS, STORIES = 10, 100
SECONDS = 480.0  # within which all are told, with all the deaths


def told(studio: Studio, sessions: list[str]) -> int:
    return sum(int(studio.stats(session)["story_count"]) for session in sessions)


def test_after_any_death_of_workers_the_way_of_every_story_is_intact(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    with (
        FeedStandIn() as feeds,
        AnthropicStandIn() as api,
        running(
            tmp_path / "var", ANTHROPIC_API_KEY="sk-test-0123456789", ANTHROPIC_BASE_URL=api.url,
            SMNB_HOST_SLOTS="4",
        ) as studio,
    ):  # fmt: skip
        api.mode = "compose"
        sessions = [
            studio.create(
                f"Chaos {number}",
                {"kind": "rss", "locator": feeds.publish_distinct(f"trace{number}", STORIES)},
                pace=0,
            )
            for number in range(SESSIONS)
        ]
        for session in sessions:
            assert studio.command(session, "start").status == 202
        killer, deadline = Killer(studio, chance, WORKERS), time.monotonic() + SECONDS
        while told(studio, sessions) < SESSIONS * STORIES and time.monotonic() < deadline:
            time.sleep(chance.uniform(4, 9))
            killer.strike()
        print(f"{killer.killed} deaths, {told(studio, sessions)} stories")
        assert killer.killed > 5
        assert told(studio, sessions) == SESSIONS * STORIES
        for session in sessions:
            studio.command(session, "stop")
            studio.wait_state(session, "idle")
            studio.wait_filed(session)
            found = studio.manage("trace_session", session, "--last", str(STORIES))
            assert found.returncode == 0, found.stdout[-4000:] + found.stderr
            assert found.stdout.endswith(f"INTACT: {STORIES} stories\n")
        studio.audit()
