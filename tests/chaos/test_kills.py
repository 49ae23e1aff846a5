"""Workers, web, sweeper and Redis killed at random, by a printed seed: nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from tests.endtoend.studio_process import PATIENCE, Studio, eventually, migrated, running
from tests.standins.feeds import FeedStandIn

SEED = int(os.environ.get("SEED", "20261121"))
KILLS = int(os.environ.get("KILLS", "15"))
SESSIONS, STORIES = 3, 60
VICTIMS = ("control,producer", "host,drafting", "daphne", "redis-server", "manage.py sweep")


def kill_one(studio: Studio, chance: random.Random) -> None:
    victim = chance.choice(VICTIMS)
    found = [pid for pid, line in studio.children().items() if victim in line]
    if found:
        os.kill(chance.choice(sorted(found)), signal.SIGKILL)


def count(studio: Studio, session: str) -> int:
    try:
        return int(studio.stats(session)["story_count"])
    except (OSError, AssertionError):
        return -1  # the web process was killed just now


def test_whatever_is_killed_every_story_is_told_once_in_its_own_session(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    with FeedStandIn() as feeds, running(migrated(tmp_path / "var")) as studio:
        sessions = [
            studio.create(
                f"Chaos {number}",
                {"kind": "rss", "locator": feeds.publish_distinct(f"chaos{number}", STORIES)},
                pace=0,
                model="extractive",
            )
            for number in range(SESSIONS)
        ]
        for session in sessions:
            assert studio.command(session, "start").status == 202
        for _ in range(KILLS):
            # At most three deaths of one child a minute, so that the studio does not give up.
            time.sleep(chance.uniform(3, 6))
            kill_one(studio, chance)
        for session in sessions:
            eventually("all stories", lambda: count(studio, session) == STORIES, 4 * PATIENCE)  # noqa: B023
            stories = studio.items(session, "stories")
            assert len({story["post"]["id"] for story in stories}) == STORIES
        studio.audit()
