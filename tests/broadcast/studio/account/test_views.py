"""User Settings: every control with its effect; nobody sees or touches what is another person's."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from pydantic import SecretStr

from sessions_app import api_tokens, credentials, preferences
from sessions_app.models import ApiToken, Preferences, SealedKey
from tests.markup import unbroken
from tests.standins.anthropic import AnthropicStandIn

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}
KEY = "sk-ant-canary-0123456789-wxyz"
OLD, NEW = "olga-has-a-password", "a-fresh-and-long-one"
ClientOf = Callable[[User], Client]


@pytest.fixture
def browser(owner: User, client_of: ClientOf) -> Client:
    return client_of(owner)


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def anthropic(settings: Any) -> Iterator[AnthropicStandIn]:
    with AnthropicStandIn() as stand_in:
        settings.SMNB = settings.SMNB.model_copy(update={"anthropic_base_url": stand_in.url})
        yield stand_in


def text(answer: Any) -> str:
    return html.unescape(unbroken(answer.content.decode()))


def page(browser: Client) -> str:
    return text(browser.get("/account/"))


def test_the_profile_is_changed_and_the_user_name_stays(browser: Client, owner: User) -> None:
    said = {"first_name": "Olga", "last_name": "Nowak", "email": "o@example.org", "username": "x"}
    answer = browser.post("/account/profile/", said)
    assert answer["Location"] == "/account/?saved=profile#profile"
    owner.refresh_from_db()
    found = (owner.username, owner.first_name, owner.last_name, owner.email)
    assert found == ("olga", "Olga", "Nowak", "o@example.org")
    assert 'value="Nowak"' in page(browser)


def test_the_public_name_is_set_and_shown_again(browser: Client, owner: User) -> None:
    assert preferences.of(owner).byline == ""
    browser.post("/account/profile/", {"byline": "Olga N."})
    assert preferences.of(owner).byline == "Olga N."
    assert 'value="Olga N."' in page(browser)


def test_a_wrong_address_comes_back_with_the_reason(browser: Client, owner: User) -> None:
    answer = browser.post("/account/profile/", {"first_name": "Olga", "email": "nowhere"})
    assert answer.status_code == 422
    assert 'value="nowhere"' in text(answer)
    owner.refresh_from_db()
    assert (owner.first_name, owner.email) == ("", "")


def new_password(new: str, old: str = OLD) -> dict[str, str]:
    return {"old_password": old, "new_password1": new, "new_password2": new}


def test_a_new_password_keeps_this_browser_signed_in_and_ends_the_others(
    browser: Client, owner: User, client_of: ClientOf
) -> None:
    other = client_of(owner)
    assert browser.post("/account/password/", new_password(NEW)).status_code == 302
    owner.refresh_from_db()
    assert owner.check_password(NEW)
    assert browser.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302


@pytest.mark.parametrize(
    "wrong",
    [
        new_password("short"),
        new_password("password"),
        new_password(NEW, old="guessed"),
        {**new_password(NEW), "new_password2": "another"},
    ],
)
def test_a_bad_password_is_refused(browser: Client, owner: User, wrong: dict[str, str]) -> None:
    answer = browser.post("/account/password/", wrong)
    assert answer.status_code == 422
    assert "errorlist" in text(answer)
    owner.refresh_from_db()
    assert owner.check_password(OLD)


def test_the_old_password_cannot_be_guessed_for_long(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions_app.rate_limits.time.time", lambda: 1_000_000.0)
    for _ in range(10):
        browser.post("/account/password/", new_password(NEW, old="guessed"))
    answer = browser.post("/account/password/", new_password(NEW), headers=HTMX)
    assert answer.status_code == 429


def test_a_key_is_set_and_shown_by_its_end_alone(browser: Client, owner: User) -> None:
    answer = browser.post("/account/keys/anthropic/", {"api_key": KEY})
    assert answer["Location"] == "/account/?saved=keys#keys"
    assert credentials.parts(owner, "anthropic") == {"api_key": KEY}
    shown = page(browser)
    assert "…wxyz" in shown
    assert "canary" not in shown


def test_a_key_is_replaced(browser: Client, owner: User) -> None:
    for key in (KEY, "sk-ant-another-0123456789"):
        browser.post("/account/keys/anthropic/", {"api_key": key})
    assert credentials.parts(owner, "anthropic") == {"api_key": "sk-ant-another-0123456789"}
    assert SealedKey.objects.count() == 1


def test_reddit_has_two_parts(browser: Client, owner: User) -> None:
    parts = {"client_id": "client-id", "client_secret": "client-secret"}
    browser.post("/account/keys/reddit/", parts)
    assert credentials.parts(owner, "reddit") == parts


def test_a_wrong_key_is_refused_and_not_shown_again(browser: Client) -> None:
    answer = browser.post("/account/keys/anthropic/", {"api_key": "canary with spaces"})
    assert answer.status_code == 422
    assert "no spaces" in text(answer)
    assert "canary" not in text(answer)
    assert not SealedKey.objects.exists()


def test_a_key_is_removed(browser: Client) -> None:
    browser.post("/account/keys/anthropic/", {"api_key": KEY})
    assert browser.post("/account/keys/anthropic/remove/").status_code == 302
    assert not SealedKey.objects.exists()


def test_a_key_is_tested_with_and_without_script(
    browser: Client, anthropic: AnthropicStandIn
) -> None:
    browser.post("/account/keys/anthropic/", {"api_key": KEY})
    fragment = text(browser.post("/account/keys/anthropic/test/", headers=HTMX))
    assert "Works: 3 models." in fragment
    assert fragment.startswith('<div class="key"')
    anthropic.mode = "bad_key"
    assert browser.post("/account/keys/anthropic/test/")["Location"] == "/account/#keys"
    assert "refused the API key" in page(browser)


def test_there_is_nothing_to_test_or_remove_without_a_key(browser: Client) -> None:
    for what in ("test", "remove"):
        answer = browser.post(f"/account/keys/anthropic/{what}/", headers=HTMX)
        assert answer.status_code == 404
        assert "You have no Anthropic key here" in text(answer)


def test_the_page_says_whose_key_is_used(browser: Client, settings: Any) -> None:
    assert "use the posts' own words" in page(browser)
    operators = {"anthropic_api_key": SecretStr("operator-key-0123")}
    settings.SMNB = settings.SMNB.model_copy(update=operators)
    assert "use the workspace's key" in page(browser)
    assert "0123" not in page(browser)


def test_a_token_is_shown_once_and_works(browser: Client, owner: User) -> None:
    answer = browser.post("/account/tokens/", {"name": "quarterly figures"})
    token = text(answer).split('id="new-token" type="text" value="')[1].split('"')[0]
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    assert api_tokens.owner_of(token) == owner
    again = page(browser)
    assert token not in again
    assert token[-4:] in again
    assert "quarterly figures" in again


def test_a_token_needs_a_name(browser: Client) -> None:
    assert browser.post("/account/tokens/", {"name": " "}).status_code == 422
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_token_is_revoked(browser: Client, owner: User, headers: dict[str, str]) -> None:
    token = api_tokens.named(owner, "quarterly figures")
    path = f"/account/tokens/{ApiToken.objects.get().pk}/revoke/"
    answer = browser.post(path, headers=headers)
    assert answer.status_code == (200 if headers else 302)
    assert api_tokens.owner_of(token) is None
    assert "quarterly figures" not in page(browser)


DEFAULTS = {
    "model": "extractive",
    "personality": "formal",
    "verbosity": "",
    "pace": "0",
    "language": "de",
    "instructions": "",
    "control_mode": "balanced",
}


def test_defaults_are_kept_and_a_new_session_has_them(browser: Client, owner: User) -> None:
    assert browser.post("/account/defaults/", DEFAULTS).status_code == 302
    kept = Preferences.objects.get(user=owner).defaults
    assert kept == {
        "model": "extractive",
        "personality": "formal",
        "pace": 0,
        "language": "de",
        "control_mode": "balanced",
    }
    assert '<option value="extractive" selected>' in page(browser)


@pytest.mark.parametrize(
    "wrong", [{"pace": "30"}, {"model": "no-such"}, {"language": "e"}, {"personality": "rude"}]
)
def test_wrong_defaults_come_back_with_the_reason(
    browser: Client, owner: User, wrong: dict[str, str]
) -> None:
    answer = browser.post("/account/defaults/", {**DEFAULTS, **wrong})
    assert answer.status_code == 422
    assert "errorlist" in text(answer)
    assert not Preferences.objects.exists()


def test_the_theme_is_painted_by_the_server(browser: Client, owner: User) -> None:
    assert '<html lang="en" data-theme="system"' in page(browser)
    assert browser.post("/account/theme/", {"theme": "dark"}).status_code == 302
    for path in ("/account/", "/sessions/", "/settings/"):
        assert '<html lang="en" data-theme="dark"' in text(browser.get(path))
    assert Preferences.objects.get(user=owner).theme == "dark"


def test_the_button_in_the_bar_keeps_the_theme_without_a_page(browser: Client) -> None:
    answer = browser.post("/account/theme/", {"theme": "light"}, headers=HTMX)
    assert (answer.status_code, answer.content) == (204, b"")
    assert Preferences.objects.get().theme == "light"
    assert browser.post("/account/theme/", {"theme": "pink"}, headers=HTMX).status_code == 422


def test_who_is_not_signed_in_gets_no_theme_and_no_cookie() -> None:
    answer = Client().get("/login/")
    assert '<html lang="en">' in text(answer)


def test_a_stranger_sees_and_touches_nothing_of_it(
    browser: Client, owner: User, stranger: User, client_of: ClientOf
) -> None:
    browser.post("/account/keys/anthropic/", {"api_key": KEY})
    token = api_tokens.named(owner, "quarterly figures")
    other = client_of(stranger)
    shown = page(other)
    assert "wxyz" not in shown
    assert "quarterly figures" not in shown
    other.post("/account/keys/anthropic/remove/")
    other.post(f"/account/tokens/{ApiToken.objects.get().pk}/revoke/")
    assert SealedKey.objects.filter(owner=owner).exists()
    assert api_tokens.owner_of(token) == owner


def test_the_page_costs_the_same_for_many_tokens(
    browser: Client, owner: User, django_assert_num_queries: Any
) -> None:
    browser.get("/account/")
    for number in range(12):
        api_tokens.named(owner, str(number))
    with django_assert_num_queries(7):
        browser.get("/account/")
