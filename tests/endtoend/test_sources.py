"""Sources in trouble beside one that works: each says so, and the broadcast continues."""

from __future__ import annotations

from typing import Any

from tests.endtoend.studio_process import Studio, eventually
from tests.standins.feeds import FeedStandIn
from tests.standins.reddit import RedditStandIn

TROUBLE = {
    "/missing": "failed",
    "/broken": "paused",
    "/throttled": "paused",
    "/page": "failed",
    "/loop": "failed",
    "/bomb": "failed",
    "/endless": "failed",
    "/reset": "paused",
}


def in_trouble(studio: Studio, session: str, number: int = 1) -> dict[str, dict[str, Any]]:
    """The sources that say they are in trouble, by locator; waits for so many."""

    def found() -> dict[str, dict[str, Any]] | None:
        changes = (
            event["data"]["source"]
            for event in studio.items(session, "events")
            if event["type"] == "source.changed" and event["data"]["source"]["note"]
        )
        sources = {source["locator"]: source for source in changes}
        return sources if len(sources) == number else None

    sources: dict[str, dict[str, Any]] = eventually(f"{number} sources are in trouble", found)
    return sources


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


def test_feeds_in_trouble_are_shown_and_the_others_go_on(studio: Studio) -> None:
    with FeedStandIn() as feeds:
        bad = [{"kind": "rss", "locator": feeds.url + path} for path in TROUBLE]
        good = {"kind": "recording", "locator": "demo"}
        session = studio.create("Half", *bad, good, pace=600, model="extractive")
        studio.command(session, "start")
        studio.wait_stories(session, 2)
        sources = in_trouble(studio, session, len(TROUBLE))
        studio.command(session, "stop")
    found = {locator.removeprefix(feeds.url): each for locator, each in sources.items()}
    assert {path: each["health"] for path, each in found.items()} == TROUBLE
    for each in found.values():
        assert "127.0.0.1" in each["note"]
        assert each["paused_until"]


def test_an_unknown_subreddit_says_so(studio: Studio, reddit: RedditStandIn) -> None:
    session = studio.create(
        "Nowhere", {"kind": "reddit", "locator": "r/nowhere"}, pace=0, model="extractive"
    )
    studio.command(session, "start")
    [source] = in_trouble(studio, session).values()
    assert source["health"] == "failed"
    assert studio.stats(session)["broadcast_state"] == "live"
    studio.command(session, "stop")
