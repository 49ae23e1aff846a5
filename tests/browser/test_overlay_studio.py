"""The overlay studio in a browser: from the desk to a link in two clicks, and each theme in its picture."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

SAFE = """(element) => {
  const { left, top, right, bottom } = element.getBoundingClientRect();
  return left >= innerWidth * 0.05 - 1 && right <= innerWidth * 0.95 + 1
    && top >= innerHeight * 0.035 - 1 && bottom <= innerHeight * 0.965 + 1;
}"""
# By theme: what is in the safe area, and what is not shown.
THEMES = {
    "Lower third": ([".lower", ".ticker"], [".overlay-clock", ".overlay-live"]),
    "Sidebar": ([".lower-title", ".lower .ai-label"], []),
    "Ticker": ([".lower", ".lower .ai-label", ".ticker"], [".lower-caption"]),
    "Full screen": ([".lower-title", ".overlay-brand", ".lower .ai-label"], []),
    "Clock and bug": ([".overlay-brand", ".lower .ai-label"], [".lower-title", ".ticker"]),
    "Vertical 9:16": ([".lower", ".overlay-brand", ".lower .ai-label"], [".ticker"]),
}


def preview(page: Page) -> FrameLocator:
    return page.frame_locator("[data-preview]")


def ending(told: dict[str, str], query: str = "") -> re.Pattern[str]:
    """Matches the overlay's address on whatever host the studio names."""
    return re.compile(re.escape(f"/watch/{told['token']}/overlay/{query}") + "$")


def test_two_clicks_lead_from_the_desk_to_the_copied_link(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/{told['session']}/")
    owner.get_by_role("link", name="Overlay for OBS").first.click()
    owner.get_by_role("button", name="Copy").click()
    expect(owner.locator(".copied")).to_have_text("Copied")
    expect(owner.locator("#overlay-copy")).to_have_attribute("data-copy", ending(told))


@pytest.mark.slow
def test_each_theme_is_previewed_linked_and_inside_its_safe_area(
    owner: Page, page: Page, studio: Studio, told: dict[str, str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/{told['session']}/overlay/")
    frame = preview(owner)
    address = owner.locator("#overlay-address")
    for theme, (inside, hidden) in THEMES.items():
        owner.get_by_role("radio", name=theme).check()
        value = owner.locator('[name="layout"]:checked').input_value()
        expect(frame.locator(f'.overlay[data-layout="{value}"]')).to_be_visible()
        for part in inside:
            expect(frame.locator(part)).to_be_visible()
            assert frame.locator(part).evaluate(SAFE), (theme, part)
        for part in hidden:
            expect(frame.locator(part)).to_be_hidden()
        query = "" if value == "lower-third" else f"?layout={value}"
        expect(address).to_have_value(ending(told, query))
    expect(owner.locator('[data-picture="tall"]')).to_be_visible()
    stale = owner.locator("#overlay-stale")
    expect(stale).to_have_text("The look has changed. Copy the link again.")
    owner.get_by_role("button", name="Copy").click()
    expect(stale).to_be_empty()
    expect(owner.get_by_role("group", name="Headlines")).to_be_hidden()

    # What has no effect in one theme is there again in the next, and a colour of one's own counts.
    owner.get_by_role("radio", name="Full screen").check()
    owner.get_by_role("group", name="Headlines").get_by_label("Off").check()
    owner.get_by_role("radio", name="Own colour").check()
    owner.get_by_label("Accent of your own").fill("#ffcc00")
    expect(address).to_have_value(ending(told, "?layout=full&accent=custom&color=ffcc00&ticker=0"))
    mark = frame.locator(".lower-mark")
    expect(mark).to_have_css("background-color", "rgb(255, 204, 0)")
    expect(mark).to_have_css("color", "rgb(16, 20, 27)")
    expect(frame.locator(".ticker")).to_be_hidden()
    owner.reload()
    expect(owner.get_by_role("radio", name="Full screen")).to_be_checked()
    page.goto(address.input_value())
    expect(page.locator('.overlay[data-layout="full"][data-color="ffcc00"]')).to_be_attached()
