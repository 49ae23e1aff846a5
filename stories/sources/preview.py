"""A source is tried once, so that a person sees what it brings, or why it brings nothing."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from sessions_app.errors import NotFound, SmnbError
from sessions_app.models import Session
from stories.models import Source
from stories.sources.registry import adapter
from stories.types import Fetched, SourceAdapter

SECONDS = 10.0
_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Probe:
    """What a test of a source found; ``newest_at`` is None where no post has a date."""

    sentence: str
    ok: bool
    count: int = 0
    newest_at: datetime | None = None


def probe(kind: str, locator: str, sort: str, owner: User, *, seconds: float = SECONDS) -> Probe:
    """Fetch from a source as the producer would, within ``seconds``; nothing is stored."""
    try:
        reader = adapter(kind, owner)
        clean = reader.clean_locator(locator)
        fetched = _within(seconds, reader, clean, sort)
    except SmnbError as error:
        return Probe(error.sentence, ok=False)
    if fetched is None:
        return Probe(f"{clean} did not answer within {seconds:g} seconds.", ok=False)
    return _found(fetched)


def probe_source(session: Session, source_id: int, owner: User) -> Probe:
    """Test a source that the session has; NotFound when it has no such one."""
    source = Source.objects.filter(session=session, pk=source_id, enabled=True).first()
    if source is None:
        raise NotFound("This session has no such source.")
    found = probe(source.kind, source.locator, source.sort, owner)
    return Probe(f"{source.locator}: {found.sentence}", found.ok, found.count, found.newest_at)


def _within(seconds: float, reader: SourceAdapter, locator: str, sort: str) -> Fetched | None:
    """What the source brings, or None when it takes longer; the thread ends by its own deadlines."""
    found: list[Fetched] = []
    failed: list[SmnbError] = []

    def fetch() -> None:
        try:
            found.append(reader.fetch(locator, sort, {}))
        except SmnbError as error:
            failed.append(error)

    thread = threading.Thread(target=fetch, name="source-test", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    return found[0] if found else None


def _found(fetched: Fetched) -> Probe:
    count = len(fetched.posts)
    dates = [post.published_at for post in fetched.posts if post.published_at]
    newest = max(dates, default=None)
    if not count:
        said = "It answers, but has no posts at the moment."
    elif newest is None:
        said = f"Fetched {_many(count, 'post')}; none of them has a date."
    else:
        said = f"Fetched {_many(count, 'post')}, newest {ago(timezone.now() - newest)}."
    return Probe(f"{said} {fetched.notice}".strip(), True, count, newest)


def ago(age: timedelta) -> str:
    """An age in its largest whole unit: ``3 minutes ago``."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{_many(seconds // size, unit)} ago"
    return "just now"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
