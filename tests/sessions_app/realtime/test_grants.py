"""Grants: what allows a socket to be open, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session as Login
from django.test import Client
from django.utils import timezone

from sessions_app import api_tokens, sessions
from sessions_app.models import ApiToken, Session
from sessions_app.realtime import grants
from sessions_app.realtime.grants import Credential, Grant, check, still_valid
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db

ClientOf = Callable[[User], Client]


@pytest.fixture
def login(session: Session, client_of: ClientOf) -> Grant:
    client = client_of(session.owner)
    return Grant("login", str(client.session.session_key), session.pk, session.owner_id)


@pytest.fixture
def token(session: Session) -> Grant:
    api_tokens.make(session.owner)
    return Grant("token", str(ApiToken.objects.get().pk), session.pk, session.owner_id)


@pytest.fixture
def watch(session: Session) -> Grant:
    sessions.show(session, True)
    return Grant("watch", session.watch_token, session.pk)


def test_only_valid_grants_are_returned(login: Grant, token: Grant, watch: Grant) -> None:
    wrong = Grant("watch", "no such token", watch.session_id)
    assert still_valid([login, token, watch, wrong]) == {login, token, watch}


def test_signing_out_ends_a_login(login: Grant) -> None:
    Login.objects.all().delete()
    assert still_valid([login]) == set()


def test_an_expired_login_ends(login: Grant) -> None:
    Login.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert still_valid([login]) == set()


def test_a_changed_password_ends_a_login(login: Grant, session: Session) -> None:
    session.owner.set_password("another one altogether")
    session.owner.save()
    assert still_valid([login]) == set()


@pytest.mark.parametrize("kind", ["login", "token"])
def test_a_disabled_user_has_no_grants(
    kind: str, request: pytest.FixtureRequest, session: Session
) -> None:
    grant = request.getfixturevalue(kind)
    User.objects.filter(pk=session.owner_id).update(is_active=False)
    assert still_valid([grant]) == set()


def test_a_revoked_token_ends(token: Grant) -> None:
    ApiToken.objects.update(revoked_at=timezone.now())
    assert still_valid([token]) == set()


def test_hiding_the_public_page_ends_its_sockets(watch: Grant, session: Session) -> None:
    sessions.show(session, False)
    assert still_valid([watch]) == set()


def test_a_page_that_is_not_visible_has_no_sockets(watch: Grant, session: Session) -> None:
    """Hiding a page also replaces its token, but the token alone gives no right."""
    Session.objects.filter(pk=session.pk).update(visible=False)
    assert still_valid([watch]) == set()


def test_a_watch_token_opens_its_own_session_alone(watch: Grant, make_session: MakeSession) -> None:
    other = make_session("Evening")
    assert still_valid([Grant("watch", watch.key, other.pk)]) == set()


def test_the_login_of_another_user_opens_nothing(
    session: Session, stranger: User, client_of: ClientOf
) -> None:
    key = str(client_of(stranger).session.session_key)
    for claimed_to_be in (stranger.pk, session.owner_id):
        assert still_valid([Grant("login", key, session.pk, claimed_to_be)]) == set()


def test_many_grants_cost_as_many_queries_as_one(
    login: Grant, token: Grant, watch: Grant, django_assert_max_num_queries: Any
) -> None:
    many = [Grant("watch", f"no-{number}", watch.session_id) for number in range(100)]
    with django_assert_max_num_queries(5):
        still_valid([login, token, watch, *many])


def test_each_credential_gets_its_grant_or_the_code_of_its_refusal(
    session: Session, stranger: User, client_of: ClientOf
) -> None:
    sessions.show(session, True)
    foreign = sessions.create(stranger, "Foreign", {"pace": 0}, None)
    login = str(client_of(session.owner).session.session_key)
    text = api_tokens.make(session.owner)
    token = ApiToken.objects.get()
    folder = session.folder
    asked = {
        Credential("login", login, session.pk): Grant(
            "login", login, session.pk, session.owner_id, folder
        ),
        Credential("login", login, foreign.pk): 4404,
        Credential("login", "unknown", session.pk): 4401,
        Credential("login", "", session.pk): 4401,
        Credential("login", text, session.pk): 4401,
        Credential("login", "a\x00b", session.pk): 4401,
        Credential("token", text, session.pk): Grant(
            "token", str(token.pk), session.pk, session.owner_id, folder
        ),
        Credential("token", text, foreign.pk): 4404,
        Credential("token", login, session.pk): 4401,
        Credential("token", "unknown", session.pk): 4401,
        Credential("watch", session.watch_token): Grant(
            "watch", session.watch_token, session.pk, None, folder
        ),
        Credential("watch", foreign.watch_token): 4404,
        Credential("watch", ""): 4404,
        Credential("watch", "a\x00b"): 4404,
    }
    assert check(asked) == asked
    for credential, answer in asked.items():
        assert check([credential]) == {credential: answer}


def test_a_disabled_user_gets_no_grant(session: Session, client_of: ClientOf) -> None:
    login = str(client_of(session.owner).session.session_key)
    token = api_tokens.make(session.owner)
    User.objects.filter(pk=session.owner_id).update(is_active=False)
    asked = [Credential("login", login, session.pk), Credential("token", token, session.pk)]
    assert set(check(asked).values()) == {grants.SIGN_IN}


def test_a_hundred_sockets_are_checked_with_as_many_queries_as_one_of_each_kind(
    session: Session, client_of: ClientOf, django_assert_num_queries: Any
) -> None:
    sessions.show(session, True)
    kinds = [
        Credential("login", str(client_of(session.owner).session.session_key), session.pk),
        Credential("token", api_tokens.make(session.owner), session.pk),
        Credential("watch", session.watch_token),
    ]
    others = [Credential("watch", f"unknown-{number}") for number in range(100)]
    with django_assert_num_queries(6):
        check(kinds)
    # One less: the use of the token is noted once an hour.
    with django_assert_num_queries(5):
        check(kinds + others)
