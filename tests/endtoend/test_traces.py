"""Workers die while stories are told: the way of each is intact all the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.endtoend.studio_process import running
from tests.process_killer import WORKERS, Killer
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.feeds import FeedStandIn

STORIES, DEATHS = 20, 2


def test_the_ways_of_stories_are_intact_after_two_deaths(tmp_path: Path) -> None:
    key = "sk-test-0123456789"
    with (
        FeedStandIn() as feeds,
        AnthropicStandIn() as api,
        running(tmp_path / "var", ANTHROPIC_API_KEY=key, ANTHROPIC_BASE_URL=api.url) as studio,
    ):
        api.mode = "compose"
        feed = feeds.publish_distinct("trace", STORIES)
        session = studio.create("Deaths", {"kind": "rss", "locator": feed}, pace=0)
        studio.command(session, "start")
        killer = Killer(studio, random.Random(7), WORKERS[::-1])
        for number in range(DEATHS):
            studio.wait_stories(session, 3 + 4 * number)
            killer.strike()
        studio.wait_stories(session, STORIES)
        studio.command(session, "stop")
        studio.wait_state(session, "idle")
        studio.wait_filed(session)
        found = studio.manage("trace_session", session, "--last", "99", "--json")
        assert found.returncode == 0, found.stdout + found.stderr
        traces = [json.loads(line) for line in found.stdout.splitlines()]
        assert [trace["verdict"] for trace in traces] == ["INTACT"] * STORIES
        assert all(hop["usage"] for trace in traces for hop in trace["hops"][5:6])
        assert {item["verdict"] for item in studio.items(session, "trace")} == {"INTACT"}
        studio.audit()
