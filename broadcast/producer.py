"""The producer: reads each source of a run in its own step and fills the queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from broadcast import orchestrator
from broadcast.models import Broadcast
from broadcast.states import ON_AIR
from sessions_app import context
from sessions_app.background import steps
from sessions_app.background.steps import Claim, Kind
from sessions_app.errors import NeedsHuman, Retry, SmnbError, WaitUntil
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.market import trends
from stories.models import Source, SourcePost
from stories.posts import queue
from stories.sources import service
from stories.sources.registry import adapter
from stories.types import Fetched

log = structlog.get_logger(__name__)

Health = Source.Health
LONGEST_PAUSE = timedelta(hours=1)


def poll(claim: Claim) -> None:
    """Read one source: fetch outside any transaction, then store all in one."""
    source = Source.objects.select_related("session").get(pk=int(claim.subject))
    run = orchestrator.attend(claim)
    if run is None or not source.enabled:
        return
    if _queued(claim.session) >= queue.QUEUE_LIMIT:
        _rest(claim, source)
        return
    try:
        reader = adapter(source.kind, source.session.owner)
        with context.span("fetch", source=source.pk):
            fetched = reader.fetch(source.locator, source.sort, source.cursor)
    except (Retry, WaitUntil, NeedsHuman) as error:
        _report(claim, source, error)
        return
    _store(claim, run, source, fetched)


def interval() -> timedelta:
    return timedelta(seconds=settings.SMNB.poll_seconds)


def _queued(session: Session) -> int:
    return SourcePost.objects.filter(session=session, state=SourcePost.State.QUEUED).count()


def _rest(claim: Claim, source: Source) -> None:
    """Back-pressure: a full queue slows the reading; nothing is dropped."""
    with transaction.atomic():
        claim.reschedule(steps.now() + 2 * interval())
        note = f"The queue holds {queue.QUEUE_LIMIT} posts; reading goes on when some are told."
        _set_health(source, health=Health.WAITING, note=note, paused_until=None)


def _store(claim: Claim, run: Broadcast, source: Source, fetched: Fetched) -> None:
    at = steps.now()
    if fetched.posts:
        log.info("fetched", source=source.pk, posts=len(fetched.posts))
    with orchestrator.locked(run):
        if fetched.exhausted:
            claim.complete()
        else:
            claim.reschedule(max(at + interval(), fetched.not_before or at))
        added = queue.add(source, fetched.posts, at)
        trends.add_posts(source, added.posts)
        healthy = Health.FINISHED if fetched.exhausted else Health.OK
        before = (source.health, source.note)
        changed = bool(added.posts) or before != (healthy, fetched.notice[:500])
        # What the page shows changes only together with an event.
        read_at = at if changed else source.last_polled_at
        Source.objects.filter(pk=source.pk).update(
            cursor=fetched.cursor, health=healthy, note=fetched.notice[:500], paused_until=None,
            failures=0, last_polled_at=read_at, posts=source.posts + len(added.posts),
        )  # fmt: skip
        source.refresh_from_db()
        _tell(source, before)
        if changed:
            _record_poll(source, len(added.posts), added.queued)
        if added.queued:
            wake_host(run)
    if added.posts:
        log.info("queued", source=source.pk, posts=_waiting(added.posts), new=len(added.posts))


def _waiting(added: list[SourcePost]) -> list[int]:
    """The ids of those that are to be told."""
    return [post.pk for post in added if post.state in SourcePost.WAITING]


def _record_poll(source: Source, added: int, queued: int) -> None:
    recorder.record(
        source.session,
        service.POLLED,
        {
            "source": service.payload(source),
            "added": added,
            "queue": queue.queue_payload(source.session),
        },
        feed=added,
        queue=queued,
    )


def _tell(source: Source, before: tuple[str, str]) -> None:
    """Say a notice once, when it is new."""
    if source.note and before[1] != source.note:
        recorder.add_message(
            source.session, "producer", f"{source.locator}: {source.note}", "source"
        )


def wake_host(run: Broadcast) -> None:
    steps.run_now(run.session, orchestrator.NARRATE, run.pk)


def _report(claim: Claim, source: Source, error: SmnbError) -> None:
    """A source in trouble is shown as such and tried again later; the others go on."""
    at = steps.now()
    until = min(_until(error, source, at), at + 24 * LONGEST_PAUSE)
    health = Health.FAILED if isinstance(error, NeedsHuman) else Health.PAUSED
    log.warning("source_in_trouble", source=source.pk, code=error.code)
    with transaction.atomic():
        claim.reschedule(until)
        _set_health(
            source, health=health, note=error.sentence, paused_until=until,
            failures=source.failures + 1, last_polled_at=at,
        )  # fmt: skip


def _until(error: SmnbError, source: Source, at: datetime) -> datetime:
    if isinstance(error, WaitUntil):
        return max(error.until, at + interval())
    if isinstance(error, NeedsHuman):
        return at + max(interval(), timedelta(minutes=5))
    doubled = float(2 ** min(source.failures, 8))
    return at + min(interval() * doubled, LONGEST_PAUSE)


def _set_health(source: Source, *, note: str, **changes: Any) -> None:
    before, pause = (source.health, source.note), source.paused_until
    Source.objects.filter(pk=source.pk).update(note=note[:500], **changes)
    source.refresh_from_db()
    if (*before, pause) != (source.health, source.note, source.paused_until):
        _tell(source, before)
        recorder.record(source.session, service.CHANGED, {"source": service.payload(source)})


def _gave_up(claim: Claim) -> None:
    """A fault of ours while reading is shown as such, and reading is tried again later."""
    source = Source.objects.select_related("session").get(pk=int(claim.subject))
    until = steps.now() + timedelta(minutes=5)
    note = "Reading failed three times by a fault of the studio; see the log."
    _set_health(source, health=Health.FAILED, note=note, paused_until=until)
    run = orchestrator.active(claim.session)
    if run is not None and run.state in ON_AIR:
        steps.enqueue(claim.session, orchestrator.POLL, source.pk, until)


def register() -> None:
    steps.register(Kind(orchestrator.POLL, "producer", poll, _gave_up))
