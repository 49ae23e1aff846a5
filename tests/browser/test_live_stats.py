"""Live Stats in a browser: it follows the broadcast and leaves the reader's place alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

HIDE = (
    "hidden => Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden})"
)
SHOW = "document.dispatchEvent(new Event('visibilitychange'))"
FOCUS = "document.activeElement.closest('details')?.id"


def stories(page: Page) -> int:
    return int(page.locator("#stats .figure strong").first.inner_text().replace(",", ""))


def on_air(page: Page, studio: Studio) -> str:
    """Open the statistics of a session that has just gone on air."""
    session = studio.create("Figures", RECORDING, pace=6000, model="extractive")
    studio.command(session, "start")
    studio.wait_stories(session, 1)
    page.goto(f"{studio.url}/stats/?session={session}&size=1")
    return session


def told(studio: Studio, session: str) -> int:
    return int(studio.stats(session)["story_count"])


def test_figures_follow_the_broadcast_and_what_is_open_stays_open(
    owner: Page, studio: Studio
) -> None:
    session = on_air(owner, studio)
    owner.locator("#table-stories summary").click()
    before = stories(owner)
    studio.wait_stories(session, before + 2)
    studio.command(session, "stop")
    studio.wait_state(session, "idle")
    expect(owner.locator("#stats .window")).to_contain_text("Frozen off air")
    assert stories(owner) == told(studio, session) > before
    expect(owner.locator("#table-stories")).to_have_attribute("open", "")
    assert owner.evaluate(FOCUS) == "table-stories"


@pytest.mark.slow
def test_a_hidden_page_rests_and_catches_up_when_it_is_seen(owner: Page, studio: Studio) -> None:
    session = on_air(owner, studio)
    owner.evaluate(HIDE, True)
    asked: list[str] = []
    owner.on("request", lambda request: asked.append(request.url))
    studio.wait_stories(session, told(studio, session) + 2)
    studio.command(session, "stop")
    studio.wait_state(session, "idle")
    assert [url for url in asked if "/stats/" in url] == []
    owner.evaluate(HIDE, False)
    owner.evaluate(SHOW)
    expect(owner.locator("#stats .window")).to_contain_text("Frozen off air")
    assert stories(owner) == told(studio, session)


@pytest.mark.slow
def test_the_length_of_a_point_and_the_session_are_chosen(owner: Page, studio: Studio) -> None:
    on_air(owner, studio)
    owner.get_by_role("link", name="15 min").click()
    expect(owner.locator("#chart-stories")).to_contain_text("every 15 min")
    other = studio.create("Quiet one")
    owner.reload()
    owner.locator(".bar-switcher summary").click()
    owner.locator("#switcher-list").get_by_role("link", name="Quiet one").click()
    expect(owner).to_have_url(f"{studio.url}/stats/?session={other}")
    expect(owner.get_by_text("This session has no figures yet.")).to_be_visible()
