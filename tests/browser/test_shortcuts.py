"""The command palette, the shortcuts, and the session that stays while one moves between areas."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING
from tests.browser.page_helpers import live, of_session, off_air, one, rundown
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser
POSTS = "stories_sourcepost"
# What an event of the run does.
REPLACE_BUTTONS = """() => {
  const air = document.getElementById("air");
  air.innerHTML = air.innerHTML;
  document.dispatchEvent(new Event("htmx:afterSettle"));
}"""


def run(page: Page, words: str) -> None:
    page.keyboard.press("Control+k")
    page.get_by_label("Command, page or session").fill(words)
    page.keyboard.press("Enter")


def test_the_palette_leads_to_pages_and_other_sessions(owner: Page, studio: Studio) -> None:
    first = studio.create("Palette one", RECORDING, model="extractive")
    second = studio.create("Palette two", RECORDING, model="extractive")
    owner.goto(f"{studio.url}/stats/?session={first}")
    run(owner, "ai chain")
    expect(owner).to_have_url(f"{studio.url}/broadcast/{first}/chain/")
    owner.wait_for_load_state()
    owner.keyboard.press("Control+k")
    owner.get_by_label("Command, page or session").fill("palette two")
    expect(owner.get_by_role("option", name="Switch to Palette two")).to_be_visible()
    owner.keyboard.press("Enter")
    # The same page of the other session.
    expect(owner).to_have_url(f"{studio.url}/broadcast/{second}/chain/")
    owner.wait_for_load_state()
    owner.keyboard.press("Control+k")
    owner.get_by_label("Command, page or session").fill("zzz")
    expect(owner.get_by_text("No command, page or session matches.")).to_be_visible()
    owner.keyboard.press("Escape")
    expect(owner.locator("#palette")).to_be_hidden()


@pytest.mark.slow
def test_the_palette_goes_live_and_stops(owner: Page, studio: Studio) -> None:
    session = studio.create("Palette live", RECORDING, pace=600, model="extractive")
    owner.goto(f"{studio.url}/broadcast/{session}/")
    run(owner, "go live")
    studio.wait_state(session, "live")
    # Until the page shows that it is live, Stop does not ask.
    expect(owner.locator("#stop-ask")).to_be_attached()
    owner.keyboard.press("Control+k")
    owner.evaluate(REPLACE_BUTTONS)
    owner.get_by_label("Command, page or session").fill("stop the")
    owner.keyboard.press("Enter")
    expect(owner.get_by_role("button", name="After this story")).to_be_focused()
    owner.evaluate(REPLACE_BUTTONS)
    expect(owner.get_by_role("button", name="After this story")).to_be_focused()
    owner.keyboard.press("Escape")
    owner.evaluate(REPLACE_BUTTONS)
    expect(owner.get_by_role("button", name="After this story")).to_be_hidden()
    off_air(studio, session)
    run(owner, "break in")
    expect(owner.get_by_label("Headline")).to_be_focused()
    run(owner, "talk to")
    expect(owner.get_by_label("Message to the producer")).to_be_visible()


def test_single_keys_act_on_the_row_with_the_focus(owner: Page, studio: Studio) -> None:
    session = studio.create("Keys", RECORDING, model="extractive")
    studio.command(session, "start")
    eventually("posts wait", lambda: len(rundown(studio, session)) > 3)
    off_air(studio, session)
    owner.goto(f"{studio.url}/broadcast/{session}/")
    held, pinned, killed, *_ = rundown(studio, session)
    owner.locator(f"#post-{held} summary").focus()
    owner.keyboard.press("h")
    eventually("it is held", lambda: one(studio, POSTS, held)["state"] == "held")
    owner.locator(f"#post-{pinned} summary").focus()
    owner.keyboard.press("p")
    eventually("it is pinned", lambda: one(studio, POSTS, pinned)["pinned"] == 1)
    owner.keyboard.press("?")
    owner.get_by_label("Shortcuts of a single key").uncheck()
    owner.keyboard.press("Escape")
    owner.locator(f"#post-{killed} summary").focus()
    owner.keyboard.press("k")
    run(owner, "keyboard shortcuts")
    owner.get_by_label("Shortcuts of a single key").check()
    owner.keyboard.press("Escape")
    assert one(studio, POSTS, killed)["state"] == "queued"


@pytest.mark.slow
def test_a_waiting_story_is_approved_by_a_key(owner: Page, studio: Studio) -> None:
    session = live(studio, "Approve by key", control_mode="full-control")
    owner.goto(f"{studio.url}/broadcast/{session}/")
    expect(owner.locator("#turns .turn").first).to_be_visible()
    first = of_session(studio, "stories_story", session)[0]["id"]
    owner.keyboard.press("a")
    eventually("it airs", lambda: one(studio, "stories_story", first)["state"] == "airing")
    off_air(studio, session)


def test_the_session_stays_while_one_moves_between_areas(owner: Page, studio: Studio) -> None:
    first = studio.create("Stays", RECORDING, model="extractive")
    second = studio.create("Newer", RECORDING, model="extractive")
    owner.goto(f"{studio.url}/broadcast/{first}/log/")
    for key, page in (
        ("l", f"/stats/?session={first}"),
        ("d", "/docs/"),
        ("m", f"/market/?session={first}"),
        ("u", "/account/"),
        ("b", f"/broadcast/{first}/"),
    ):
        owner.keyboard.press("g")
        owner.keyboard.press(key)
        expect(owner).to_have_url(studio.url + page)
        owner.wait_for_load_state()
    owner.locator(".bar-switcher summary").click()
    owner.get_by_label("Filter sessions by name").fill("newer")
    expect(owner.locator("#switcher-list").get_by_role("link", name="Stays")).to_be_hidden()
    owner.locator("#switcher-list").get_by_role("link", name="Newer").first.click()
    expect(owner).to_have_url(re.compile(f"/broadcast/{second}/"))
