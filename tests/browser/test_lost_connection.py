"""The web process dies under an open desk: the page says so, comes back by itself, and works on."""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_helpers import live, off_air, one, rundown
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

EXPECTED = ("WebSocket", "ERR_CONNECTION", "htmx:", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE")


def end_the_web_process(studio: Studio) -> None:
    web = [pid for pid, line in studio.children().items() if "daphne" in line]
    os.kill(web[0], signal.SIGKILL)


def test_a_desk_comes_back_by_itself_and_has_missed_nothing(
    owner: Page, studio: Studio, page_errors: list[str]
) -> None:
    session = live(studio, "Lost and found", pace=600)
    owner.goto(f"{studio.url}/broadcast/{session}/")
    expect(owner.locator("#feed article").first).to_be_visible()
    owner.evaluate("window.loaded = 'once'")
    end_the_web_process(studio)
    expect(owner.locator("#connection")).to_contain_text("Reconnecting")
    expect(owner.locator("#connection")).to_be_empty()
    off_air(studio, session)
    expect(owner.locator("#overview-live")).to_contain_text("Off air", ignore_case=True)
    told = studio.stats(session)["story_count"]
    expect(owner.locator("#feed article")).to_have_count(told)
    post = rundown(studio, session)[1]
    owner.locator(f"#pin-{post}").click()
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{post}")
    assert one(studio, "stories_sourcepost", post)["pinned"] == 1
    assert owner.evaluate("window.loaded") == "once"
    page_errors[:] = [text for text in page_errors if not any(each in text for each in EXPECTED)]


@pytest.mark.own_context
def test_a_click_without_a_connection_says_that_nothing_happened(
    owner: Page, studio: Studio, page_errors: list[str]
) -> None:
    session = live(studio, "Cut off")
    off_air(studio, session)
    owner.goto(f"{studio.url}/broadcast/{session}/")
    post = rundown(studio, session)[1]
    owner.context.set_offline(True)
    owner.locator(f"#pin-{post}").click()
    expect(owner.locator("#refusal")).to_contain_text("did not answer")
    assert one(studio, "stories_sourcepost", post)["pinned"] == 0
    owner.context.set_offline(False)
    expect(owner.locator("#connection")).to_be_empty()
    owner.locator(f"#pin-{post}").click()
    expect(owner.locator("#queue > li").first).to_have_id(f"post-{post}")
    expect(owner.locator("#refusal")).to_be_empty()
    offline = (*EXPECTED, "ERR_INTERNET_DISCONNECTED")
    page_errors[:] = [text for text in page_errors if not any(each in text for each in offline)]
