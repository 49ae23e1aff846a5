"""The writers' room in a browser: a draft is started, followed, changed by hand and put on air."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import RECORDING
from tests.browser.page_helpers import live, of_session, off_air, one, to_copy
from tests.endtoend.studio_process import Studio

pytestmark = pytest.mark.browser

KEYWORDS, DRAFTS, VERSIONS = "stories_boardkeyword", "stories_draft", "stories_draftversion"


@pytest.fixture(scope="module")
def session(studio: Studio) -> str:
    """A session off the air that knows the posts of the recording."""
    session = live(studio, "The writers' room")
    off_air(studio, session)
    return session


@pytest.fixture(scope="module")
def known(studio: Studio, session: str) -> str:
    """A word of which the session knows something."""
    titles = [post["title"] for post in of_session(studio, "stories_sourcepost", session)]
    return str(max(re.findall(r"[a-z]+", titles[0]), key=len))


def add_keyword(page: Page, text: str) -> None:
    page.get_by_label("Keyword", exact=True).fill(text)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("checkbox", name=text)).to_be_visible()


def start(page: Page, studio: Studio, session: str, *keywords: str) -> dict[str, Any]:
    """Start a draft by the form; returns its row."""
    page.goto(f"{studio.url}/drafting/?session={session}")
    page.get_by_label("Keywords").fill(", ".join(keywords))
    page.get_by_label("Length in words").fill("150")
    page.get_by_role("button", name="Start the draft").click()
    expect(page).to_have_url(re.compile(r"/drafting/[^/]+/\d+/$"))
    return one(studio, DRAFTS, int(page.url.split("/")[-2]))


def finished(page: Page) -> None:
    expect(page.locator(".draft-badge")).to_have_text("Finished")


@pytest.mark.own_context
def test_a_draft_is_started_from_a_ticked_keyword_and_followed_to_its_end(
    owner: Page, studio: Studio, session: str, known: str
) -> None:
    owner.goto(f"{studio.url}/drafting/?session={session}")
    add_keyword(owner, known)
    owner.get_by_role("checkbox", name=known).check()
    expect(owner.locator("[data-chosen]")).to_have_text(f"Ticked: {known}")
    add_keyword(owner, "something else")
    expect(owner.get_by_role("checkbox", name=known)).to_be_checked()
    owner.get_by_role("button", name="Start the draft").click()
    finished(owner)
    draft = of_session(studio, DRAFTS, session)[-1]
    assert owner.url.endswith(f"/{draft['id']}/")
    assert (draft["keywords"], draft["state"]) == (f'["{known}"]', "finished")
    expect(owner.locator(".draft-turn")).to_have_count(draft["turns"])
    latest = of_session(studio, VERSIONS, session)[-1]
    owner.context.grant_permissions(["clipboard-read", "clipboard-write"])
    owner.get_by_role("button", name="Copy the text").click()
    expect(owner.get_by_text("Copied", exact=True)).to_be_visible()
    assert to_copy(owner).split()[-6:] == latest["text"].split()[-6:]
    owner.get_by_role("button", name="Copy the draft's id").click()
    expect(owner.locator(".draft-id .copied")).to_have_text("Copied")
    assert to_copy(owner) == str(draft["id"])


@pytest.mark.slow
def test_a_text_is_edited_compared_restored_and_put_on_air(
    owner: Page, studio: Studio, session: str, known: str
) -> None:
    draft = start(owner, studio, session, known)
    finished(owner)
    before = one(studio, DRAFTS, draft["id"])["version"]
    owner.get_by_role("link", name="Edit by hand").click()
    owner.get_by_label("Text", exact=True).fill("Entirely rewritten.")
    expect(owner.get_by_text("Unsaved changes")).to_be_visible()
    owner.get_by_label("What you changed").fill("All of it.")
    owner.get_by_role("button", name="Save as version").click()
    expect(owner.locator(".draft-text")).to_contain_text("Entirely rewritten.")
    owner.get_by_role("link", name=f"What changed in version {before + 1}").click()
    expect(owner.locator("ins")).to_have_text(["Entirely rewritten."])
    owner.get_by_role("link", name="Back to the latest, live").click()
    owner.get_by_role("button", name=f"Restore version {before}", exact=True).click()
    expect(owner.locator(".draft-text")).not_to_contain_text("Entirely rewritten.")
    restored = of_session(studio, VERSIONS, session)[-1]
    assert (restored["number"], restored["author"]) == (before + 2, "human")
    owner.get_by_role("button", name="Put it on air").click()
    owner.get_by_role("link", name="Its story").click()
    expect(owner.get_by_role("link", name="From a draft")).to_be_visible()
    story = of_session(studio, "stories_story", session)[-1]
    assert story["draft_id"] == draft["id"]
    assert all(part in restored["text"] for part in story["narrative"].split("\n\n"))


@pytest.mark.slow
def test_a_draft_that_waits_is_told_a_wish_and_stopped_with_the_keyboard(
    owner: Page, studio: Studio
) -> None:
    session = studio.create("Without posts", RECORDING)
    draft = start(owner, studio, session, "anything")
    expect(owner.locator(".draft-badge")).to_have_text("Waiting")
    expect(owner.get_by_text("No text yet.")).to_be_visible()
    expect(owner.get_by_role("button", name="Copy the text")).to_be_hidden()
    owner.get_by_label("Your advice").fill("Shorter.")
    owner.keyboard.press("Tab")
    owner.keyboard.press("Enter")
    expect(owner.locator(".draft-wishes")).to_contain_text("Shorter.")
    assert "Shorter." in one(studio, DRAFTS, draft["id"])["wishes"]
    owner.get_by_role("button", name="Stop").focus()
    owner.keyboard.press("Enter")
    expect(owner.locator(".draft-status .banner")).to_contain_text("Stopped by hand")
    assert one(studio, DRAFTS, draft["id"])["note_code"] == "stopped"


@pytest.mark.slow
def test_a_keyword_is_dragged_to_another_board(owner: Page, studio: Studio) -> None:
    session = studio.create("Dragging")
    owner.goto(f"{studio.url}/drafting/?session={session}")
    add_keyword(owner, "night trams")
    owner.locator(".board-text").drag_to(owner.locator('[data-board="archive"] h2'))
    expect(owner.locator('[data-board="archive"] .board-text')).to_have_text("night trams")
    [keyword] = of_session(studio, KEYWORDS, session)
    assert keyword["board"] == "archive"
