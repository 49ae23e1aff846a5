"""Testing a source: fetches it once and reports what it returns, or why it returns nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app.errors import NotFound, SmnbError
from sessions_app.models import Session
from stories.models import Source
from stories.sources.registry import adapter, named
from stories.types import Fetched, SourceAdapter

SECONDS = 10.0
UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a test; ``newest_at`` is None where no post has a date."""

    sentence: str
    ok: bool
    count: int = 0
    newest_at: datetime | None = None


def probe(
    kind: str | None, locator: str, sort: str, owner: User, *, seconds: float = SECONDS
) -> Probe:
    """Fetches from a source as the producer would, within ``seconds``; nothing is stored."""
    try:
        kind, address, sort = named(locator, kind, sort)
        fetched = _fetch_within(seconds, adapter(kind, owner), address, sort)
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
    return Probe(f"{sentence} {fetched.notice}".strip(), True, count, newest)


def probe_source(session: Session, source_id: int, owner: User) -> Probe:
    """Tests a source of the session; raises NotFound when the session has no such source."""
    source = Source.objects.filter(session=session, pk=source_id, enabled=True).first()
    if source is None:
        raise NotFound("This session has no such source.")
    result = probe(source.kind, source.locator, source.sort, owner)
    return Probe(f"{source.locator}: {result.sentence}", result.ok, result.count, result.newest_at)


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
