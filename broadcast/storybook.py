"""How a narration becomes a story: with its link, its thread, its bookings and its event."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from broadcast import airing
from broadcast.memories import Memory
from broadcast.models import Broadcast
from sessions_app import chain, events
from sessions_app.chain import Operation
from sessions_app.series import Extra
from stories import booking, feed, posts, threads
from stories.market import trends
from stories.models import SourcePost, Story, TokenUsage
from stories.text import tokens_of, word_count
from stories.threads import Earlier
from stories.types import Narration
from stories.usage import SessionLedger


@dataclass(frozen=True, slots=True)
class Told:
    """A post, what was made of it and by whom, and the story it goes on from."""

    post: SourcePost
    narration: Narration
    origin: str
    earlier: Earlier | None
    memory: Memory


def store(run: Broadcast, told: Told, ledger: SessionLedger) -> Story:
    """Store the story with all that belongs to it; in the caller's transaction."""
    session, narration = run.session, told.narration
    words = word_count(narration.narrative)
    used = TokenUsage.objects.filter(attempt__in=ledger.attempts)
    model = used.order_by("-id").values_list("model", flat=True).first() or ""
    at = timezone.now()
    if not ledger.attempts:
        _link(run, told)
    story = Story.objects.create(
        session=session, post=told.post, origin=told.origin, title=narration.title[:300],
        narrative=narration.narrative, summary=narration.summary, tone=narration.tone,
        priority=told.post.label, sentiment=narration.sentiment, topics=list(narration.topics),
        model=model, note=narration.note[:300], word_count=words,
        duration=airing.seconds_on_air(words, session.pace), completed_at=at,
    )  # fmt: skip
    used.update(story=story)
    opened = threads.join(story, told.earlier) if told.earlier else None
    airing.changed(story)
    trends.told(told.post)
    events.record(
        session, feed.WRITTEN,
        {"story": feed.payload(story), "queue": posts.queue_payload(session),
         "joined": airing.shown(opened) if opened else None},
        at, Extra(shares=booking.story_shares(story, ledger.attempts)),
        story_count=1, words=words, narration_seconds=story.duration,
    )  # fmt: skip
    return story


def _link(run: Broadcast, told: Told) -> None:
    """A narrator that asks no model is an operation of the session like any other."""
    operation = Operation(
        source=chain.Source.NARRATION, provider_id=chain.offline_id(), model=told.origin,
        run_number=run.number, context_head=told.memory.head,
        tokens=tokens_of(told.narration.narrative),
    )  # fmt: skip
    chain.join(run.session, operation)
