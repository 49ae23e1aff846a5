"""The AI chain's page in a browser: it grows as stories are told, and is put right with the keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

LOSE = (
    "from sessions_app.models import Chain;"
    "print(Chain.objects.filter(session='{session}').update(head=None))"
)


def test_the_chain_grows_while_it_is_looked_at(owner: Page, studio: Studio) -> None:
    session = studio.create("Links", RECORDING, pace=0, model="extractive")
    owner.goto(f"{studio.url}/broadcast/{session}/chain/")
    expect(owner.get_by_text("The chain is empty.")).to_be_visible()
    studio.command(session, "start")
    studio.wait_stories(session, 5)
    studio.command(session, "stop")
    studio.wait_state(session, "idle")
    studio.wait_filed(session)
    links = int(studio.call("GET", f"/api/sessions/{session}/chain").body["links"])
    expect(owner.locator("tbody th").first).to_have_text(str(links))
    expect(owner.locator(".chain-node")).to_have_count(min(links, 20))
    expect(owner.locator(".chain-state")).to_have_text("SYNCED")


def test_a_chain_is_put_right_by_keyboard(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    lost = studio.manage("shell", "-c", LOSE.format(session=told["session"]))
    assert lost.stdout.strip().endswith("1"), lost.stderr
    owner.goto(f"{studio.url}/broadcast/{told['session']}/chain/")
    expect(owner.locator(".chain-state")).to_have_text("OUT_OF_SYNC")
    owner.get_by_role("button", name="Repair").focus()
    owner.keyboard.press("Enter")
    expect(owner.locator(".chain-state")).to_have_text("SYNCED")


@pytest.mark.slow
def test_links_are_turned_and_found_without_a_mouse(
    owner: Page, studio: Studio, told: dict[str, str]
) -> None:
    owner.goto(f"{studio.url}/broadcast/{told['session']}/chain/")
    owner.get_by_role("link", name="Older links").focus()
    owner.keyboard.press("Enter")
    expect(owner.get_by_role("heading", name="Links before")).to_be_visible()
    owner.get_by_label("Id or number of a link").fill("7")
    owner.keyboard.press("Enter")
    expect(owner.get_by_role("heading", name="Up to link 7")).to_be_visible()
    expect(owner.locator("tr[aria-current] th")).to_have_text("7")
