"""API tokens: shown once, known by their hash, gone when revoked."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from sessions_app import api_tokens
from sessions_app.models import ApiToken

pytestmark = pytest.mark.django_db


def test_a_token_names_its_owner(owner: User) -> None:
    assert api_tokens.owner_of(api_tokens.make(owner)) == owner


def test_the_token_itself_is_stored_nowhere(owner: User) -> None:
    token = api_tokens.make(owner)
    row = ApiToken.objects.values().get()
    assert token not in str(row)
    assert row["last_four"] == token[-4:]


def test_tokens_are_unguessable_and_all_different(owner: User) -> None:
    found = {api_tokens.make(owner) for _ in range(10)}
    assert len(found) == 10
    assert all(token.startswith(api_tokens.PREFIX) and len(token) > 40 for token in found)


@pytest.mark.parametrize("token", ["", "smnb_", "smnb_nonsense", "\N{SNOWMAN}"])
def test_a_wrong_token_names_nobody(owner: User, token: str) -> None:
    api_tokens.make(owner)
    assert api_tokens.owner_of(token) is None


def test_a_revoked_token_names_nobody(owner: User) -> None:
    token = api_tokens.make(owner)
    ApiToken.objects.update(revoked_at=timezone.now())
    assert api_tokens.owner_of(token) is None


def test_the_token_of_a_disabled_person_names_nobody(owner: User) -> None:
    token = api_tokens.make(owner)
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert api_tokens.owner_of(token) is None


def test_the_last_use_is_noted_at_most_once_an_hour(owner: User) -> None:
    token = api_tokens.make(owner)
    api_tokens.find([token])
    recent = timezone.now() - timedelta(minutes=30)
    ApiToken.objects.update(last_used_at=recent)
    api_tokens.find([token])
    assert ApiToken.objects.get().last_used_at == recent
    ApiToken.objects.update(last_used_at=recent - timedelta(hours=1))
    api_tokens.find([token])
    assert ApiToken.objects.filter(last_used_at__gt=recent).exists()


def test_the_command_makes_a_token_and_prints_nothing_else(owner: User) -> None:
    printed = StringIO()
    call_command("api_token", "olga", stdout=printed)
    assert api_tokens.owner_of(printed.getvalue().removesuffix("\n")) == owner
    with pytest.raises(CommandError, match="no such active user"):
        call_command("api_token", "nobody")
