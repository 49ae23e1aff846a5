"""The guided start in a browser: from the first sign-in to a session of one's own on air."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page_helpers import rows
from tests.endtoend.studio_process import PASSWORD, Studio
from tests.standins.feeds import FeedStandIn

pytestmark = pytest.mark.browser

COUNT_CLICKS = """addEventListener("click", () => {
  sessionStorage.setItem("clicks", 1 + Number(sessionStorage.getItem("clicks")));
}, true);"""


@pytest.mark.own_context
def test_a_newcomer_is_live_with_pasted_feeds_in_at_most_eight_clicks(
    page: Page, studio: Studio, people: tuple[str, str, str]
) -> None:
    page.add_init_script(COUNT_CLICKS)
    page.goto(studio.url)
    page.get_by_label("Username").fill(people[2])
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Start your newsroom")).to_be_visible()
    expect(page.locator("#sample-text")).to_contain_text("tidal turbine")
    with FeedStandIn() as feeds:
        addresses = [feeds.publish_distinct(name, 3) for name in ("harbour", "inland")]
        pasted = page.get_by_label("Or paste your own")
        expect(pasted).to_be_focused()
        pasted.fill("\n".join([*addresses, "not an address"]))
        checked = page.locator("#start-list li")
        expect(checked.filter(has_text="Fetched 3 posts, newest")).to_have_count(2)
        expect(checked.last).to_have_attribute("data-ok", "false")
        pasted.fill("\n".join(addresses))
        expect(checked).to_have_count(2)
        expect(page.locator("#start-sample")).to_contain_text("A story of your first source")
        page.get_by_role("button", name="Next: Choose the voice").click()
        page.get_by_label("Formal").check()
        page.get_by_role("button", name="Next: Add keys").click()
        expect(page.get_by_text("Without a key the host reads sentences")).to_be_visible()
        page.get_by_role("button", name="Next: Name it and go live").click()
        expect(page.get_by_text("nothing costs money")).to_be_visible()
        page.get_by_label("Name of the session").fill("Ines on air")
        page.get_by_role("button", name="Go Live").click()
        expect(page.locator("#session-name")).to_have_text("Ines on air")
        expect(page.locator("#state [data-state=live]")).to_be_attached()
        assert int(page.evaluate("sessionStorage.getItem('clicks')")) == 6
        [session] = rows(studio, "SELECT * FROM sessions_app_session WHERE name = 'Ines on air'")
        assert (session["model"], session["personality"]) == ("extractive", "formal")
        read = "SELECT locator FROM stories_source WHERE session_id = ? ORDER BY id"
        assert [row["locator"] for row in rows(studio, read, session["id"])] == addresses
        page.goto(f"{studio.url}/start/")
        expect(page.locator(".start-on-air")).to_contain_text("Ines on air is on air already.")


@pytest.mark.slow
def test_the_guided_start_says_what_is_missing_and_goes_back(
    owner: Page, studio: Studio, page_errors: list[str]
) -> None:
    owner.goto(f"{studio.url}/start/")
    owner.get_by_role("button", name="Next: Choose the voice").click()
    expect(owner.get_by_text("Choose a topic, or paste a source.")).to_be_visible()
    owner.get_by_label("Curiosity Lab").check()
    expect(owner.locator("#start-list li")).to_have_count(3)
    owner.keyboard.press("Enter")
    expect(owner.get_by_label("Language")).to_be_visible()
    owner.get_by_label("Language").fill("e")
    owner.get_by_role("link", name="Go live").click()
    owner.get_by_role("button", name="Go Live").click()
    # The step with the error is open, with what was typed.
    expect(owner.locator(".field-wrong")).to_contain_text("at least 2 characters")
    expect(owner.get_by_label("Language")).to_have_value("e")
    [refused] = page_errors
    assert "422" in refused
    page_errors.clear()
