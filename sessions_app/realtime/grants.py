"""Grants: what allows a socket to be open (a login, an API token or a watch token), and its checks.

A socket that is refused is closed with one of the codes below.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session as Login
from django.db.models import QuerySet
from django.http import parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from sessions_app import api_tokens
from sessions_app.models import ApiToken, Session

# Daphne sends only 1000 and 3000 to 4999. Pages connect again after every code but SIGN_IN and
# NO_SESSION.
NOT_UNDERSTOOD = 4400
SIGN_IN = 4401
NO_SESSION = 4404
GOING_AWAY = 4012
TRY_LATER = 4013

# For the authors of clients, as the docs show them.
CLOSE_CODES = (
    (NOT_UNDERSTOOD, 'The message is invalid. Send only {"after": seq}.'),
    (SIGN_IN, "Not signed in, or the token is invalid. Sign in again."),
    (
        NO_SESSION,
        "The session does not exist or belongs to another user, or the link was revoked.",
    ),
    (GOING_AWAY, "The socket was open for hours, or the server stops. Connect again at once."),
    (TRY_LATER, "Too many sockets or messages. Connect again later."),
)


@dataclass(frozen=True, slots=True)
class Grant:
    """The permission of a socket; ``key`` is a login's session key, an API token's id or a watch token."""

    kind: Literal["login", "token", "watch"]
    key: str
    session_id: UUID
    user_id: int | None = None
    folder: str = field(default="", compare=False)  # of the session, for the socket's log lines


@dataclass(frozen=True, slots=True)
class Credential:
    """What a socket presents: ``key`` is a login's session key, an API token or a watch token."""

    kind: Literal["login", "token", "watch"]
    key: str
    session_id: UUID | None = None  # of the session to open; a watch token names its own


def credential_of(cookies: str, authorization: str, session_id: UUID | None) -> Credential:
    """Returns what these headers of a request present: a bearer token, or else a login."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Credential("token", token.strip(), session_id)
    key = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME, "")
    return Credential("login", key, session_id)


def is_signed_in(credential: Credential) -> bool:
    """Returns whether a login or token is valid, whatever session it is for."""
    key = credential.key
    if "\x00" in key:
        return False
    return key in (_logins({key}) if credential.kind == "login" else api_tokens.find([key]))


def check(credentials: Iterable[Credential]) -> dict[Credential, Grant | int]:
    """Returns the grant of each credential, or the close code that refuses it.

    The number of queries does not depend on the number of credentials.
    """
    asked = set(credentials)
    # PostgreSQL raises an error for NUL in a parameter; no key contains one.
    keys = {(c.kind, c.key) for c in asked if "\x00" not in c.key}
    logins = _logins({key for kind, key in keys if kind == "login"})
    tokens = api_tokens.find({key for kind, key in keys if kind == "token"})
    wanted = {credential.session_id for credential in asked}
    owned = {row.pk: row for row in _sessions(pk__in=wanted, owner__is_active=True)}
    names = {key for kind, key in keys if kind == "watch"}
    public = {row.watch_token: row for row in _sessions(watch_token__in=names, visible=True)}

    def answer(credential: Credential) -> Grant | int:
        kind, key = credential.kind, credential.key
        if credential.session_id is None:
            row = public.get(key)
            return Grant(kind, key, row.pk, folder=row.folder) if row else NO_SESSION
        token = tokens.get(key) if kind == "token" else None
        user_id = logins.get(key) if kind == "login" else token and token.owner_id
        if user_id is None:
            return SIGN_IN
        row = owned.get(credential.session_id)
        if row is None or row.owner_id != user_id:
            return NO_SESSION
        return Grant(kind, str(token.pk) if token else key, row.pk, user_id, row.folder)

    return {credential: answer(credential) for credential in asked}


def _sessions(**filters: object) -> QuerySet[Session]:
    return Session.objects.filter(**filters).only("pk", "owner_id", "watch_token", "folder")


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
    ids = [int(data[SESSION_KEY]) for data in decoded.values() if SESSION_KEY in data]
    users = User.objects.filter(is_active=True).in_bulk(ids)
    signed_in = {}
    for key, data in decoded.items():
        user = users.get(int(data.get(SESSION_KEY, 0)))
        if user is None:
            continue
        # The hash changes with the password, which ends all logins; the others are made with the
        # earlier keys of SECRET_KEY_FALLBACKS.
        hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
        stored = data.get(HASH_SESSION_KEY, "")
        if any(constant_time_compare(stored, each) for each in hashes):
            signed_in[key] = user.pk
    return signed_in
