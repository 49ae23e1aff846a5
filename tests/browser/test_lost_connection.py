"""The connection of an open desk ends: the page says so, comes back by itself, and works on."""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_helpers import live, off_air, one, rundown
from tests.endtoend.studio_process import Studio, eventually, free_port, served_by_uvicorn

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


# Of each socket of the page: the code with which it was closed.
NOTE_CODES = """
window.codes = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("close", (event) => codes.push(event.code));
  }
};
"""


def test_a_page_that_is_open_for_a_day_connects_again_and_has_missed_nothing(
    owner: Page, studio: Studio
) -> None:
    session = live(studio, "A long day", pace=600)
    short = {"PORT": str(free_port()), "SMNB_SOCKET_SECONDS": "1"}
    with served_by_uvicorn(studio, **short) as (web, _):
        owner.add_init_script(NOTE_CODES)
        owner.goto(f"{web.url}/broadcast/{session}/")
        expect(owner.locator("#feed article").first).to_be_visible()
        owner.evaluate("window.loaded = 'once'")
        eventually("its time is over", lambda: owner.evaluate("codes.length"))
        # What happens before the page is connected again is shown afterwards.
        off_air(studio, session)
        expect(owner.locator("#overview-live")).to_contain_text("Off air", ignore_case=True)
        told = studio.stats(session)["story_count"]
        expect(owner.locator("#feed article")).to_have_count(told)
        expect(owner.locator("#connection")).to_be_empty()
        assert set(owner.evaluate("codes")) == {4012}
        assert owner.evaluate("window.loaded") == "once"
        owner.goto("about:blank")


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
