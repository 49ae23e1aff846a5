"""API tokens: made once, shown once, known by their hash."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone

from sessions_app import rate_limits
from sessions_app.errors import Invalid, NotFound
from sessions_app.models import ApiToken

PREFIX = "smnb_"
LONGEST_NAME = 80


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def make(owner: User, name: str = "command line") -> str:
    """A new bearer token; only its hash is stored, so it can never be shown again."""
    token = PREFIX + secrets.token_urlsafe(32)
    ApiToken.objects.create(owner=owner, name=name, digest=_digest(token), last_four=token[-4:])
    return token


def named(owner: User, name: str) -> str:
    """A new token under a name that tells a person what it is for."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= LONGEST_NAME:
        raise Invalid(f"name: 1 to {LONGEST_NAME} characters.")
    most = settings.SMNB.limit_tokens
    if rate_limits.reached(ApiToken.objects.filter(owner=owner, revoked_at=None).count(), most):
        raise Invalid(f"You have {most} tokens. Revoke one that you do not use any more.")
    return make(owner, clean)


def valid(owner: User) -> Sequence[ApiToken]:
    """This person's tokens that are not revoked, the newest first."""
    return list(ApiToken.objects.filter(owner=owner, revoked_at=None).order_by("-pk"))


def revoke(owner: User, token_id: int) -> None:
    """End a token at once; NotFound when this person has no such valid one."""
    mine = ApiToken.objects.filter(owner=owner, pk=token_id, revoked_at=None)
    if not mine.update(revoked_at=timezone.now()):
        raise NotFound("You have no such token.")


def find(token: str) -> ApiToken | None:
    """The valid token with its active owner, or None."""
    found = (
        ApiToken.objects.select_related("owner")
        .filter(digest=_digest(token), revoked_at=None, owner__is_active=True)
        .first()
    )
    if found is not None:
        an_hour_ago = timezone.now() - timedelta(hours=1)
        stale = Q(last_used_at=None) | Q(last_used_at__lt=an_hour_ago)
        ApiToken.objects.filter(stale, pk=found.pk).update(last_used_at=timezone.now())
    return found


def owner_of(token: str) -> User | None:
    """The active person behind a token, or None."""
    found = find(token)
    return found.owner if found else None
