"""The sources there are, one adapter each, made from the settings once per process."""

from __future__ import annotations

from functools import cache, lru_cache

from django.conf import settings
from django.contrib.auth.models import User

from sessions_app.errors import Invalid
from stories.llm import credentials
from stories.llm.credentials import RedditKeys
from stories.sources.http_client import GuardedClient
from stories.sources.recording import RecordingSource
from stories.sources.reddit import RedditSource
from stories.sources.rss import RssSource
from stories.types import SourceAdapter


@cache
def _client() -> GuardedClient:
    env = settings.SMNB
    return GuardedClient(allow_private=env.allow_private_feeds, user_agent=env.reddit_user_agent)


@cache
def _adapters() -> dict[str, SourceAdapter]:
    env = settings.SMNB
    operators = RedditKeys(env.reddit_client_id, env.reddit_client_secret.get_secret_value())
    every = (_reddit(operators), RssSource(_client()), RecordingSource())
    return {each.kind: each for each in every}


# A changed key is another argument, so it is used from the next poll on.
@lru_cache(maxsize=16)
def _reddit(found: RedditKeys) -> RedditSource:
    """Reddit with one pair of keys; each keeps its own connection and allowance."""
    env = settings.SMNB
    return RedditSource(
        client_id=found.client_id,
        client_secret=found.client_secret,
        user_agent=env.reddit_user_agent,
        reddit_url=env.reddit_url,
        oauth_url=env.reddit_oauth_url,
        client=_client(),
    )


def adapter(kind: str, owner: User | None = None) -> SourceAdapter:
    """The adapter of a kind, with the keys of ``owner`` before the operator's.

    Invalid names the kinds there are; NeedsHuman when the owner's keys cannot be opened.
    """
    try:
        found = _adapters()[kind]
    except KeyError:
        raise Invalid(f"kind: one of {', '.join(sorted(_adapters()))}.") from None
    own = credentials.own_reddit(owner) if kind == RedditSource.kind and owner is not None else None
    return _reddit(own) if own is not None else found
