"""The sources there are, one adapter each, made from the settings once per process."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from sessions_app.errors import Invalid
from stories.sources.client import GuardedClient
from stories.sources.recording import RecordingSource
from stories.sources.reddit import RedditSource
from stories.sources.rss import RssSource
from stories.types import SourceAdapter


@cache
def _adapters() -> dict[str, SourceAdapter]:
    env = settings.SMNB
    client = GuardedClient(allow_private=env.allow_private_feeds, user_agent=env.reddit_user_agent)
    reddit = RedditSource(
        client_id=env.reddit_client_id,
        client_secret=env.reddit_client_secret.get_secret_value(),
        user_agent=env.reddit_user_agent,
        reddit_url=env.reddit_url,
        oauth_url=env.reddit_oauth_url,
        client=client,
    )
    return {each.kind: each for each in (reddit, RssSource(client), RecordingSource())}


def adapter(kind: str) -> SourceAdapter:
    """The adapter of a kind; Invalid names the kinds there are."""
    try:
        return _adapters()[kind]
    except KeyError:
        raise Invalid(f"kind: one of {', '.join(sorted(_adapters()))}.") from None
