"""Testing a source: fetches it once and reports what it returns, or why it returns nothing."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app import rate_limits
from sessions_app.errors import NotFound, SmnbError
from sessions_app.models import Session
from stories.models import Source
from stories.sources.discovery import Announced, SeveralFeeds
from stories.sources.registry import adapter, named
from stories.types import Fetched, FetchedPost, SourceAdapter

SECONDS = 10.0
CHOICE_SECONDS = 5.0
# A test makes this server send a request to an address of the user's choice.
TESTS_A_MINUTE = 10
UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))

_FEED_LIKE = re.compile(r"feed|rss|atom|rdf|\.xml|\.json", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a test; ``newest_at`` is None where no post has a date.

    ``feeds`` are those of a web page that announces several, to choose from, and ``sample`` is one of
    the posts.
    """

    sentence: str
    ok: bool
    count: int = 0
    newest_at: datetime | None = None
    feeds: tuple[Announced, ...] = ()
    sample: FetchedPost | None = None


def probe(
    kind: str | None, locator: str, sort: str, owner: User, *, seconds: float = SECONDS
) -> Probe:
    """Fetches from a source as the producer would, within ``seconds``; nothing is stored."""
    try:
        kind, address, sort = named(locator, kind, sort)
        fetched = _fetch_within(seconds, adapter(kind, owner), address, sort)
    except SeveralFeeds as error:
        sentence = f"{address} announces {len(error.feeds)} feeds. Add the one you want."
        return Probe(sentence, ok=False, feeds=tuple(error.feeds))
    except SmnbError as error:
        return Probe(error.sentence, ok=False)
    if fetched is None:
        return Probe(f"{address} did not answer within {seconds:g} seconds.", ok=False)
    count = len(fetched.posts)
    dates = [post.published_at for post in fetched.posts if post.published_at]
    newest = max(dates, default=None)
    if not count:
        sentence = "It answers, but has no posts at the moment."
    elif newest is None:
        sentence = f"Fetched {_counted(count, 'post')}; none of them has a date."
    else:
        sentence = f"Fetched {_counted(count, 'post')}, newest {ago(timezone.now() - newest)}."
    sample = fetched.posts[0] if count else None
    return Probe(f"{sentence} {fetched.notice}".strip(), True, count, newest, sample=sample)


def choice(kind: str | None, locator: str, owner: User) -> Probe | None:
    """Returns the test of an address that is being added if it is a page with several feeds.

    An address that looks like that of a feed is not read, nor is any after too many tests.
    """
    try:
        named_source = named(locator, kind)
        if named_source.kind != Source.Kind.RSS or _FEED_LIKE.search(named_source.locator):
            return None
        count_test(owner)
    except SmnbError:
        return None  # an address that is refused is refused again when it is added
    result = probe(named_source.kind, named_source.locator, "", owner, seconds=CHOICE_SECONDS)
    return result if result.feeds else None


def count_test(owner: User) -> None:
    """Counts a test of the user; raises RateLimited when there were too many in this minute."""
    rate_limits.count("source tests", owner.pk, TESTS_A_MINUTE)


def probe_source(session: Session, source_id: int, owner: User) -> Probe:
    """Tests a source of the session; raises NotFound when the session has no such source."""
    source = Source.objects.filter(session=session, pk=source_id, enabled=True).first()
    if source is None:
        raise NotFound("This session has no such source.")
    result = probe(source.kind, source.locator, source.sort, owner)
    return replace(result, sentence=f"{source.locator}: {result.sentence}")


def _fetch_within(seconds: float, source: SourceAdapter, locator: str, sort: str) -> Fetched | None:
    """Returns what the source fetches, or None when it takes longer.

    A thread that takes longer is left alone: it ends by the deadlines of its own requests.
    """
    results: list[Fetched] = []
    errors: list[SmnbError] = []

    def fetch() -> None:
        try:
            results.append(source.fetch(locator, sort, {}))
        except SmnbError as error:
            errors.append(error)

    # In a thread, because name resolution has no time-out of its own.
    thread = threading.Thread(target=fetch, name="source-test", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    return results[0] if results else None


def ago(age: timedelta) -> str:
    """Writes an age in its largest whole unit: ``3 minutes ago``."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size in UNITS:
        if seconds >= size:
            return f"{_counted(seconds // size, unit)} ago"
    return "just now"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
