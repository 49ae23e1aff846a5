"""User Settings in a browser, by somebody who is not on the staff."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import new_context, sign_in
from tests.browser.page_helpers import rows, to_copy
from tests.endtoend.studio_process import PASSWORD, Studio
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.browser

NEW_PASSWORD = "another-long-sentence"
KEY = "sk-ant-canary-0123456789-wxyz"


@pytest.fixture
def rita(person: Page, studio: Studio) -> Page:
    """Her account's page."""
    person.goto(f"{studio.url}/account/")
    return person


@pytest.fixture
def elsewhere(browser: Browser) -> Iterator[Page]:
    """A page of another browser."""
    context = new_context(browser)
    yield context.new_page()
    context.close()


def of_rita(studio: Studio, table: str, columns: str = "*") -> list[dict[str, Any]]:
    column = "owner_id" if table == "sessions_app_sealedkey" else "user_id"
    query = (
        f"SELECT {columns} FROM {table} WHERE {column} ="
        " (SELECT id FROM auth_user WHERE username = 'rita')"
    )
    return rows(studio, query)


def test_a_profile_is_saved(rita: Page, studio: Studio) -> None:
    form = rita.locator("#profile form")
    form.get_by_label("First name").fill("Rita")
    form.get_by_label("Last name").fill("Reporter")
    form.get_by_label("E-mail").fill("rita@example.org")
    rita.get_by_role("button", name="Save profile").click()
    expect(rita.locator("#profile .saved")).to_have_text("Saved")
    [row] = rows(studio, "SELECT * FROM auth_user WHERE username = 'rita'")
    saved = (row["first_name"], row["last_name"], row["email"])
    assert saved == ("Rita", "Reporter", "rita@example.org")


@pytest.mark.slow
def test_the_theme_of_the_account_is_the_same_in_every_browser(
    rita: Page, studio: Studio, elsewhere: Page
) -> None:
    rita.get_by_label("Light", exact=True).check()
    rita.get_by_role("button", name="Save theme").click()
    expect(rita.locator("#theme .saved")).to_have_text("Saved")
    expect(rita.locator("html")).to_have_attribute("data-theme", "light")
    assert [row["theme"] for row in of_rita(studio, "sessions_app_preferences")] == ["light"]
    elsewhere.context.add_cookies(rita.context.cookies())  # type: ignore[arg-type]
    elsewhere.goto(f"{studio.url}/sessions/")
    expect(elsewhere.locator("html")).to_have_attribute("data-theme", "light")


@pytest.mark.slow
def test_the_button_in_the_bar_keeps_the_theme_too(rita: Page, studio: Studio) -> None:
    other = {"light": "dark", "dark": "light"}
    shown = rita.locator("html").get_attribute("data-theme")
    now = other.get(shown or "", "light")
    with rita.expect_response("**/account/theme/") as answer:
        rita.get_by_role("button", name=f"Theme: switch to {now}").click()
    assert answer.value.status == 204
    expect(rita.locator("html")).to_have_attribute("data-theme", now)
    assert [row["theme"] for row in of_rita(studio, "sessions_app_preferences")] == [now]
    rita.reload()
    expect(rita.locator("html")).to_have_attribute("data-theme", now)
    expect(rita.locator(f"#theme input[value={now}]")).to_be_checked()


def test_a_key_is_set_tested_replaced_and_removed(
    rita: Page, studio: Studio, model: AnthropicStandIn
) -> None:
    tabs = rita.get_by_role("navigation", name="Parts of your settings")
    tabs.get_by_role("link", name="Keys").click()
    expect(tabs.locator("[aria-current=page]")).to_have_text("Keys")
    card = rita.locator("#key-anthropic")
    card.get_by_label("API key").fill(KEY)
    card.get_by_role("button", name="Save the key for Anthropic").click()
    expect(card.locator("code")).to_have_text("…wxyz")
    assert KEY not in rita.content()
    [kept] = of_rita(studio, "sessions_app_sealedkey")
    assert KEY not in kept["sealed"]
    model.mode = "compose"
    card.get_by_role("button", name="Test key for Anthropic").click()
    expect(card.locator("#verdict-anthropic strong")).not_to_be_empty()
    good = card.locator("#verdict-anthropic strong").inner_text()
    model.mode = "bad_key"
    card.get_by_role("button", name="Test key for Anthropic").click()
    expect(card.locator("#verdict-anthropic strong")).not_to_have_text(good)
    model.mode = "compose"
    [tested] = of_rita(studio, "sessions_app_sealedkey")
    assert tested["verdict"] == card.locator("#verdict-anthropic strong").inner_text()
    card.locator("summary").click()
    card.get_by_label("API key").fill(KEY.replace("wxyz", "abcd"))
    card.get_by_role("button", name="Replace the key for Anthropic").click()
    expect(card.locator("code")).to_have_text("…abcd")
    [replaced] = of_rita(studio, "sessions_app_sealedkey")
    assert (replaced["last_four"], replaced["sealed"] == kept["sealed"]) == ("abcd", False)
    card.get_by_role("button", name="Remove the key for Anthropic").click()
    expect(card.locator(".badge")).to_have_text("Not set")
    assert of_rita(studio, "sessions_app_sealedkey") == []


@pytest.mark.own_context
@pytest.mark.slow
def test_an_api_token_is_shown_once_works_and_is_revoked(rita: Page, studio: Studio) -> None:
    rita.context.grant_permissions(["clipboard-read", "clipboard-write"])
    rita.goto(f"{studio.url}/account/#tokens")
    rita.locator("#tokens").get_by_label("Name").fill("weekly report")
    rita.get_by_role("button", name="Make a token").click()
    token = rita.get_by_label("New token").input_value()
    rita.locator(".new-token").get_by_role("button", name="Copy").click()
    expect(rita.locator(".new-token .copied")).to_have_text("Copied")
    assert to_copy(rita) == token
    assert status_with(studio, token) == 200
    rita.goto(f"{studio.url}/account/#tokens")
    assert token not in rita.content()
    rita.get_by_role("button", name="Revoke weekly report").click()
    expect(rita.get_by_text("No tokens yet.")).to_be_visible()
    assert status_with(studio, token) == 401


def status_with(studio: Studio, token: str) -> int:
    answer = studio.call("GET", "/api/sessions", Authorization=f"Bearer {token}")
    return answer.status


@pytest.mark.slow
def test_own_defaults_are_used_by_the_next_new_session(rita: Page, studio: Studio) -> None:
    rita.goto(f"{studio.url}/account/#defaults")
    form = rita.locator("#defaults form")
    form.get_by_label("Personality").select_option("energetic")
    form.get_by_label("Pace").fill("220")
    form.get_by_label("Instructions").fill("Speak of the sea.")
    rita.get_by_role("button", name="Save defaults").click()
    expect(rita.locator("#defaults .saved")).to_have_text("Saved")
    rita.goto(f"{studio.url}/sessions/")
    rita.locator("form[action='/sessions/new/']").get_by_label("Name").fill("By the sea")
    rita.get_by_role("button", name="Create session").click()
    expect(rita.locator("#session-name")).to_have_text("By the sea")
    [made] = rows(studio, "SELECT * FROM sessions_app_session WHERE name = 'By the sea'")
    chosen = (made["personality"], made["pace"], made["instructions"])
    assert chosen == ("energetic", 220, "Speak of the sea.")


@pytest.mark.own_context
@pytest.mark.slow
def test_a_new_password_signs_out_everywhere_else(
    page: Page, studio: Studio, people: tuple[str, str, str], elsewhere: Page
) -> None:
    sign_in(page, studio, people[1])
    elsewhere.context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    page.goto(f"{studio.url}/account/")
    form = page.locator("#password form")
    form.get_by_label("Old password").fill(PASSWORD)
    form.get_by_label("New password", exact=True).fill(NEW_PASSWORD)
    form.get_by_label("New password confirmation").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.locator("#password .saved")).to_have_text("Saved")
    elsewhere.goto(f"{studio.url}/account/")
    expect(elsewhere.get_by_role("button", name="Sign in")).to_be_visible()
    sign_in(elsewhere, studio, people[1], NEW_PASSWORD)
    elsewhere.get_by_role("button", name="Sign out").click()
    expect(elsewhere.get_by_role("button", name="Sign in")).to_be_visible()


@pytest.mark.slow
def test_a_wrong_old_password_changes_nothing(
    rita: Page, studio: Studio, page_errors: list[str]
) -> None:
    before = rows(studio, "SELECT password FROM auth_user WHERE username = 'rita'")
    form = rita.locator("#password form")
    old = form.get_by_label("Old password")
    # A password that the browser fills in is no change; one that is typed is.
    devtools = rita.context.new_cdp_session(rita)
    devtools.send("DOM.enable")
    devtools.send("CSS.enable")
    root = devtools.send("DOM.getDocument")["root"]["nodeId"]
    selector = {"nodeId": root, "selector": "#password [name=old_password]"}
    field = devtools.send("DOM.querySelector", selector)
    forced = {**field, "forcedPseudoClasses": ["autofill"]}
    devtools.send("CSS.forcePseudoState", forced)
    old.fill("filled in")
    expect(form.locator(".form-unsaved")).to_have_text("")
    devtools.send("CSS.forcePseudoState", {**field, "forcedPseudoClasses": []})
    old.fill("not this one")
    expect(form.locator(".form-unsaved")).to_have_text("Unsaved changes")
    form.get_by_label("New password", exact=True).fill("yet-another-sentence")
    form.get_by_label("New password confirmation").fill("yet-another-sentence")
    rita.get_by_role("button", name="Change password").click()
    expect(rita.locator("#password .errorlist")).to_be_visible()
    assert rows(studio, "SELECT password FROM auth_user WHERE username = 'rita'") == before
    page_errors[:] = [text for text in page_errors if "422" not in text]
