"""Whose keys are used: the owner's before the operator's; tested for real; never written down."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from pydantic import SecretStr

from broadcast.narrators.anthropic import AnthropicNarrator
from broadcast.narrators.choice import narrator_for
from broadcast.narrators.extractive import ExtractiveNarrator
from sessions_app import keyring
from sessions_app.errors import Conflict, Invalid, NeedsHuman, NotFound
from sessions_app.limits import TooMany
from sessions_app.models import SealedKey, Session
from stories import key_tests, keys
from stories.keys import RedditKeys
from stories.sources import catalog
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.reddit import RedditStandIn, post

pytestmark = pytest.mark.django_db

OWN, OPERATORS = "sk-own-0123456789", "sk-operator-0123456789"
PAIR = {"client_id": "own-client", "client_secret": "own-secret"}
LEDGER: Any = None


@pytest.fixture
def anthropic() -> Iterator[AnthropicStandIn]:
    with AnthropicStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def reddit() -> Iterator[RedditStandIn]:
    with RedditStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def env(
    settings: Any, anthropic: AnthropicStandIn, reddit: RedditStandIn
) -> Iterator[dict[str, Any]]:
    """The operator's part of the environment; nothing of it is set but the addresses."""
    found = {
        "anthropic_base_url": anthropic.url, "reddit_url": reddit.url,
        "reddit_oauth_url": reddit.url,
    }  # fmt: skip
    settings.SMNB = settings.SMNB.model_copy(update=found)
    forget()
    cache.clear()
    yield found
    forget()


def forget() -> None:
    for made in (catalog._adapters, catalog._reddit):
        made.cache_clear()


def operator_has(settings: Any, **values: Any) -> None:
    settings.SMNB = settings.SMNB.model_copy(update=values)
    forget()


def test_without_any_key_there_are_no_credentials(owner: User, env: Any) -> None:
    assert keys.anthropic_of(owner) is None
    assert keys.reddit_of(owner) is None


def test_the_owners_key_goes_before_the_operators(
    owner: User, stranger: User, env: Any, settings: Any
) -> None:
    operator_has(settings, anthropic_api_key=SecretStr(OPERATORS))
    keyring.keep(owner, "anthropic", {"api_key": OWN})
    mine, theirs = keys.anthropic_of(owner), keys.anthropic_of(stranger)
    assert mine is not None
    assert theirs is not None
    assert (mine.api_key, theirs.api_key) == (OWN, OPERATORS)
    assert mine.base_url == env["anthropic_base_url"]


def test_reddit_keys_go_by_the_same_rule(owner: User, env: Any, settings: Any) -> None:
    operator_has(settings, reddit_client_id="theirs", reddit_client_secret=SecretStr("s"))
    assert keys.reddit_of(owner) == RedditKeys("theirs", "s")
    keyring.keep(owner, "reddit", PAIR)
    assert keys.reddit_of(owner) == RedditKeys(**PAIR)


def test_keys_do_not_show_in_a_repr(owner: User, env: Any) -> None:
    keyring.keep(owner, "anthropic", {"api_key": OWN})
    shown = repr([keys.anthropic_of(owner), RedditKeys(**PAIR)])
    assert not any(secret in shown for secret in (OWN, *PAIR.values()))


def test_a_session_is_narrated_with_its_owners_key(
    session: Session, env: Any, anthropic: AnthropicStandIn
) -> None:
    assert isinstance(narrator_for(session, LEDGER, Event()), ExtractiveNarrator)
    keyring.keep(session.owner, "anthropic", {"api_key": OWN})
    assert isinstance(narrator_for(session, LEDGER, Event()), AnthropicNarrator)
    session.model = "extractive"
    assert isinstance(narrator_for(session, LEDGER, Event()), ExtractiveNarrator)


def test_a_key_that_cannot_be_opened_is_not_replaced_by_the_operators(
    session: Session, env: Any, settings: Any
) -> None:
    operator_has(settings, anthropic_api_key=SecretStr(OPERATORS))
    keyring.keep(session.owner, "anthropic", {"api_key": OWN})
    SealedKey.objects.update(sealed="nonsense")
    brief: Any = None
    with pytest.raises(NeedsHuman, match="Enter it again under User Settings"):
        narrator_for(session, LEDGER, Event()).narrate(brief, print)


def test_sources_are_read_with_the_owners_keys_from_the_next_poll_on(
    owner: User, env: Any, reddit: RedditStandIn
) -> None:
    reddit.publish("tides", [post("a", "One")])
    assert "No Reddit keys" in catalog.adapter("reddit", owner).fetch("r/tides", "hot", {}).notice
    keyring.keep(owner, "reddit", PAIR)
    assert catalog.adapter("reddit", owner).fetch("r/tides", "hot", {}).notice == ""
    assert catalog.adapter("reddit") is not catalog.adapter("reddit", owner)


def test_the_same_keys_share_one_client(owner: User, stranger: User, env: Any) -> None:
    for each in (owner, stranger):
        keyring.keep(each, "reddit", PAIR)
    assert catalog.adapter("reddit", owner) is catalog.adapter("reddit", stranger)
    keyring.keep(stranger, "reddit", {**PAIR, "client_secret": "another-secret"})
    assert catalog.adapter("reddit", owner) is not catalog.adapter("reddit", stranger)


def test_keys_that_cannot_be_opened_stop_the_reading_with_a_sentence(owner: User, env: Any) -> None:
    keyring.keep(owner, "reddit", PAIR)
    SealedKey.objects.update(sealed="nonsense")
    with pytest.raises(NeedsHuman, match="Reddit key"):
        catalog.adapter("reddit", owner)
    assert catalog.adapter("rss", owner).kind == "rss"


def test_an_unknown_kind_is_refused_for_everybody(owner: User, env: Any) -> None:
    with pytest.raises(Invalid, match="recording, reddit, rss"):
        catalog.adapter("newspaper", owner)


def test_a_test_of_the_anthropic_key_really_asks_and_costs_nothing(
    owner: User, env: Any, anthropic: AnthropicStandIn
) -> None:
    keyring.keep(owner, "anthropic", {"api_key": OWN})
    assert key_tests.run(owner, "anthropic") == "Works: 3 models."
    [asked] = anthropic.requests
    assert (asked.method, asked.headers["Authorization"]) == ("GET", f"Bearer {OWN}")
    assert asked.path.startswith("/v1/models")
    row = SealedKey.objects.get()
    assert row.verdict == "Works: 3 models."
    assert row.tested_at is not None


def test_what_is_said_of_a_key_is_not_noted_at_the_one_that_replaced_it(
    owner: User, env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced_meanwhile(_credentials: Any) -> int:
        keyring.keep(owner, "anthropic", {"api_key": "another-key-altogether"})
        return 3

    keyring.keep(owner, "anthropic", {"api_key": OWN})
    monkeypatch.setattr(key_tests, "count_models", replaced_meanwhile)
    with pytest.raises(Conflict, match="was replaced"):
        key_tests.run(owner, "anthropic")
    assert (SealedKey.objects.get().verdict, SealedKey.objects.get().tested_at) == ("", None)


@pytest.mark.parametrize(
    ("mode", "said"),
    [("bad_key", "refused the API key"), ("credit", "no credit"), ("throttled", "is busy"),
     ("overloaded", "is busy"), ("unknown_model", "not Anthropic"), ("prose", "not Anthropic")],
)  # fmt: skip
def test_a_key_that_does_not_work_is_told_why(
    owner: User, env: Any, anthropic: AnthropicStandIn, mode: str, said: str
) -> None:
    anthropic.mode = mode
    keyring.keep(owner, "anthropic", {"api_key": OWN})
    assert said in key_tests.run(owner, "anthropic")
    assert SealedKey.objects.filter(verdict__contains=said).exists()


@pytest.mark.parametrize("silent", [True, False])
def test_a_service_that_is_not_there_is_said_within_seconds(
    owner: User, env: Any, anthropic: AnthropicStandIn, silent: bool
) -> None:
    keyring.keep(owner, "anthropic", {"api_key": OWN})
    if silent:
        anthropic.mode = "silent"
    else:
        anthropic.stop()
    assert key_tests.run(owner, "anthropic").startswith("Anthropic cannot be reached")


def test_a_test_of_the_reddit_keys_fetches_a_token(
    owner: User, env: Any, reddit: RedditStandIn
) -> None:
    keyring.keep(owner, "reddit", PAIR)
    assert key_tests.run(owner, "reddit").startswith("Works")
    [asked] = reddit.requests
    assert (asked.path, asked.body) == ("/api/v1/access_token", b"grant_type=client_credentials")
    assert asked.headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("answer", "said"),
    [((401, {}, b"{}"), "refused these keys"), ((429, {}, b""), "asks us to wait"),
     ((503, {}, b""), "(503)"), ((200, {}, b"<html>"), "made no sense"),
     ((200, {}, b'{"error": "invalid_grant"}'), "refused these keys"),
     ((200, {}, b"[]"), "made no sense")],
)  # fmt: skip
def test_reddit_keys_that_do_not_work_are_told_why(
    owner: User, env: Any, reddit: RedditStandIn, answer: Any, said: str
) -> None:
    reddit.token_answer = answer
    keyring.keep(owner, "reddit", PAIR)
    assert said in key_tests.run(owner, "reddit")


def test_reddit_that_is_away_is_told(owner: User, env: Any, reddit: RedditStandIn) -> None:
    keyring.keep(owner, "reddit", PAIR)
    reddit.stop()
    assert "cannot be reached" in key_tests.run(owner, "reddit")


@pytest.mark.parametrize("service", ["anthropic", "reddit", "nonsense"])
def test_there_is_nothing_to_test_without_a_key(owner: User, env: Any, service: str) -> None:
    with pytest.raises(NotFound):
        key_tests.run(owner, service)


def test_the_operators_key_is_not_tested_by_others(
    owner: User, env: Any, settings: Any, anthropic: AnthropicStandIn
) -> None:
    operator_has(settings, anthropic_api_key=SecretStr(OPERATORS))
    with pytest.raises(NotFound):
        key_tests.run(owner, "anthropic")
    assert anthropic.requests == []


def test_a_key_is_not_tested_more_than_ten_times_a_minute(
    owner: User, env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions_app.limits.time.time", lambda: 1_000_000.0)
    for _ in range(key_tests.MOST):
        with pytest.raises(NotFound):
            key_tests.run(owner, "reddit")
    with pytest.raises(TooMany, match="key tests"):
        key_tests.run(owner, "reddit")


def test_a_key_that_cannot_be_opened_is_an_answer_of_the_test(owner: User, env: Any) -> None:
    keyring.keep(owner, "anthropic", {"api_key": OWN})
    SealedKey.objects.update(sealed="nonsense")
    assert "cannot be opened" in key_tests.run(owner, "anthropic")
