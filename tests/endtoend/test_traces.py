"""Workers die while stories are told: the way of each is intact all the same."""

from __future__ import annotations

import json
import random

import pytest

from tests.endtoend.studio_process import Studio
from tests.process_killer import WORKERS, Killer
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.feeds import FeedStandIn

pytestmark = pytest.mark.slow

STORIES, DEATHS = 20, 2


def test_the_ways_of_stories_are_intact_after_two_deaths(
    newsroom: Studio, api: AnthropicStandIn
) -> None:
    with FeedStandIn() as feeds:
        feed = feeds.publish_distinct("trace", STORIES)
        session = newsroom.create("Deaths", {"kind": "rss", "locator": feed}, pace=0)
        newsroom.command(session, "start")
        killer = Killer(newsroom, random.Random(7), WORKERS[::-1])
        for number in range(DEATHS):
            newsroom.wait_stories(session, 3 + 4 * number)
            killer.strike()
        newsroom.wait_stories(session, STORIES)
        newsroom.command(session, "stop")
        newsroom.wait_state(session, "idle")
        newsroom.wait_filed(session)
    found = newsroom.manage("trace_session", session, "--last", "99", "--json")
    assert found.returncode == 0, found.stdout + found.stderr
    traces = [json.loads(line) for line in found.stdout.splitlines()]
    assert [trace["verdict"] for trace in traces] == ["INTACT"] * STORIES
    assert all(hop["usage"] for trace in traces for hop in trace["hops"][5:6])
    assert {item["verdict"] for item in newsroom.items(session, "trace")} == {"INTACT"}
