"""Secrets at rest: sealed, bound to owner and service, opened by every secret, rotated."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import given
from hypothesis import strategies as st

from sessions_app import credentials
from sessions_app.errors import Invalid, NeedsHuman, NotFound
from sessions_app.models import SealedKey

KEY = "sk-ant-canary-0123456789-wxyz"


@given(plain=st.text(max_size=400), owner_id=st.integers(1, 2**40))
def test_what_was_sealed_comes_out_again(plain: str, owner_id: int) -> None:
    assert (
        credentials.open_(owner_id, "reddit", credentials.seal(owner_id, "reddit", plain)) == plain
    )


def test_the_same_secret_looks_different_every_time() -> None:
    sealed = {credentials.seal(1, "anthropic", KEY) for _ in range(3)}
    assert len(sealed) == 3
    assert all(KEY not in each for each in sealed)


@pytest.mark.parametrize(("owner_id", "service"), [(2, "anthropic"), (1, "reddit")])
def test_the_key_of_somebody_else_is_not_opened(owner_id: int, service: str) -> None:
    sealed = credentials.seal(1, "anthropic", KEY)
    with pytest.raises(NeedsHuman, match="cannot be decrypted") as refused:
        credentials.open_(owner_id, service, sealed)
    assert refused.value.code == "sealed_key"


@pytest.mark.parametrize("sealed", ["", "nonsense", "gAAAAABm", "\N{SNOWMAN}"])
def test_what_was_never_sealed_is_refused_in_words(sealed: str) -> None:
    with pytest.raises(NeedsHuman, match="Enter it again under User Settings"):
        credentials.open_(1, "anthropic", sealed)


def test_a_secret_that_is_gone_needs_a_person(settings: Any) -> None:
    settings.FIELD_KEYS = "first"
    sealed = credentials.seal(1, "anthropic", KEY)
    settings.FIELD_KEYS = "second"
    with pytest.raises(NeedsHuman, match="Anthropic key"):
        credentials.open_(1, "anthropic", sealed)


def test_no_secret_at_all_is_a_misconfiguration(settings: Any) -> None:
    settings.FIELD_KEYS = " , "
    with pytest.raises(ImproperlyConfigured, match="SMNB_FIELD_KEYS"):
        credentials.seal(1, "anthropic", KEY)


@pytest.fixture
def sealed_with_old(owner: User, settings: Any) -> SealedKey:
    settings.FIELD_KEYS = "old"
    row = credentials.save(owner, "anthropic", {"api_key": KEY})
    settings.FIELD_KEYS = "new, old"
    return row


def test_after_rotation_the_old_secret_is_not_needed(
    owner: User, sealed_with_old: SealedKey, settings: Any
) -> None:
    assert credentials.parts(owner, "anthropic") == {"api_key": KEY}
    assert credentials.rotate() == (1, 0)
    settings.FIELD_KEYS = "new"
    assert credentials.parts(owner, "anthropic") == {"api_key": KEY}
    assert SealedKey.objects.get().set_at == sealed_with_old.set_at


def test_rotation_is_safe_to_repeat_and_prints_the_count(
    owner: User, sealed_with_old: SealedKey, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        call_command("rotate_keys")
    assert capsys.readouterr().out == "1 keys encrypted again\n" * 2
    assert credentials.parts(owner, "anthropic") == {"api_key": KEY}


def test_rotation_says_what_it_could_not_open(
    sealed_with_old: SealedKey, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.FIELD_KEYS = "another"
    with pytest.raises(CommandError, match="1 keys cannot be decrypted"):
        call_command("rotate_keys")
    assert SealedKey.objects.get().sealed == sealed_with_old.sealed


def test_a_key_shows_its_last_four_characters_and_nothing_else(owner: User) -> None:
    credentials.save(owner, "anthropic", {"api_key": f"  {KEY} "})
    row = SealedKey.objects.values().get()
    assert row["last_four"] == "wxyz"
    assert KEY not in str(row)
    assert KEY not in repr(credentials.by_service(owner)["anthropic"])


def test_of_two_parts_the_end_of_the_secret_is_shown(owner: User) -> None:
    parts = {"client_id": "client-id", "client_secret": "client-secret"}
    assert credentials.save(owner, "reddit", parts).last_four == "cret"
    assert credentials.parts(owner, "reddit") == parts


@pytest.mark.parametrize("value", ["", "short", "has a space", "is\ninjected", "żółty-klucz"])
def test_what_cannot_be_a_key_is_refused_without_an_echo(owner: User, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        credentials.save(owner, "anthropic", {"api_key": value})
    assert not value or value not in refused.value.sentence
    assert not SealedKey.objects.exists()


def test_a_new_key_forgets_the_test_of_the_old_one(owner: User) -> None:
    row = credentials.save(owner, "anthropic", {"api_key": KEY})
    credentials.record_test(owner, "anthropic", "Works: 3 models.", row.set_at)
    row = credentials.save(owner, "anthropic", {"api_key": KEY})
    assert (row.tested_at, row.verdict) == (None, "")
    assert SealedKey.objects.count() == 1


def test_nobody_has_the_key_of_another_person(owner: User, stranger: User) -> None:
    credentials.save(owner, "anthropic", {"api_key": KEY})
    assert credentials.by_service(stranger) == {}
    assert credentials.parts(stranger, "anthropic") is None
    with pytest.raises(NotFound, match="no Anthropic key"):
        credentials.delete(stranger, "anthropic")
    assert SealedKey.objects.exists()


def test_a_row_moved_to_another_person_opens_for_nobody(owner: User, stranger: User) -> None:
    credentials.save(owner, "anthropic", {"api_key": KEY})
    SealedKey.objects.update(owner=stranger)
    with pytest.raises(NeedsHuman):
        credentials.parts(stranger, "anthropic")


def test_a_service_that_is_not_known_does_not_exist(owner: User) -> None:
    for act in (lambda: credentials.save(owner, "x", {}), lambda: credentials.delete(owner, "x")):
        with pytest.raises(NotFound):
            act()
