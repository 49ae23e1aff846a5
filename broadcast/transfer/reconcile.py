"""Brings an imported session to rest and counts its figures from its rows.

What was in progress when the session was exported is ended. Counters, buckets and tallies are
counted as the events did at the time: by the minute of each row, and by tone, source and model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, F, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from broadcast import orchestrator
from broadcast.models import Airing, Broadcast, StateChange
from broadcast.states import Cause, State, follow
from sessions_app.ai_chain import chain
from sessions_app.errors import Invalid
from sessions_app.events import statistics
from sessions_app.events.statistics import SIZES, Share, start_of
from sessions_app.models import AILink, Bucket, Message, Session, Tally
from stories.drafting.workflow import STOPPED
from stories.models import (
    Draft,
    DraftMessage,
    DraftVersion,
    SourcePost,
    Story,
    StoryThread,
    TokenUsage,
)
from stories.usage import accounting
from stories.usage.accounting import Booking

_LATER = "Its story was written after the export."

_UNDER_WAY = "The draft was in progress when the session was exported. Resume to continue it here."


def rows(session: Session) -> None:
    """Ends airings and drafts in progress and repairs derived columns, before figures are counted."""
    without_story = SourcePost.objects.filter(
        session=session, state=SourcePost.State.PUBLISHED, story=None, report=None
    )
    without_story.update(state=SourcePost.State.SKIPPED, reason=_LATER)
    Airing.objects.filter(session=session, finished_at=None).update(finished_at=F("finish_at"))
    on_air = Story.objects.filter(session=session, state=Story.State.AIRING)
    on_air.update(state=Story.State.AIRED)
    of_thread = Story.objects.filter(thread=OuterRef("pk")).order_by().values("thread")
    stories = of_thread.annotate(number=Count("pk")).values("number")
    StoryThread.objects.filter(session=session).update(story_count=Coalesce(Subquery(stories), 0))
    # Turns and versions that were added after the export's snapshot are not in the archive.
    turns = DraftMessage.objects.filter(draft=OuterRef("pk")).order_by().values("draft")
    versions = DraftVersion.objects.filter(draft=OuterRef("pk")).order_by().values("draft")
    drafts = Draft.objects.filter(session=session)
    drafts.update(
        turns=Coalesce(Subquery(turns.annotate(top=Max("turn")).values("top")), 0),
        version=Coalesce(Subquery(versions.annotate(top=Max("number")).values("top")), 0),
    )
    drafts.filter(state__in=Draft.OPEN).exclude(note_code=STOPPED).update(
        state=Draft.State.WAITING, note=_UNDER_WAY, note_code=STOPPED
    )
    chain.restore_imported(session)
    own = AILink.objects.filter(session=session, run_number=OuterRef("number"))
    newest = own.order_by("-number").values("pk")[:1]
    Broadcast.objects.filter(session=session).update(ai_head=Subquery(newest))


def runs(session: Session, owner: User, at: datetime) -> None:
    """Stops the run that was active ``at`` the export, after the figures are counted.

    Raises Invalid if the state of a run does not follow from its changes.
    """
    for run in Broadcast.objects.filter(session=session):
        if _state_by_changes(run) != run.state:
            raise Invalid(f"Run {run.number} is {run.state}, which its changes contradict.")
    active = orchestrator.active(session)
    if active is None:
        return
    # The figures already include its time on air; without its start, stopping it adds none.
    live_at = active.live_at
    Broadcast.objects.filter(pk=active.pk).update(live_at=None)
    active.refresh_from_db()
    if active.state != State.STOPPING:
        active = orchestrator.transition(active, Cause.STOP, owner, hold=None)
    orchestrator.settle(active)
    Broadcast.objects.filter(pk=active.pk).update(live_at=live_at, stopped_at=at)


def _state_by_changes(run: Broadcast) -> str:
    state = State.IDLE
    for change in StateChange.objects.filter(run=run).order_by("epoch"):
        after = follow(state, Cause(change.cause)) if change.cause in set(Cause) else None
        if after is None:
            return ""
        state = after
    return state


PIECE = 500


def counted(session: Session) -> dict[str, int]:
    """Writes the session's buckets and tallies and returns its counters, all summed over its rows."""
    minutes: dict[datetime, Counter[str]] = {}
    tallies: dict[tuple[str, str], Counter[str]] = {}
    total: Counter[str] = Counter()
    for at, measures, shares in _all(session):
        total.update(measures)
        minutes.setdefault(start_of(at, 1), Counter()).update(measures)
        for share in shares:
            key = (share.dimension, share.key[: statistics.MAX_KEY_LENGTH])
            tallies.setdefault(key, Counter()).update(share.sums)
    _write(session, minutes, tallies)
    waiting = SourcePost.objects.filter(session=session, state__in=SourcePost.WAITING)
    return {**total, "queue": waiting.aggregate(number=Count("pk"))["number"]}


Counted = tuple[datetime, dict[str, int], list[Share]]


def _all(session: Session) -> Iterator[Counted]:
    yield from _stories(session)
    yield from _usage(session)
    for rows, name, moment in (
        (SourcePost.objects.filter(session=session), "feed", "created_at"),
        (Message.objects.filter(session=session), "messages", "created_at"),
        (Airing.objects.filter(session=session), "aired", "aired_at"),
    ):
        for at in rows.order_by().values_list(moment, flat=True).iterator(PIECE):
            yield at, {name: 1}, []


def _stories(session: Session) -> Iterator[Counted]:
    rows = Story.objects.filter(session=session).select_related("post__source")
    for story in _pieces(rows):
        measures = {
            "story_count": 1,
            "words": story.word_count,
            "narration_seconds": story.duration,
            "sentences_dropped": len(story.dropped),
            "ungrounded_aired": story.ungrounded_aired,
        }
        sums = {"count": 1, "words": story.word_count}
        yield story.created_at, measures, accounting.shares_of(story, sums)


def _usage(session: Session) -> Iterator[Counted]:
    rows = TokenUsage.objects.filter(session=session).exclude(state__in=TokenUsage.OPEN)
    for row in _pieces(rows.select_related("story__post__source")):
        booking = Booking.of(row)
        shares = accounting.call_shares(row, accounting.NOTHING, row.model)
        yield row.closed_at or row.created_at, booking.counters() | booking.measures(), shares


def _pieces(rows: QuerySet[Any]) -> Iterator[Any]:
    after = 0
    while piece := list(rows.filter(pk__gt=after).order_by("pk")[:PIECE]):
        yield from piece
        after = piece[-1].pk


def _write(
    session: Session,
    minutes: dict[datetime, Counter[str]],
    tallies: dict[tuple[str, str], Counter[str]],
) -> None:
    for size in SIZES:
        periods: dict[datetime, Counter[str]] = {}
        for start, sums in minutes.items():
            periods.setdefault(start_of(start, size), Counter()).update(sums)
        buckets = []
        for start, sums in sorted(periods.items()):
            measures = {name: sums[name] for name in sums if name in statistics.MEASURES}
            buckets.append(Bucket(session=session, size=size, start=start, **measures))
        Bucket.objects.bulk_create(buckets, batch_size=PIECE)
    Tally.objects.bulk_create(
        (
            Tally(session=session, dimension=dimension, key=key, **sums)
            for (dimension, key), sums in sorted(tallies.items())
        ),
        batch_size=PIECE,
    )
