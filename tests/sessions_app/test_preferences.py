"""Preferences of users and of the workspace: validated, stored, and used."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions_app import api_tokens, preferences, sessions
from sessions_app.errors import Forbidden, Invalid, NotFound
from sessions_app.models import ApiToken, Preferences, Workspace

pytestmark = pytest.mark.django_db

CHOSEN: dict[str, Any] = {
    "model": "extractive",
    "personality": "formal",
    "verbosity": "concise",
    "pace": 200,
    "language": "de",
    "instructions": "Be brief.",
    "control_mode": "balanced",
}


def test_a_newcomer_has_the_theme_of_the_system_and_no_row(owner: User) -> None:
    assert preferences.theme_of(owner) == preferences.of(owner).theme == "system"
    assert not Preferences.objects.exists()


def test_a_theme_is_kept_for_one_person(owner: User, stranger: User) -> None:
    preferences.choose_theme(owner, "dark")
    preferences.choose_theme(owner, "light")
    assert (preferences.theme_of(owner), preferences.theme_of(stranger)) == ("light", "system")


def test_a_theme_that_is_none_is_refused(owner: User) -> None:
    with pytest.raises(Invalid, match="system, dark, light"):
        preferences.choose_theme(owner, "pink")


def test_what_is_empty_is_not_kept(owner: User) -> None:
    wanted = {**CHOSEN, "model": "", "pace": None, "language": "  "}
    stored = preferences.choose_defaults(owner, {**wanted, "language": ""})
    assert set(stored) == set(CHOSEN) - {"model", "pace", "language"}
    assert Preferences.objects.get(user=owner).defaults == stored


def test_a_pace_of_nothing_is_a_choice(owner: User) -> None:
    assert preferences.choose_defaults(owner, {"pace": 0}) == {"pace": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"pace": 30},
        {"pace": "many"},
        {"pace": 6001},
        {"personality": "rude"},
        {"language": "e"},
        {"model": "m" * 81},
        {"instructions": "x" * 2001},
        {"control_mode": 7},
        {"colour": "red"},
    ],
)
def test_a_default_that_no_session_could_have_is_refused(
    owner: User, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        preferences.choose_defaults(owner, wrong)
    assert not Preferences.objects.exists()


def test_a_new_session_has_the_persons_defaults_before_the_workspaces(
    owner: User, editor: User
) -> None:
    preferences.choose_workspace_defaults(editor, {"pace": 90, "language": "fr"})
    preferences.choose_defaults(owner, {"language": "de"})
    assert sessions.defaults_of(owner) == {"pace": 90, "language": "de"}
    assert sessions.defaults_of(editor) == {"pace": 90, "language": "fr"}


def test_a_whole_set_of_defaults_makes_a_session(owner: User) -> None:
    stored = preferences.choose_defaults(owner, CHOSEN)
    session = sessions.create(owner, "Morning", stored, None)
    assert {name: getattr(session, name) for name in CHOSEN} == CHOSEN


def test_only_the_staff_changes_the_workspace(owner: User) -> None:
    with pytest.raises(Forbidden, match="Only the staff"):
        preferences.choose_workspace_defaults(owner, {"pace": 90})
    with pytest.raises(Forbidden):
        preferences.choose_retention(owner, {"keep_fine_days": 1})
    assert preferences.workspace().keep_fine_days == 30


def test_days_of_keeping_are_stored_and_bounded(editor: User) -> None:
    preferences.choose_retention(editor, {"keep_fine_days": 2, "keep_sounds_days": 3})
    with pytest.raises(Invalid, match="keep_answers_days"):
        preferences.choose_retention(editor, {"keep_answers_days": 0})
    found = Workspace.objects.get()
    stored = (found.keep_fine_days, found.keep_answers_days, found.keep_sounds_days)
    assert stored == (2, 7, 3)


def test_a_name_and_an_address_are_changed(owner: User) -> None:
    preferences.rename(owner, "Olga", "Nowak", "olga@example.org", " Olga N. ")
    found = User.objects.get(pk=owner.pk)
    assert (found.get_full_name(), found.email) == ("Olga Nowak", "olga@example.org")
    assert preferences.of(owner).byline == "Olga N."
    with pytest.raises(Invalid, match="email"):
        preferences.rename(owner, "Olga", "", "nowhere", "")


def test_a_token_has_a_name_and_ends_when_it_is_revoked(owner: User) -> None:
    token = api_tokens.named(owner, " nightly  export ")
    [row] = api_tokens.valid(owner)
    assert row.name == "nightly export"
    api_tokens.revoke(owner, row.pk)
    assert api_tokens.owner_of(token) is None
    assert api_tokens.valid(owner) == []


def test_nobody_revokes_the_token_of_another_person(owner: User, stranger: User) -> None:
    token = api_tokens.named(owner, "mine")
    with pytest.raises(NotFound):
        api_tokens.revoke(stranger, ApiToken.objects.get().pk)
    assert api_tokens.owner_of(token) == owner


def test_a_token_without_a_name_and_one_too_many_are_refused(owner: User, settings: Any) -> None:
    with pytest.raises(Invalid, match="name"):
        api_tokens.named(owner, "  ")
    settings.SMNB = settings.SMNB.model_copy(update={"limit_tokens": 1})
    api_tokens.named(owner, "one")
    with pytest.raises(Invalid, match="Revoke one"):
        api_tokens.named(owner, "two")
