"""A newcomer's browser: sign in, go live, watch stories come and figures move."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser


def go_live(page: Page, studio: Studio, session: str) -> None:
    page.goto(f"{studio.url}/broadcast/{session}/")
    page.get_by_role("button", name="Go Live").click()
    expect(page.locator("#feed article").first).to_be_visible()


def figure(page: Page, name: str) -> str:
    return page.locator("#figures .figure", has_text=name).locator("strong").inner_text()


def test_going_live_brings_stories_and_moves_the_figures(owner: Page, studio: Studio) -> None:
    session = studio.create("First light", RECORDING, pace=600, model="extractive")
    go_live(owner, studio, session)
    expect(owner.locator("#overview-live")).to_contain_text("LIVE")
    expect(owner.locator("#figures")).to_contain_text(re.compile(r"Stories\s*[1-9]"))
    first = owner.locator("#duration strong").inner_text()
    expect(owner.locator("#duration strong")).not_to_have_text(first)
    expect(owner.locator("#queue li").first).to_be_visible()
    stop, undo = owner.locator("#air-stop"), owner.get_by_role("button", name="Undo")
    stop.press("Enter")
    asks = owner.get_by_role("dialog", name="Stop the broadcast?")
    expect(asks.get_by_role("button", name="After this story")).to_be_focused()
    owner.keyboard.press("Escape")
    expect(asks).to_be_hidden()
    expect(stop).to_be_focused()
    # Undone from the keyboard alone, and the run has stayed live.
    for choice, word in (("After this story", "Stops after this story"), ("Now", "Stops in 0:0")):
        stop.press("Enter")
        asks.get_by_role("button", name=choice).press("Enter")
        expect(owner.locator(".air-ending")).to_contain_text(word)
        expect(owner.locator("#announce")).to_contain_text("unless you press Undo")
        expect(undo).to_be_focused()
        undo.press("Enter")
        expect(stop).to_be_focused()
    assert studio.stats(session)["broadcast_state"] == "live"
    stop.press("Enter")
    asks.get_by_role("button", name="Now").click()
    expect(owner.locator("#overview-live")).to_contain_text("Off air", ignore_case=True)
    expect(owner.get_by_role("button", name="Go Live")).to_be_visible()


@pytest.mark.slow
def test_switching_sessions_shows_only_the_other_ones_content(owner: Page, studio: Studio) -> None:
    first = studio.create("Full", RECORDING, pace=0, model="extractive")
    second = studio.create("Empty", RECORDING, pace=0, model="extractive")
    go_live(owner, studio, first)
    owner.locator(".switcher summary").click()
    owner.locator(".switcher").get_by_role("link", name="Empty").click()
    expect(owner.locator("#session-name")).to_have_text("Empty")
    expect(owner.locator("#feed article")).to_have_count(0)
    assert figure(owner, "Stories") == "0"
    assert studio.stats(second)["story_count"] == 0
    studio.command(first, "stop")


def test_going_live_without_a_session_says_so(
    owner: Page, studio: Studio, page_errors: list[str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/")
    expect(owner.get_by_text("No session selected.")).to_be_visible()
    owner.get_by_role("button", name="Go Live").click()
    expect(owner.locator("#refusal")).to_contain_text("session first")
    page_errors[:] = [text for text in page_errors if "409" not in text]


def test_the_audience_watches_without_signing_in(page: Page, studio: Studio) -> None:
    session = studio.create("In public", RECORDING, pace=600, model="extractive")
    shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
    page.goto(shown["watch_url"].replace("localhost", "127.0.0.1"))
    studio.command(session, "start")
    expect(page.locator("#feed li").first).to_be_visible()
    expect(page.locator("#air-public")).to_contain_text("LIVE")
    assert "$" not in page.content()
    studio.command(session, "stop")
