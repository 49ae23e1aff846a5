"""A finished broadcast plays again in a browser: pace, pause, jumps, the end; by keyboard too."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import new_context
from tests.browser.page_helpers import of_session
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_a_broadcast_plays_to_its_end_and_again(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    before = studio.stats(told["session"])
    owner.goto(f"{studio.url}/broadcast/{told['session']}/replay/1/")
    owner.get_by_label("Speed").select_option("60")
    expect(owner.locator("#replay-status")).to_have_text("The broadcast is over.")
    expect(owner.locator("#feed > li")).to_have_count(15)
    button = owner.locator("#replay-toggle")
    expect(button).to_have_text("Play again")
    button.press("Enter")
    expect(owner.locator("#replay-status")).not_to_have_text("The broadcast is over.")
    expect(button).to_be_focused()
    assert studio.stats(told["session"]) == before


def test_pause_holds_the_time_and_a_jump_moves_it(
    page: Page, studio: Studio, told: dict[str, str]
) -> None:
    page.goto(f"{studio.url}/watch/{told['token']}/replay/1/")
    expect(page.locator("#replay-clock[data-at]")).to_be_attached()
    page.get_by_role("button", name="Pause").click()
    held = page.locator("#replay-time").inner_text()
    page.wait_for_timeout(1500)
    assert page.locator("#replay-time").inner_text() == held
    link = page.locator("a[data-at]").nth(20)
    link.focus()
    link.press("Enter")
    expect(page.locator("#feed > li")).to_have_count(15)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(link).to_be_focused()


@pytest.mark.slow
def test_nothing_of_a_replay_can_change_the_session_of_today(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/{told['session']}/replay/1/")
    owner.locator("a[data-at]").nth(20).click()
    expect(owner.locator("#feed > li").first).to_be_visible()
    expect(owner.locator("#stage button:visible, #stage form:visible")).to_have_count(0)


@pytest.mark.slow
def test_without_script_it_says_what_is_needed_and_lists_the_stories(
    browser: Browser, studio: Studio, told: dict[str, str]
) -> None:
    context = new_context(browser, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{studio.url}/watch/{told['token']}/replay/1/")
    expect(page.get_by_text("needs JavaScript")).to_be_visible()
    expect(page.locator("#replay-toggle")).to_be_hidden()
    aired = of_session(studio, "broadcast_airing", told["session"])
    expect(page.locator(".replay-stories li")).to_have_count(len(aired))
    context.close()
