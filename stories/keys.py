"""The keys a session's owner uses: their own before the operator's. They leave here as objects only.

Nothing below ever stands in a task's arguments, an event, a log line or a repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.views.decorators.debug import sensitive_variables

from sessions_app import keyring
from sessions_app.keyring import Service
from stories.llm import Credentials


@dataclass(frozen=True, slots=True)
class RedditKeys:
    """The two parts of an application's key at Reddit."""

    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)


@sensitive_variables()
def anthropic_of(user: User) -> Credentials | None:
    """The credentials for this person's questions, or None when there are none at all.

    Raises NeedsHuman when their own key cannot be opened: the operator does not pay unseen.
    """
    own = keyring.parts(user, Service.ANTHROPIC)
    key = own["api_key"] if own else settings.SMNB.anthropic_api_key.get_secret_value()
    return _credentials(key) if key else None


@sensitive_variables()
def own_anthropic(user: User) -> Credentials | None:
    """The person's own credentials alone."""
    own = keyring.parts(user, Service.ANTHROPIC)
    return _credentials(own["api_key"]) if own else None


@sensitive_variables()
def reddit_of(user: User) -> RedditKeys | None:
    """The keys for this person's sources, or None: then the public feeds are read."""
    found = own_reddit(user)
    if found is not None:
        return found
    env = settings.SMNB
    secret = env.reddit_client_secret.get_secret_value()
    return RedditKeys(env.reddit_client_id, secret) if env.reddit_client_id and secret else None


@sensitive_variables()
def own_reddit(user: User) -> RedditKeys | None:
    """The person's own keys alone; NeedsHuman when they cannot be opened."""
    own = keyring.parts(user, Service.REDDIT)
    return RedditKeys(own["client_id"], own["client_secret"]) if own else None


@sensitive_variables()
def _credentials(key: str) -> Credentials:
    return Credentials(api_key=key, base_url=settings.SMNB.anthropic_base_url or None)
