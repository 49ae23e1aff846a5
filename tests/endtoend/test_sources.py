"""Sources in trouble beside one that works: each says so, and the broadcast continues."""

from __future__ import annotations

from typing import Any

import pytest

from tests.endtoend.studio_process import Studio, eventually
from tests.standins.feeds import FeedStandIn
from tests.standins.reddit import RedditStandIn


def source_event(studio: Studio, session: str) -> dict[str, Any]:
    """The latest word on the one source that is in trouble."""
    found: dict[str, Any] = eventually(
        "the source is in trouble",
        lambda: next(
            (
                event["data"]["source"]
                for event in studio.items(session, "events")
                if event["type"] == "source.changed" and event["data"]["source"]["note"]
            ),
            None,
        ),
    )
    return found


def test_a_subreddit_without_keys_is_read_from_its_feed_and_that_is_said(
    studio: Studio,
) -> None:
    session = studio.create(
        "Tides", {"kind": "reddit", "locator": "r/tides"}, pace=0, model="extractive"
    )
    studio.command(session, "start")
    studio.wait_stories(session, 2)
    said = [event for event in studio.items(session, "events") if event["type"] == "message.added"]
    assert len(said) == 1
    assert "No Reddit keys are set" in said[0]["data"]["message"]["text"]
    studio.command(session, "stop")


@pytest.mark.parametrize(
    ("path", "health"),
    [
        ("/missing", "failed"),
        ("/broken", "paused"),
        ("/throttled", "paused"),
        ("/page", "failed"),
        ("/loop", "failed"),
        ("/bomb", "failed"),
        ("/endless", "failed"),
        ("/reset", "paused"),
    ],
)
def test_a_feed_in_trouble_is_shown_and_the_others_go_on(
    studio: Studio, path: str, health: str
) -> None:
    with FeedStandIn() as feeds:
        bad = {"kind": "rss", "locator": feeds.url + path}
        good = {"kind": "recording", "locator": "demo"}
        session = studio.create("Half", bad, good, pace=0, model="extractive")
        studio.command(session, "start")
        studio.wait_stories(session, 2)
        source = source_event(studio, session)
        studio.command(session, "stop")
    assert source["health"] == health
    assert "127.0.0.1" in source["note"]
    assert source["paused_until"]


def test_an_unknown_subreddit_says_so(studio: Studio, reddit: RedditStandIn) -> None:
    session = studio.create(
        "Nowhere", {"kind": "reddit", "locator": "r/nowhere"}, pace=0, model="extractive"
    )
    studio.command(session, "start")
    source = source_event(studio, session)
    assert source["health"] == "failed"
    assert studio.stats(session)["broadcast_state"] == "live"
    studio.command(session, "stop")
