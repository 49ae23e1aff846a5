"""The producer: reads each source of a run in its own step and fills the queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from broadcast import editorial, orchestrator
from broadcast.models import Broadcast
from broadcast.states import ON_AIR
from sessions_app import context
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NeedsHuman, Retry, SmnbError, WaitUntil
from sessions_app.events import recorder
from stories import reports, stories
from stories.market import trends
from stories.models import Source, SourcePost
from stories.posts import queue
from stories.sources import service
from stories.sources.registry import adapter
from stories.types import Fetched

log = structlog.get_logger(__name__)

Health = Source.Health
FAILED_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=1)


def interval() -> timedelta:
    """Returns the pause between two readings of a source."""
    return timedelta(seconds=settings.SMNB.poll_seconds)


def poll(claim: Claim) -> None:
    """Reads one source: fetches outside any transaction, then stores all posts in one."""
    source = Source.objects.select_related("session").get(pk=int(claim.subject))
    run = orchestrator.attend(claim)
    if run is None or not source.enabled:
        return
    queued = SourcePost.objects.filter(session=claim.session, state=SourcePost.State.QUEUED)
    if queued.count() >= queue.QUEUE_LIMIT:
        # A full queue slows the reading; no post is dropped.
        note = f"The queue holds {queue.QUEUE_LIMIT} posts; reading resumes when it has room."
        with transaction.atomic():
            claim.reschedule(steps.now() + 2 * interval())
            _set_health(source, health=Health.WAITING, note=note, paused_until=None)
        return
    try:
        reader = adapter(source.kind, source.session.owner)
        with context.span("fetch", source=source.pk):
            fetched = reader.fetch(source.locator, source.sort, source.cursor)
    except (Retry, WaitUntil, NeedsHuman) as error:
        _pause(claim, source, error)
    else:
        _store(claim, run, source, fetched)


def _store(claim: Claim, run: Broadcast, source: Source, fetched: Fetched) -> None:
    """Adds the fetched posts to the queue and schedules the next reading."""
    at = steps.now()
    if fetched.posts:
        log.info("fetched", source=source.pk, posts=len(fetched.posts))
    # Locked first, so that posts are added to a run that is live, or not at all.
    with orchestrator.locked(run):
        if fetched.exhausted:
            claim.complete()
        else:
            claim.reschedule(max(at + interval(), fetched.not_before or at))
        added = queue.add(source, fetched.posts, at, fetched.since)
        trends.add_posts(source, added.posts)
        health = Health.FINISHED if fetched.exhausted else Health.OK
        before = (source.health, source.note)
        changed = bool(added.posts or added.withdrawn) or before != (health, fetched.notice[:500])
        Source.objects.filter(pk=source.pk).update(
            cursor=fetched.cursor,
            health=health,
            note=fetched.notice[:500],
            paused_until=None,
            failures=0,
            # Shown on pages, so it changes only together with an event.
            last_polled_at=at if changed else source.last_polled_at,
            posts=source.posts + len(added.posts),
        )
        source.refresh_from_db()
        _report_note(source, before[1])
        if changed:
            event: service.SourcePolled = {
                "source": service.payload(source),
                "added": len(added.posts),
                "queue": queue.queue_payload(source.session),
            }
            waits = added.queued - added.withdrawn
            recorder.record(
                source.session, service.POLLED, event, feed=len(added.posts), queue=waits
            )
        for story_id in reports.credit_late(added.posts):
            editorial.record_source(stories.find(source.session, story_id))
        # The next narrate step may be due in a minute; with a new post it is due now.
        if added.queued:
            steps.run_now(run.session, orchestrator.NARRATE, run.pk)
    if added.posts:
        waiting = [post.pk for post in added.posts if post.state in SourcePost.WAITING]
        log.info("queued", source=source.pk, posts=waiting, new=len(added.posts))


def _pause(claim: Claim, source: Source, error: SmnbError) -> None:
    """Reports a source that cannot be read and schedules the next attempt; the others continue."""
    at = steps.now()
    if isinstance(error, WaitUntil):
        until = max(error.until, at + interval())
    elif isinstance(error, NeedsHuman):
        # A person has to act first, so trying more often would only load the source.
        until = at + max(interval(), FAILED_PAUSE)
    else:
        # Exponential back-off; the exponent is limited, so that the number stays small.
        until = at + min(interval() * float(2 ** min(source.failures, 8)), LONGEST_PAUSE)
    until = min(until, at + 24 * LONGEST_PAUSE)
    health = Health.FAILED if isinstance(error, NeedsHuman) else Health.PAUSED
    log.warning("source_in_trouble", source=source.pk, code=error.code)
    with transaction.atomic():
        claim.reschedule(until)
        _set_health(
            source,
            health=health,
            note=error.sentence,
            paused_until=until,
            failures=source.failures + 1,
            last_polled_at=at,
        )


def _set_health(source: Source, *, note: str, **changes: Any) -> None:
    """Changes the health of a source; records an event if the pages show a difference."""
    before = (source.health, source.note, source.paused_until)
    Source.objects.filter(pk=source.pk).update(note=note[:500], **changes)
    source.refresh_from_db()
    if before != (source.health, source.note, source.paused_until):
        _report_note(source, before[1])
        recorder.record(source.session, service.CHANGED, {"source": service.payload(source)})


def _report_note(source: Source, note_before: str) -> None:
    """Adds the note of a source as a message, once."""
    if source.note and source.note != note_before:
        text = f"{source.locator}: {source.note}"
        recorder.add_message(source.session, "producer", text, "source")


def gave_up(claim: Claim) -> None:
    """Reports that reading failed repeatedly through a bug, and schedules the next attempt."""
    source = Source.objects.select_related("session").get(pk=int(claim.subject))
    until = steps.now() + FAILED_PAUSE
    note = f"Reading failed {steps.MAX_ATTEMPTS} times through an error in the studio; see the log."
    _set_health(source, health=Health.FAILED, note=note, paused_until=until)
    run = orchestrator.active(claim.session)
    # The failed step is over, so a new one is needed while the run is on air.
    if run is not None and run.state in ON_AIR:
        steps.enqueue(claim.session, orchestrator.POLL, source.pk, until)


def register() -> None:
    steps.register(Kind(orchestrator.POLL, "producer", poll, gave_up))
