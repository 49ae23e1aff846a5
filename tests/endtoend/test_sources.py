"""Sources in trouble beside one that works: each says so, and the show goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.endtoend.studio_process import Studio, eventually, running
from tests.standins.feeds import FeedStandIn
from tests.standins.reddit import RedditStandIn, post


@pytest.fixture(scope="module")
def reddit() -> Iterator[RedditStandIn]:
    with RedditStandIn() as stand_in:
        stand_in.publish("tides", [post("a", "The tide is in"), post("b", "The moon is late")])
        yield stand_in


@pytest.fixture(scope="module")
def newsroom(reddit: RedditStandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder: Path = tmp_path_factory.mktemp("sources") / "var"
    with running(folder, REDDIT_URL=reddit.url, REDDIT_OAUTH_URL=reddit.url) as studio:
        yield studio
        studio.audit()


def source_event(newsroom: Studio, session: str) -> dict[str, Any]:
    """The latest word on the one source that is in trouble."""
    found: dict[str, Any] = eventually(
        "the source is in trouble",
        lambda: next(
            (
                event["data"]["source"]
                for event in newsroom.items(session, "events")
                if event["type"] == "source.changed" and event["data"]["source"]["note"]
            ),
            None,
        ),
    )
    return found


def test_a_subreddit_without_keys_is_read_from_its_feed_and_that_is_said(
    newsroom: Studio,
) -> None:
    session = newsroom.create(
        "Tides", {"kind": "reddit", "locator": "r/tides"}, pace=0, model="extractive"
    )
    newsroom.command(session, "start")
    newsroom.wait_stories(session, 2)
    said = [
        event for event in newsroom.items(session, "events") if event["type"] == "message.added"
    ]
    assert len(said) == 1
    assert "No Reddit keys are set" in said[0]["data"]["message"]["text"]
    newsroom.command(session, "stop")


@pytest.mark.parametrize(
    ("path", "health"),
    [("/missing", "failed"), ("/broken", "paused"), ("/throttled", "paused"), ("/page", "failed"),
     ("/loop", "failed"), ("/bomb", "failed"), ("/endless", "failed"), ("/reset", "paused")],
)  # fmt: skip
def test_a_feed_in_trouble_is_shown_and_the_others_go_on(
    newsroom: Studio, path: str, health: str
) -> None:
    with FeedStandIn() as feeds:
        bad = {"kind": "rss", "locator": feeds.url + path}
        good = {"kind": "recording", "locator": "demo"}
        session = newsroom.create("Half", bad, good, pace=0, model="extractive")
        newsroom.command(session, "start")
        newsroom.wait_stories(session, 2)
        source = source_event(newsroom, session)
        newsroom.command(session, "stop")
    assert source["health"] == health
    assert "127.0.0.1" in source["note"]
    assert source["paused_until"]


def test_an_unknown_subreddit_says_so(newsroom: Studio, reddit: RedditStandIn) -> None:
    session = newsroom.create(
        "Nowhere", {"kind": "reddit", "locator": "r/nowhere"}, pace=0, model="extractive"
    )
    newsroom.command(session, "start")
    source = source_event(newsroom, session)
    assert source["health"] == "failed"
    assert newsroom.stats(session)["broadcast_state"] == "live"
    newsroom.command(session, "stop")
