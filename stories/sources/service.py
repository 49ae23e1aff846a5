"""A session's sources: added, removed, polled; their health in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from pydantic import Field

from sessions_app import rate_limits, sessions
from sessions_app.commands import Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.models import Source
from stories.posts.queue import digest
from stories.sources.registry import adapter

POLLED = recorder.declare("source.polled", "A source was read; its posts joined the queue.")
CHANGED = recorder.declare("source.changed", "A source was added, or its health changed.")
REMOVED = recorder.declare("source.removed", "A source is read no more.")


class SourceSpec(Payload):
    """A source as a person names it."""

    kind: Literal["reddit", "rss", "recording"]
    locator: str = Field("", max_length=2000)
    sort: str = Field("", max_length=12)


def spec_of(line: str) -> SourceSpec:
    """Read one line as people type it: ``r/science``, a feed's address, or ``demo``."""
    text = line.strip()
    if text.lower() in {"demo", "recording"}:
        return SourceSpec(kind="recording", locator="demo")
    if text.lower().lstrip("/").startswith("r/") or "reddit.com/r/" in text.lower():
        return SourceSpec(kind="reddit", locator=text)
    return SourceSpec(kind="rss", locator=text)


def add(session: Session, spec: SourceSpec) -> Source:
    """Add a source; Invalid when it cannot be one, Conflict when the session has it already."""
    reader = adapter(spec.kind)
    locator = reader.clean_locator(spec.locator)
    sort = (spec.sort or "hot") if spec.kind == "reddit" else ""
    if spec.kind == "reddit" and sort not in {"hot", "new", "top", "rising"}:
        raise Invalid("sort: one of hot, new, top, rising.")
    try:
        with transaction.atomic():
            _room_for_one(session)
            source, created = Source.objects.get_or_create(
                session=session, kind=spec.kind, locator_digest=digest(locator), sort=sort,
                defaults={"locator": locator},
            )  # fmt: skip
            if not created and source.enabled:
                raise Conflict(f"{locator} is a source of this session already.", code="duplicate")
            Source.objects.filter(pk=source.pk).update(
                enabled=True, health=Source.Health.NEW, note="", paused_until=None, failures=0,
                added_at=timezone.now(),
            )  # fmt: skip
            source.refresh_from_db()
            recorder.record(session, CHANGED, {"source": payload(source)})
            return source
    except IntegrityError:
        raise Conflict(f"{locator} is a source of this session already.") from None


def _room_for_one(session: Session) -> None:
    """Refuse one source too many; whoever comes at the same time is counted."""
    most = settings.SMNB.limit_sources
    sessions.lock(session)
    if rate_limits.reached(len(shown(session)), most):
        raise Conflict(f"This session has {most} sources. Remove one that you do not need.")


def remove(session: Session, source_id: int) -> Source:
    """Read a source no more. The row stays: the posts that came from it point to it."""
    with transaction.atomic():
        if not Source.objects.filter(session=session, pk=source_id, enabled=True).update(
            enabled=False
        ):
            raise NotFound("This session has no such source.")
        source = Source.objects.get(pk=source_id)
        recorder.record(session, REMOVED, {"source": payload(source)})
        return source


def shown(session: Session) -> Sequence[Source]:
    return list(Source.objects.filter(session=session, enabled=True))


def payload(source: Source) -> dict[str, Any]:
    """A source as pages and frames show it."""
    return {
        "id": source.pk,
        "kind": source.kind,
        "locator": source.locator,
        "sort": source.sort,
        "label": source.get_kind_display(),
        "enabled": source.enabled,
        "health": source.health,
        "note": source.note,
        "paused_until": recorder.timestamp(source.paused_until),
        "last_polled_at": recorder.timestamp(source.last_polled_at),
        "posts": source.posts,
    }
