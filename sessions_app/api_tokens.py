"""API tokens: created, listed, revoked, and looked up by their hash."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app import rate_limits
from sessions_app.errors import Invalid, NotFound
from sessions_app.models import ApiToken

PREFIX = "smnb_"
LONGEST_NAME = 80


def _digest(token: str) -> str:
    # A plain hash is enough: a token has 256 random bits, so it cannot be guessed from its hash.
    return hashlib.sha256(token.encode()).hexdigest()


def make(owner: User, name: str = "command line") -> str:
    """Creates a token; only its hash is stored, so it cannot be shown again."""
    token = PREFIX + secrets.token_urlsafe(32)
    ApiToken.objects.create(owner=owner, name=name, digest=_digest(token), last_four=token[-4:])
    return token


def named(owner: User, name: str) -> str:
    """Creates a token with a name chosen by the user; Invalid when the user has too many."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= LONGEST_NAME:
        raise Invalid(f"name: must have 1 to {LONGEST_NAME} characters.")
    limit = settings.SMNB.limit_tokens
    if rate_limits.reached(ApiToken.objects.filter(owner=owner, revoked_at=None).count(), limit):
        raise Invalid(f"You have {limit} tokens. Revoke one that you no longer use.")
    return make(owner, clean)


def valid(owner: User) -> Sequence[ApiToken]:
    """Returns the user's tokens that are not revoked, newest first."""
    return list(ApiToken.objects.filter(owner=owner, revoked_at=None).order_by("-pk"))


def revoke(owner: User, token_id: int) -> None:
    """Revokes a token at once; NotFound when the user has no such valid token."""
    # The owner is part of the filter, so that the id of another user's token is not found.
    rows = ApiToken.objects.filter(owner=owner, pk=token_id, revoked_at=None)
    if not rows.update(revoked_at=timezone.now()):
        raise NotFound("You have no such token.")


def find(tokens: Iterable[str]) -> dict[str, ApiToken]:
    """Returns the valid tokens of active users by their text, and records that they were used."""
    # Looked up by the unique index on the hash, so the comparison does not depend on the secret's
    # text.
    digests = {_digest(token): token for token in tokens}
    if not digests:
        return {}
    rows = ApiToken.objects.select_related("owner").filter(
        digest__in=digests, revoked_at=None, owner__is_active=True
    )
    # Most requests need no more of either.
    found = {digests[row.digest]: row for row in rows.only("digest", "last_used_at", "owner__id")}
    # At most one write an hour, however often a token is used, and none that waits for other writers.
    an_hour_ago = timezone.now() - timedelta(hours=1)
    stale = [row.pk for row in found.values() if (row.last_used_at or an_hour_ago) <= an_hour_ago]
    if stale:
        ApiToken.objects.filter(pk__in=stale).update(last_used_at=timezone.now())
    return found


def owner_of(token: str) -> User | None:
    """Returns the active user of a valid token, or None."""
    row = find([token]).get(token)
    return row.owner if row else None
