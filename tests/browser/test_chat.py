"""Talking with the producer in a browser: by keyboard alone, live, and with a click for each change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import RECORDING, new_context, sign_in
from tests.browser.page_helpers import live, of_session, off_air
from tests.endtoend.studio_process import Studio, eventually
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.browser

INTERESTS = "stories_interest"
SAID = "Seven owls are next, and after them the ferry of Hollow Isle. " * 8


@pytest.fixture
def desk(owner: Page, studio: Studio) -> Page:
    """The desk of a new session that is off air."""
    session = studio.create("A talk", RECORDING, model="extractive", pace=180)
    owner.goto(f"{studio.url}/broadcast/{session}/#chat")
    return owner


def session_of(page: Page) -> str:
    return page.url.split("#")[0].rstrip("/").rsplit("/", 1)[1]


def interests(page: Page, studio: Studio) -> list[tuple[str, int]]:
    return [(row["text"], row["weight"]) for row in of_session(studio, INTERESTS, session_of(page))]


def test_a_question_is_asked_and_answered_by_keyboard_alone(desk: Page) -> None:
    text = desk.get_by_label("Message to the producer")
    text.focus()
    desk.keyboard.type("What does it")
    desk.keyboard.press("Shift+Enter")
    desk.keyboard.type("cost?")
    desk.keyboard.press("Enter")
    expect(desk.locator(".message").filter(has_text="So far it cost $0.0000")).to_be_visible()
    expect(desk.locator('.message[data-role="human"]')).to_contain_text("What does it")
    expect(text).to_have_value("")
    expect(text).to_be_focused()
    expect(desk.locator("#answering")).to_be_empty()
    expect(desk.get_by_role("status").filter(has_text="Producer: So far it cost")).to_have_count(1)


def test_a_plan_is_applied_by_one_click_and_keeps_the_focus(desk: Page, studio: Studio) -> None:
    desk.get_by_role("button", name="More science, less sport, slower").click()
    plan = desk.get_by_role("group", name="Plan of the producer")
    expect(plan).to_contain_text("Cover more of “science”.")
    assert interests(desk, studio) == []
    plan.get_by_role("button", name="Apply").press("Enter")
    expect(plan).to_contain_text("Applied")
    expect(plan.get_by_role("button")).to_have_count(0)
    expect(desk.locator(".message:focus")).to_contain_text("Applied")
    assert interests(desk, studio) == [("science", 1), ("sport", -1)]
    assert studio.get(f"/sessions/{session_of(desk)}")["settings"]["pace"] == 140
    expect(desk.locator("#interests")).to_contain_text("science")
    desk.reload()
    expect(plan).to_contain_text("Applied")


@pytest.mark.slow
def test_a_dismissed_plan_changes_nothing(desk: Page, studio: Studio) -> None:
    desk.get_by_role("button", name="More science, less sport, slower").click()
    plan = desk.get_by_role("group", name="Plan of the producer")
    plan.get_by_role("button", name="Dismiss").click()
    expect(plan).to_contain_text("Dismissed")
    assert interests(desk, studio) == []


def test_the_broadcast_is_run_from_the_chat_in_plain_words(desk: Page, studio: Studio) -> None:
    text = desk.get_by_label("Message to the producer")
    plan = desk.get_by_role("group", name="Plan of the producer").last
    for words, sentence in (
        ("Let's go live", "Go live."),
        ("Break in: the tunnel is closed.", "and read: “The tunnel is closed.”"),
        ("Can you stop after this story?", "Stop the broadcast after the story on air."),
    ):
        text.fill(words)
        text.press("Enter")
        expect(plan).to_contain_text(sentence)
        expect(plan).not_to_contain_text(re.compile(r"broadcast\.|story\."))
        plan.get_by_role("button", name="Apply").click()
        expect(plan).to_contain_text("Applied")
        if words.startswith("Let's"):
            # In a part of the desk that is closed here.
            expect(desk.locator("#onair h3")).to_have_count(1)
    expect(desk.locator(".air-ending")).to_have_text("Stops after this story")
    text.fill("What is the price of bread in Rome?")
    text.press("Enter")
    answer = desk.locator('.message[data-role="producer"]').last
    expect(answer).to_contain_text("I do not know what you mean by that")
    off_air(studio, session_of(desk))


@pytest.mark.slow
def test_an_interest_is_taken_back_at_the_desk(desk: Page, studio: Studio) -> None:
    desk.goto(f"{studio.url}/sessions/{session_of(desk)}/#tab-sources")
    form = desk.get_by_role("form", name="Add an interest")
    form.get_by_label("Show", exact=True).select_option("less")
    form.get_by_label("Of", exact=True).fill("traffic")
    form.get_by_role("button", name="Add").click()
    expect(desk.locator("#interests")).to_contain_text("traffic")
    assert interests(desk, studio) == [("traffic", -1)]
    desk.goto(f"{studio.url}/broadcast/{session_of(desk)}/#chat")
    desk.get_by_role("button", name="No longer less traffic").click()
    expect(desk.locator("#interests > li")).to_have_count(0)
    assert interests(desk, studio) == []


@pytest.mark.slow
def test_it_works_without_script(browser: Browser, studio: Studio) -> None:
    session = studio.create("No script", RECORDING, model="extractive")
    context = new_context(browser, java_script_enabled=False)
    page = context.new_page()
    sign_in(page, studio)
    page.goto(f"{studio.url}/broadcast/{session}/#chat")
    page.get_by_label("Message to the producer").fill("Less sport")
    page.get_by_role("button", name="Send").click()
    expect(page.locator('.message[data-role="human"]')).to_contain_text("Less sport")
    eventually("an answer", lambda: len(studio.items(session, "messages")) > 1)
    page.reload()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("group", name="Plan of the producer")).to_contain_text("Applied")
    assert interests(page, studio) == [("sport", -1)]
    context.close()


@pytest.fixture
def spoken(owner: Page, studio: Studio, model: AnthropicStandIn) -> Iterator[Page]:
    """The owner's page while there is a key and the model speaks slowly."""
    before = model.text, model.pause
    model.text, model.pause = json.dumps({"reply": SAID, "plan": []}), 0.15
    owner.goto(f"{studio.url}/account/")
    with_key(owner, studio, "key-of-the-suite")
    yield owner
    with_key(owner, studio, "")
    model.text, model.pause = before


def with_key(page: Page, studio: Studio, key: str) -> None:
    """Keep the key as the account page does, or remove it."""
    token = page.locator("input[name=csrfmiddlewaretoken]").first.input_value()
    path = f"{studio.url}/account/keys/anthropic/{'' if key else 'remove/'}"
    form: dict[str, str | float | bool] = {"csrfmiddlewaretoken": token, "api_key": key}
    headers = {"Referer": studio.url, "Origin": studio.url}
    assert page.request.post(path, form=form, headers=headers).ok


@pytest.mark.slow
def test_the_words_come_as_they_are_written_and_a_reload_shows_them(
    spoken: Page, studio: Studio
) -> None:
    session = studio.create("Word by word", model="claude-haiku-4-5")
    spoken.goto(f"{studio.url}/broadcast/{session}/#chat")
    spoken.get_by_role("button", name="What is next?").click()
    answering = spoken.locator("#answering")
    expect(answering).to_contain_text("Seven owls")
    spoken.reload()
    expect(answering).to_contain_text("Seven owls")
    answer = spoken.locator('.message[data-role="producer"]')
    expect(answer).to_contain_text(SAID.strip()[-40:])
    expect(answering).to_be_empty()


@pytest.mark.slow
def test_the_chat_goes_on_while_the_broadcast_does(owner: Page, studio: Studio) -> None:
    session = live(studio, "Live talk")
    owner.goto(f"{studio.url}/broadcast/{session}/#chat")
    owner.get_by_role("button", name="What is next?").click()
    answer = owner.locator('.message[data-role="producer"]').first
    expect(answer).to_contain_text("posts wait in all")
    off_air(studio, session)
