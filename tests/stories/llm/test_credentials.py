"""Keys: the owner's is used before the operator's, tested at its service, and never shown."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from pydantic import SecretStr

from broadcast.narrators.anthropic import AnthropicNarrator, narrator_for
from broadcast.narrators.extractive import ExtractiveNarrator
from sessions_app import credentials
from sessions_app.errors import Conflict, Invalid, NeedsHuman, NotFound
from sessions_app.models import SealedKey, Session
from sessions_app.rate_limits import TooMany
from stories.llm import credentials as llm_credentials
from stories.llm.credentials import RedditKeys
from stories.sources import registry
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
    """The operator's settings: no keys, and the addresses of the stand-ins."""
    values = {
        "anthropic_base_url": anthropic.url,
        "reddit_url": reddit.url,
        "reddit_oauth_url": reddit.url,
    }
    settings.SMNB = settings.SMNB.model_copy(update=values)
    forget()
    cache.clear()
    yield values
    forget()


def forget() -> None:
    for made in (registry._adapters, registry._reddit):
        made.cache_clear()


def operator_has(settings: Any, **values: Any) -> None:
    settings.SMNB = settings.SMNB.model_copy(update=values)
    forget()


def test_without_any_key_there_are_no_credentials(owner: User, env: Any) -> None:
    assert llm_credentials.anthropic_of(owner) is None
    assert llm_credentials.own_reddit(owner) is None


def test_the_owners_key_goes_before_the_operators(
    owner: User, stranger: User, env: Any, settings: Any
) -> None:
    operator_has(settings, anthropic_api_key=SecretStr(OPERATORS))
    credentials.save(owner, "anthropic", {"api_key": OWN})
    own, theirs = llm_credentials.anthropic_of(owner), llm_credentials.anthropic_of(stranger)
    assert own is not None
    assert theirs is not None
    assert (own.api_key, theirs.api_key) == (OWN, OPERATORS)
    assert own.base_url == env["anthropic_base_url"]


def test_reddit_keys_go_by_the_same_rule(owner: User, env: Any, settings: Any) -> None:
    operator_has(settings, reddit_client_id="theirs", reddit_client_secret=SecretStr("s"))
    assert registry.adapter("reddit", owner) is registry.adapter("reddit")
    credentials.save(owner, "reddit", PAIR)
    assert registry.adapter("reddit", owner) is not registry.adapter("reddit")
    assert llm_credentials.own_reddit(owner) == RedditKeys(**PAIR)


def test_keys_do_not_show_in_a_repr(owner: User, env: Any) -> None:
    credentials.save(owner, "anthropic", {"api_key": OWN})
    shown = repr([llm_credentials.anthropic_of(owner), RedditKeys(**PAIR)])
    assert not any(secret in shown for secret in (OWN, *PAIR.values()))


def test_a_session_is_narrated_with_its_owners_key(
    session: Session, env: Any, anthropic: AnthropicStandIn
) -> None:
    assert isinstance(narrator_for(session, LEDGER, Event()), ExtractiveNarrator)
    credentials.save(session.owner, "anthropic", {"api_key": OWN})
    assert isinstance(narrator_for(session, LEDGER, Event()), AnthropicNarrator)
    session.model = "extractive"
    assert isinstance(narrator_for(session, LEDGER, Event()), ExtractiveNarrator)


def test_a_key_that_cannot_be_opened_is_not_replaced_by_the_operators(
    session: Session, env: Any, settings: Any
) -> None:
    operator_has(settings, anthropic_api_key=SecretStr(OPERATORS))
    credentials.save(session.owner, "anthropic", {"api_key": OWN})
    SealedKey.objects.update(sealed="nonsense")
    brief: Any = None
    with pytest.raises(NeedsHuman, match="Enter it again under User Settings"):
        narrator_for(session, LEDGER, Event()).narrate(brief, print)


def test_sources_are_read_with_the_owners_keys_from_the_next_poll_on(
    owner: User, env: Any, reddit: RedditStandIn
) -> None:
    reddit.publish("tides", [post("a", "One")])
    assert "No Reddit keys" in registry.adapter("reddit", owner).fetch("r/tides", "hot", {}).notice
    credentials.save(owner, "reddit", PAIR)
    assert registry.adapter("reddit", owner).fetch("r/tides", "hot", {}).notice == ""
    assert registry.adapter("reddit") is not registry.adapter("reddit", owner)


def test_the_same_keys_share_one_client(owner: User, stranger: User, env: Any) -> None:
    for user in (owner, stranger):
        credentials.save(user, "reddit", PAIR)
    assert registry.adapter("reddit", owner) is registry.adapter("reddit", stranger)
    credentials.save(stranger, "reddit", {**PAIR, "client_secret": "another-secret"})
    assert registry.adapter("reddit", owner) is not registry.adapter("reddit", stranger)


def test_keys_that_cannot_be_opened_stop_the_reading_with_a_sentence(owner: User, env: Any) -> None:
    credentials.save(owner, "reddit", PAIR)
    SealedKey.objects.update(sealed="nonsense")
    with pytest.raises(NeedsHuman, match="Reddit key"):
        registry.adapter("reddit", owner)
    assert registry.adapter("rss", owner).kind == "rss"


def test_an_unknown_kind_is_refused_for_everybody(owner: User, env: Any) -> None:
    with pytest.raises(Invalid, match="recording, reddit, rss"):
        registry.adapter("newspaper", owner)


def test_a_test_of_the_anthropic_key_really_asks_and_costs_nothing(
    owner: User, env: Any, anthropic: AnthropicStandIn
) -> None:
    credentials.save(owner, "anthropic", {"api_key": OWN})
    assert llm_credentials.check_key(owner, "anthropic") == "Works: 3 models."
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
        credentials.save(owner, "anthropic", {"api_key": "another-key-altogether"})
        return 3

    credentials.save(owner, "anthropic", {"api_key": OWN})
    monkeypatch.setattr(llm_credentials, "count_models", replaced_meanwhile)
    with pytest.raises(Conflict, match="was replaced"):
        llm_credentials.check_key(owner, "anthropic")
    assert (SealedKey.objects.get().verdict, SealedKey.objects.get().tested_at) == ("", None)


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("bad_key", "refused the API key"),
        ("credit", "no credit"),
        ("throttled", "is busy"),
        ("overloaded", "is busy"),
        ("unknown_model", "not Anthropic"),
        ("prose", "not Anthropic"),
    ],
)
def test_a_key_that_does_not_work_is_told_why(
    owner: User, env: Any, anthropic: AnthropicStandIn, mode: str, sentence: str
) -> None:
    anthropic.mode = mode
    credentials.save(owner, "anthropic", {"api_key": OWN})
    assert sentence in llm_credentials.check_key(owner, "anthropic")
    assert SealedKey.objects.filter(verdict__contains=sentence).exists()


@pytest.mark.parametrize("silent", [True, False])
def test_a_service_that_is_not_there_is_said_within_seconds(
    owner: User, env: Any, anthropic: AnthropicStandIn, silent: bool
) -> None:
    credentials.save(owner, "anthropic", {"api_key": OWN})
    if silent:
        anthropic.mode = "silent"
    else:
        anthropic.stop()
    assert llm_credentials.check_key(owner, "anthropic").startswith("Anthropic cannot be reached")


def test_a_test_of_the_reddit_keys_fetches_a_token(
    owner: User, env: Any, reddit: RedditStandIn
) -> None:
    credentials.save(owner, "reddit", PAIR)
    assert llm_credentials.check_key(owner, "reddit").startswith("Works")
    [asked] = reddit.requests
    assert (asked.path, asked.body) == ("/api/v1/access_token", b"grant_type=client_credentials")
    assert asked.headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, {}, b"{}"), "refused these keys"),
        ((429, {}, b""), "asks us to wait"),
        ((503, {}, b""), "(503)"),
        ((200, {}, b"<html>"), "could not be read"),
        ((200, {}, b'{"error": "invalid_grant"}'), "refused these keys"),
        ((200, {}, b"[]"), "could not be read"),
    ],
)
def test_reddit_keys_that_do_not_work_are_told_why(
    owner: User, env: Any, reddit: RedditStandIn, answer: Any, sentence: str
) -> None:
    reddit.token_answer = answer
    credentials.save(owner, "reddit", PAIR)
    assert sentence in llm_credentials.check_key(owner, "reddit")


def test_reddit_that_is_away_is_told(owner: User, env: Any, reddit: RedditStandIn) -> None:
    credentials.save(owner, "reddit", PAIR)
    reddit.stop()
    assert "cannot be reached" in llm_credentials.check_key(owner, "reddit")


@pytest.mark.parametrize("service", ["anthropic", "reddit", "nonsense"])
def test_there_is_nothing_to_test_without_a_key(owner: User, env: Any, service: str) -> None:
    with pytest.raises(NotFound):
        llm_credentials.check_key(owner, service)


def test_the_operators_key_is_not_tested_by_others(
    owner: User, env: Any, settings: Any, anthropic: AnthropicStandIn
) -> None:
    operator_has(settings, anthropic_api_key=SecretStr(OPERATORS))
    with pytest.raises(NotFound):
        llm_credentials.check_key(owner, "anthropic")
    assert anthropic.requests == []


def test_a_key_is_not_tested_more_than_ten_times_a_minute(
    owner: User, env: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions_app.rate_limits.time.time", lambda: 1_000_000.0)
    for _ in range(llm_credentials.MOST_TESTS):
        with pytest.raises(NotFound):
            llm_credentials.check_key(owner, "reddit")
    with pytest.raises(TooMany, match="key tests"):
        llm_credentials.check_key(owner, "reddit")


def test_a_key_that_cannot_be_opened_is_an_answer_of_the_test(owner: User, env: Any) -> None:
    credentials.save(owner, "anthropic", {"api_key": OWN})
    SealedKey.objects.update(sealed="nonsense")
    assert "cannot be decrypted" in llm_credentials.check_key(owner, "anthropic")


def test_only_with_a_key_of_somebody_the_sdk_is_loaded_ahead(
    owner: User, settings: Any, env: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("stories.llm.gateway.preload", lambda: loaded.append("SDK"))
    operator_has(settings, anthropic_api_key=SecretStr(""))
    llm_credentials.preload()
    credentials.save(owner, "reddit", PAIR)
    llm_credentials.preload()
    assert loaded == []
    credentials.save(owner, "anthropic", {"api_key": OWN})
    llm_credentials.preload()
    assert loaded == ["SDK"]
    credentials.delete(owner, "anthropic")
    operator_has(settings, anthropic_api_key=SecretStr(OPERATORS))
    llm_credentials.preload()
    assert loaded == ["SDK", "SDK"]
