"""The sources of a session: adding and removing them, and how pages and the API show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import rate_limits, sessions
from sessions_app.commands import Payload
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.models import Source
from stories.posts.queue import QueuedPost, digest
from stories.sources.pasted import DESCRIPTION
from stories.sources.registry import named


class SourcePayload(TypedDict):
    """A source of a session."""

    id: Annotated[int, Field(description="Id of the source.")]
    kind: Annotated[str, Field(description="reddit, rss or recording.")]
    locator: Annotated[str, Field(description="Address of the feed, r/NAME, or demo.")]
    sort: Annotated[str, Field(description="Order of the posts; empty where the kind has none.")]
    label: Annotated[str, Field(description="Name of the kind on pages.")]
    enabled: Annotated[bool, Field(description="Whether the source is read.")]
    health: Annotated[
        str, Field(description="new, ok, waiting, paused, failed or finished: the last attempt.")
    ]
    note: Annotated[str, Field(description="Message about the last attempt, or empty.")]
    paused_until: Annotated[
        str | None, Field(description="Earliest time of the next attempt, ISO 8601 UTC, or null.")
    ]
    last_polled_at: Annotated[
        str | None, Field(description="Time of the last successful read, ISO 8601 UTC, or null.")
    ]
    posts: Annotated[int, Field(description="Number of posts read from this source.")]


class SourceEvent(TypedDict):
    """Payload of source.changed and source.removed."""

    source: Annotated[SourcePayload, Field(description="The source after the change.")]


class SourcePolled(TypedDict):
    """Payload of source.polled."""

    source: Annotated[SourcePayload, Field(description="The source after the change.")]
    added: Annotated[int, Field(description="Number of posts that are new to the session.")]
    queue: Annotated[list[QueuedPost], Field(description="The first posts of the queue.")]


POLLED = recorder.declare(
    "source.polled", "A source was read; its posts joined the queue.", SourcePolled
)
CHANGED = recorder.declare(
    "source.changed", "A source was added, or its health changed.", SourceEvent
)
REMOVED = recorder.declare("source.removed", "A source was removed.", SourceEvent)


class SourceSpec(Payload):
    """A source as a person names it."""

    kind: Source.Kind | None = Field(
        None, description="The kind of source; without it the locator decides."
    )
    locator: str = Field(
        "",
        max_length=2000,
        description=DESCRIPTION,
    )
    sort: str = Field(
        "",
        max_length=12,
        description="Order of a subreddit: hot, new, top, rising; empty for the one in the locator.",
    )


def add(session: Session, spec: SourceSpec) -> Source:
    """Adds a source; Invalid when it cannot be one, Conflict when the session has it already."""
    kind, locator, sort = named(spec.locator, spec.kind, spec.sort)
    try:
        with transaction.atomic():
            # Holding the session's row makes two additions at once count each other.
            sessions.lock(session)
            limit = settings.SMNB.limit_sources
            read = Source.objects.filter(session=session, enabled=True)
            if rate_limits.reached(read.count(), limit):
                raise Conflict(
                    f"This session has {limit} sources. Remove one that you do not need."
                )
            source, created = Source.objects.get_or_create(
                session=session,
                kind=kind,
                locator_digest=digest(locator),
                sort=sort,
                defaults={"locator": locator},
            )
            if not created and source.enabled:
                raise Conflict(f"{locator} is already a source of this session.", code="duplicate")
            if not created:
                # One that was removed keeps its row and posts; its old errors do not come back.
                Source.objects.filter(pk=source.pk).update(
                    enabled=True,
                    health=Source.Health.NEW,
                    note="",
                    paused_until=None,
                    failures=0,
                    added_at=timezone.now(),
                )
                source.refresh_from_db()
            recorder.record(session, CHANGED, {"source": payload(source)})
            return source
    except IntegrityError:
        # Another request added the same source between the look-up and the insertion.
        raise Conflict(
            f"{locator} is already a source of this session.", code="duplicate"
        ) from None


class AddedSources(NamedTuple):
    """What became of several sources that were added together; the others by their addresses."""

    added: list[Source]
    known: list[str]  # that the session had already
    refused: list[tuple[str, str]]  # each with the reason


def add_each(session: Session, specs: Iterable[SourceSpec]) -> AddedSources:
    """Adds several sources, each in a savepoint of its own; one that is refused stops no other."""
    result = AddedSources([], [], [])
    for spec in specs:
        try:
            result.added.append(add(session, spec))
        except (Conflict, Invalid) as error:
            if error.code == "duplicate":
                result.known.append(spec.locator)
            else:
                result.refused.append((spec.locator, error.sentence))
    return result


def loop(session: Session) -> list[Source]:
    """Lets the session's recordings begin again whenever they end; Conflict without a recording."""
    with transaction.atomic():
        sessions.lock(session)
        found = [source for source in shown(session) if source.kind == Source.Kind.RECORDING]
        if not found:
            raise Conflict(
                "Only a recording can loop; other sources bring news when there is some."
            )
        for source in found:
            ended = source.health == Source.Health.FINISHED
            source.cursor = {**source.cursor, "loop": True}
            source.health = Source.Health.NEW if ended else source.health
            source.note = "" if ended else source.note
            source.save(update_fields=["cursor", "health", "note"])
            recorder.record(session, CHANGED, {"source": payload(source)})
        return found


def change(session: Session, source_id: int, sort: str) -> Source:
    """Changes the order in which a source is read; it is then read from the beginning."""
    with transaction.atomic():
        sessions.lock(session)
        source = Source.objects.filter(session=session, pk=source_id, enabled=True).first()
        if source is None:
            raise NotFound("This session has no such source.")
        kind, locator, order = named(source.locator, source.kind, sort)
        if order != sort:
            raise Invalid("sort: only a subreddit is read in an order.")
        same = Source.objects.filter(session=session, kind=kind, locator=locator, sort=sort)
        if same.exclude(pk=source.pk).exists():
            raise Conflict(f"{locator} in this order is already known to the session.")
        Source.objects.filter(pk=source.pk).update(sort=sort, cursor={})
        source.refresh_from_db()
        recorder.record(session, CHANGED, {"source": payload(source)})
        return source


def remove(session: Session, source_id: int) -> Source:
    """Stops reading a source; its row stays, because its posts refer to it."""
    with transaction.atomic():
        rows = Source.objects.filter(session=session, pk=source_id, enabled=True)
        # The update decides: of two removals at the same time one changes the row.
        if not rows.update(enabled=False):
            raise NotFound("This session has no such source.")
        source = Source.objects.get(pk=source_id)
        recorder.record(session, REMOVED, {"source": payload(source)})
        return source


def shown(session: Session) -> Sequence[Source]:
    """Returns the session's sources that are read, in the order in which they were added."""
    return list(Source.objects.filter(session=session, enabled=True))


def payload(source: Source) -> SourcePayload:
    """Returns a source as pages, frames and the API show it."""
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
