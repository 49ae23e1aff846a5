"""The host with a model behind it: every fault of the API leaves the broadcast on its feet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.endtoend.conftest import KEY, answer_normally
from tests.endtoend.studio_process import Studio, eventually
from tests.standins.anthropic import AnthropicStandIn

RECORDING = {"kind": "recording", "locator": "demo"}


@pytest.fixture
def session(newsroom: Studio, api: AnthropicStandIn) -> Iterator[str]:
    """A session that is about to go live with a model; off the air again at the end."""
    made = newsroom.create("By a model", RECORDING, pace=0)
    yield made
    answer_normally(api)
    if newsroom.stats(made)["broadcast_state"] != "idle":
        newsroom.command(made, "stop")
        newsroom.wait_state(made, "idle")
    newsroom.wait_filed(made)


def go_live(newsroom: Studio, session: str) -> None:
    assert newsroom.command(session, "start").status == 202


def hold_of(newsroom: Studio, session: str) -> Any:
    return eventually("a hold", lambda: newsroom.stats(session)["hold"])


def test_the_tokens_booked_are_the_tokens_served(
    newsroom: Studio, api: AnthropicStandIn, session: str
) -> None:
    before = api.total
    go_live(newsroom, session)
    newsroom.wait_stories(session, 6)
    newsroom.command(session, "stop")
    newsroom.wait_state(session, "idle")
    newsroom.wait_filed(session)
    served, stats = api.total - before, newsroom.stats(session)
    usage = newsroom.items(session, "usage")
    exact = all(row["exact"] for row in usage)
    assert stats["input_tokens"] == served.input
    assert not exact or stats["output_tokens"] == served.output
    assert {story["origin"] for story in newsroom.items(session, "stories")} == {"model"}
    assert float(stats["total_cost"]) > 0


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("bad_key", "anthropic_key"),
        ("credit", "anthropic_credit"),
        ("spend_limit", "anthropic_credit"),
        ("unknown_model", "model"),
        ("throttled_for_hours", "throttled"),
    ],
)
def test_what_only_time_or_a_person_can_mend_holds_the_narration_and_stays_live(
    newsroom: Studio, api: AnthropicStandIn, session: str, mode: str, code: str
) -> None:
    api.mode = mode
    go_live(newsroom, session)
    hold = hold_of(newsroom, session)
    assert hold["code"] == code
    assert hold["sentence"].endswith(".")
    stats = newsroom.stats(session)
    assert stats["broadcast_state"] == "live"
    assert stats["message_count"] >= 1
    assert stats["total_cost"] == "0"


def test_a_fault_that_passes_costs_a_pause_and_no_story(
    newsroom: Studio, api: AnthropicStandIn, session: str
) -> None:
    exact = {
        "overloaded": True,
        "internal": True,
        "clean_eof": False,
        "reset": False,
        "garbled": False,
        "overloaded_inside": False,
        "dies": False,
    }
    for mode in exact:
        api.script += [mode, "compose"]
    go_live(newsroom, session)
    newsroom.wait_stories(session, len(exact) + 1)
    assert newsroom.stats(session)["hold"] is None
    stories = newsroom.items(session, "stories")
    assert len({story["post"]["id"] for story in stories}) == len(stories)
    asked = newsroom.items(session, "usage")[::-1]
    assert dict(zip(exact, [row["exact"] for row in asked[::2]], strict=False)) == exact


def test_a_post_the_model_has_no_story_for_is_passed_over_and_the_show_goes_on(
    newsroom: Studio, api: AnthropicStandIn, session: str
) -> None:
    api.script += ["refusal", "compose", "empty"]
    go_live(newsroom, session)
    newsroom.wait_stories(session, 3)
    failed = [post for post in newsroom.items(session, "posts") if post["state"] == "failed"]
    assert len(failed) == 2
    assert all(post["reason"] for post in failed)


def test_an_answer_that_is_not_as_asked_is_used_as_far_as_it_goes(
    newsroom: Studio, api: AnthropicStandIn, session: str
) -> None:
    api.script += ["prose", "max_tokens", "wrong_enums"]
    go_live(newsroom, session)
    newsroom.wait_stories(session, 3)
    for story in newsroom.items(session, "stories")[-3:]:
        assert story["title"]
        assert story["narrative"]
        assert story["tone"] in {"breaking", "developing", "analysis", "opinion", "human-interest"}


def test_stopping_in_the_middle_of_a_sentence_ends_idle_and_books_what_was_spent(
    newsroom: Studio, api: AnthropicStandIn, session: str
) -> None:
    api.script.append("pings")
    go_live(newsroom, session)
    eventually("an attempt", lambda: newsroom.items(session, "usage"))
    newsroom.command(session, "stop")
    newsroom.wait_state(session, "idle")
    [row] = newsroom.items(session, "usage")
    assert (row["state"], row["exact"]) == ("bounded", False)
    assert newsroom.stats(session)["story_count"] == 0
    bounds = newsroom.stats(session)["cost_bounds"]
    assert float(bounds["lower"]) < float(bounds["upper"])


def test_a_model_without_a_price_is_said_and_never_counts_as_free(
    newsroom: Studio, session: str
) -> None:
    newsroom.call("PATCH", f"/api/sessions/{session}", {"settings": {"model": "claude-unheard-of"}})
    go_live(newsroom, session)
    newsroom.wait_stories(session, 2)
    stats = newsroom.stats(session)
    assert stats["message_count"] == 1
    assert stats["unpriced_calls"] >= 2
    assert {row["cost"] for row in newsroom.items(session, "usage") if row["exact"]} == {None}


def test_the_key_is_found_in_no_log_no_row_and_no_page(newsroom: Studio, session: str) -> None:
    go_live(newsroom, session)
    newsroom.wait_stories(session, 1)
    seen = [newsroom.log.read_bytes()]
    seen += [path.read_bytes() for path in newsroom.data.rglob("*") if path.is_file()]
    seen.append(newsroom.call("GET", f"/api/sessions/{session}/events").body.__repr__().encode())
    assert not any(KEY.encode() in each for each in seen)
