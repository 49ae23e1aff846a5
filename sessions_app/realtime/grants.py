"""Grants: what allows a socket to be open (a login, an API token or a watch token), and re-checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session as Login
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from sessions_app import api_tokens, sessions
from sessions_app.models import ApiToken, Session


@dataclass(frozen=True, slots=True)
class Grant:
    """The permission of a socket; ``key`` is a login's session key, an API token's id or a watch token."""

    kind: Literal["login", "token", "watch"]
    key: str
    session_id: UUID
    user_id: int | None = None
    folder: str = field(default="", compare=False)  # of the session, for the socket's log lines


def for_token(token: str, session_id: UUID) -> Grant | None:
    """Returns the grant of an API token; None when it is not valid, NotFound for a foreign session."""
    row = api_tokens.find(token)
    if row is None:
        return None
    session = sessions.get(row.owner, session_id)
    return Grant("token", str(row.pk), session.pk, row.owner_id, session.folder)


def for_login(user: User, session_key: str, session_id: UUID) -> Grant:
    """Returns the grant of a signed-in user; NotFound for a foreign session."""
    session = sessions.get(user, session_id)
    return Grant("login", session_key, session.pk, user.pk, session.folder)


def for_watch_token(token: str) -> Grant:
    """Returns the grant of a public address; NotFound when it is not valid."""
    session = sessions.by_watch_token(token)
    return Grant("watch", token, session.pk, folder=session.folder)


def still_valid(grants: Iterable[Grant]) -> set[Grant]:
    """Returns the grants that are still valid, in a constant number of queries."""
    checked = set(grants)
    owners = dict(
        Session.objects.filter(
            pk__in={grant.session_id for grant in checked}, owner__is_active=True
        ).values_list("pk", "owner_id")
    )
    logins = _logins({grant.key for grant in checked if grant.kind == "login"})
    tokens = dict(
        ApiToken.objects.filter(
            pk__in={int(grant.key) for grant in checked if grant.kind == "token"}, revoked_at=None
        ).values_list("pk", "owner_id")
    )
    visible = dict(
        Session.objects.filter(
            watch_token__in={g.key for g in checked if g.kind == "watch"}, visible=True
        ).values_list("watch_token", "pk")
    )

    def is_valid(grant: Grant) -> bool:
        if grant.kind == "watch":
            return visible.get(grant.key) == grant.session_id
        # The owner is compared too: a session may have been given to another user since.
        owner = owners.get(grant.session_id)
        user = logins.get(grant.key) if grant.kind == "login" else tokens.get(int(grant.key))
        return owner is not None and owner == user == grant.user_id

    return {grant for grant in checked if is_valid(grant)}


def _logins(keys: set[str]) -> dict[str, int]:
    """Returns the user id of each session key that is signed in."""
    if not keys:
        return {}
    rows = Login.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    decoded = {row.session_key: row.get_decoded() for row in rows}
    users = User.objects.in_bulk(
        [int(data[SESSION_KEY]) for data in decoded.values() if SESSION_KEY in data]
    )
    signed_in = {}
    for key, data in decoded.items():
        user = users.get(int(data.get(SESSION_KEY, 0)))
        # The hash changes with the password, which ends all logins.
        if user is not None and constant_time_compare(
            data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()
        ):
            signed_in[key] = user.pk
    return signed_in
