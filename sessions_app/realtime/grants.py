"""Grants: by what right a socket is open, re-checked for all sockets together."""

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

from sessions_app.models import ApiToken, Session


@dataclass(frozen=True, slots=True)
class Grant:
    """``key`` is the login's session key, the API token's id, or the watch token."""

    kind: Literal["login", "token", "watch"]
    key: str
    session_id: UUID
    user_id: int | None = None
    folder: str = field(default="", compare=False)  # the session's, for the lines of the socket


def still_valid(grants: Iterable[Grant]) -> set[Grant]:
    """Those of the grants that still hold, in a constant number of queries."""
    asked = set(grants)
    owners = dict(
        Session.objects.filter(
            pk__in={grant.session_id for grant in asked}, owner__is_active=True
        ).values_list("pk", "owner_id")
    )
    logins = _logins({grant.key for grant in asked if grant.kind == "login"})
    tokens = dict(
        ApiToken.objects.filter(
            pk__in={int(grant.key) for grant in asked if grant.kind == "token"}, revoked_at=None
        ).values_list("pk", "owner_id")
    )
    watched = dict(
        Session.objects.filter(
            watch_token__in={g.key for g in asked if g.kind == "watch"}, visible=True
        ).values_list("watch_token", "pk")
    )

    def holds(grant: Grant) -> bool:
        if grant.kind == "watch":
            return watched.get(grant.key) == grant.session_id
        owner = owners.get(grant.session_id)
        person = logins.get(grant.key) if grant.kind == "login" else tokens.get(int(grant.key))
        return owner is not None and owner == person == grant.user_id

    return {grant for grant in asked if holds(grant)}


def _logins(keys: set[str]) -> dict[str, int]:
    """Session keys that are signed in, with the person; a changed password ends a login."""
    if not keys:
        return {}
    rows = Login.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    decoded = {row.session_key: row.get_decoded() for row in rows}
    people = User.objects.in_bulk(
        [int(d[SESSION_KEY]) for d in decoded.values() if SESSION_KEY in d]
    )
    found = {}
    for key, data in decoded.items():
        person = people.get(int(data.get(SESSION_KEY, 0)))
        if person is not None and constant_time_compare(
            data.get(HASH_SESSION_KEY, ""), person.get_session_auth_hash()
        ):
            found[key] = person.pk
    return found
