"""The four scenarios of the specification, end to end: processes, broker, sockets and all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.endtoend.studio_process import Studio, eventually
from tests.standins.feeds import FeedStandIn

FAST = {"pace": 0, "model": "extractive"}


def feed_of(feeds: FeedStandIn, name: str, number: int) -> dict[str, str]:
    """A feed with exactly so many stories that nobody could take for one another."""
    return {"kind": "rss", "locator": feeds.publish_distinct(name, number)}


@pytest.fixture
def feeds() -> Iterator[FeedStandIn]:
    with FeedStandIn() as stand_in:
        yield stand_in


def told(studio: Studio, session: str) -> list[dict[str, Any]]:
    return studio.items(session, "stories")


def on_air(studio: Studio, name: str, source: dict[str, str], stories: int) -> str:
    session = studio.create(name, source, **FAST)
    assert studio.command(session, "start").status == 202
    studio.wait_stories(session, stories)
    return session


def off_air(studio: Studio, session: str) -> None:
    assert studio.command(session, "stop").status == 202
    studio.wait_state(session, "idle")


def test_every_story_of_one_session_on_air_is_its_own_and_the_figures_move(
    studio: Studio, feeds: FeedStandIn
) -> None:
    session = on_air(studio, "One", feed_of(feeds, "one", 6), 6)
    stories = told(studio, session)
    assert len(stories) == 6
    assert all(story["post"] for story in stories)
    stats = studio.stats(session)
    assert stats["broadcast_state"] == "live"
    assert stats["story_count"] == 6
    assert stats["feed"] == 6
    assert stats["total_duration"] == sum(int(story["duration"]) for story in stories)
    off_air(studio, session)


def test_after_switching_to_another_session_the_first_keeps_its_figures(
    studio: Studio, feeds: FeedStandIn
) -> None:
    first = on_air(studio, "A", feed_of(feeds, "a", 5), 5)
    off_air(studio, first)
    before = studio.stats(first)
    second = on_air(studio, "B", feed_of(feeds, "b", 4), 4)
    off_air(studio, second)
    assert studio.stats(first) == before
    titles = {story["title"] for story in told(studio, first)}
    assert not titles & {story["title"] for story in told(studio, second)}


def test_ten_stories_and_then_fifteen_are_exactly_ten_and_fifteen(
    studio: Studio, feeds: FeedStandIn
) -> None:
    first = on_air(studio, "Ten", feed_of(feeds, "ten", 10), 10)
    off_air(studio, first)
    second = on_air(studio, "Fifteen", feed_of(feeds, "fifteen", 15), 15)
    off_air(studio, second)
    assert studio.stats(first)["story_count"] == len(told(studio, first)) == 10
    assert studio.stats(second)["story_count"] == len(told(studio, second)) == 15


def test_starting_without_a_session_says_so_and_creates_nothing(
    studio: Studio, feeds: FeedStandIn
) -> None:
    before = [each["id"] for each in studio.get("/sessions?limit=500")["items"]]
    refused = studio.command(str(uuid4()), "start")
    assert refused.status == 404
    assert refused.body == {"code": "not_found", "detail": "There is no such session."}
    assert [each["id"] for each in studio.get("/sessions?limit=500")["items"]] == before
    session = on_air(studio, "Chosen", feed_of(feeds, "chosen", 2), 2)
    off_air(studio, session)


def test_a_run_that_was_live_when_its_worker_was_killed_tells_every_story_once(
    studio: Studio, feeds: FeedStandIn
) -> None:
    session = on_air(studio, "Killed", feed_of(feeds, "killed", 12), 3)
    hosts = [pid for pid, line in studio.children().items() if "host,drafting" in line]
    for pid in hosts:
        os.kill(pid, signal.SIGKILL)
    eventually("all stories", lambda: studio.stats(session)["story_count"] == 12)
    assert len({story["post"]["id"] for story in told(studio, session)}) == 12
    off_air(studio, session)
