"""The log in a browser: what goes wrong on a page is told to it, and its lines are found by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import RECORDING
from tests.endtoend.studio_process import Studio, eventually

pytestmark = pytest.mark.browser

BREAK = """
setTimeout(() => missingFunction(), 0);
Promise.reject(new Error("a promise was refused"));
document.body.append(Object.assign(document.createElement("img"), { src: "https://foreign.example/x" }));
void htmx.ajax("GET", "/nowhere/", "body");
"""
TOLD = ("missingFunction is not defined", "a promise was refused", "img-src refused", "404")


def test_what_goes_wrong_on_a_page_is_told_to_its_session(
    owner_context: BrowserContext, studio: Studio
) -> None:
    session = studio.create("Broken", RECORDING, pace=0, model="extractive")
    page = owner_context.new_page()
    page.goto(f"{studio.url}/broadcast/{session}/")
    page.evaluate(BREAK)
    address = f"{studio.url}/broadcast/{session}/log/?environment=browser"
    # In another tab: the broken one goes to the page that was not found, whenever its answer comes.
    log = owner_context.new_page()
    eventually("all four are told", lambda: _said(log, address))
    assert log.locator(".line").count() < 10
    for each in (page, log):
        each.close()


@pytest.mark.parametrize("part", ["", "overlay/"])
@pytest.mark.slow
def test_what_goes_wrong_on_a_page_of_the_audience_is_told_without_a_cookie(
    page: Page, owner: Page, studio: Studio, page_errors: list[str], part: str
) -> None:
    session = studio.create("Broken in public", RECORDING, pace=0, model="extractive")
    shown = studio.call("PATCH", f"/api/sessions/{session}", {"visible": True}).body
    page.goto(f"{studio.url}/watch/{shown['watch_url'].split('/watch/')[1]}{part}")
    page.evaluate(BREAK)
    address = f"{studio.url}/broadcast/{session}/log/?environment=browser&text=audience"
    eventually("all four are told", lambda: _said(owner, address))
    assert page.context.cookies() == []
    page_errors.clear()


def _said(page: Page, address: str) -> bool:
    page.goto(address)
    text = page.locator("#lines").inner_text()
    return all(words in text for words in TOLD)


@pytest.mark.slow
def test_lines_are_filtered_and_a_request_followed_by_keyboard(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/{told['session']}/log/")
    owner.get_by_label("Environment").select_option("agent")
    owner.get_by_label("Text or line id").fill("answered")
    owner.keyboard.press("Enter")
    expect(owner.locator(".line").first).to_contain_text("in narrate")
    expect(owner.locator(".line .badge", has_text="worker")).to_have_count(0)
    request = owner.locator(".line-ids a").first
    request.focus()
    owner.keyboard.press("Enter")
    expect(owner.get_by_label("Request id")).not_to_have_value("")
    expect(owner.get_by_role("link", name="Older lines")).to_be_visible()
