"""Stories: creates them, finds them, and shapes them for pages, frames and the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.hooks import Topic
from sessions_app.models import Session
from sessions_app.models.session import DEFAULT_PACE
from stories.market import trends
from stories.models import SourcePost, Story, TokenUsage
from stories.posts import queue
from stories.text import credit, reading_seconds, word_count
from stories.usage import accounting

WRITTEN = recorder.declare("story.written", "A story was narrated and stored.")
DECIDED = recorder.declare("story.decided", "A person approved or vetoed a story.")

on_change: Topic[[Story]] = Topic(
    "story.moved", "A story is written, aired, corrected or pulled; its event is still to come."
)


def seconds_on_air(words: int, pace: int) -> int:
    """Returns how long ``words`` take to read; a session with pace 0 uses the default pace."""
    return max(1, round(reading_seconds(words, pace or DEFAULT_PACE)))


def create(
    story: Story, attempts: Sequence[UUID] = (), joined: dict[str, Any] | None = None
) -> Story:
    """Saves a new story, counts it and records ``story.written``; in the caller's transaction.

    Sets the story's length, its moment of completion and, when ``attempts`` asked a model for it,
    its model. ``joined`` is the payload of an earlier story that this one brought into a thread.
    """
    session, at = story.session, timezone.now()
    used = TokenUsage.objects.filter(attempt__in=attempts)
    if attempts:
        story.model = used.order_by("-id").values_list("model", flat=True).first() or ""
    story.word_count = word_count(story.narrative)
    story.duration = seconds_on_air(story.word_count, session.pace)
    story.completed_at = at
    story.save(force_insert=True)
    if attempts:
        # Before the shares are read: an attempt that closes later then adds its own difference.
        used.update(story=story)
    on_change.send(story)
    if story.post is not None:
        trends.add_story(story.post)
    recorder.record(
        session,
        WRITTEN,
        {"story": payload(story), "queue": queue.queue_payload(session), "joined": joined},
        at,
        Extra(shares=accounting.story_shares(story, attempts)),
        story_count=1,
        words=story.word_count,
        narration_seconds=story.duration,
    )
    return story


def of_session(session: Session) -> QuerySet[Story]:
    """The session's stories, newest first."""
    return (
        Story.objects.filter(session=session)
        .select_related("post", "post__source", "thread")
        .order_by("-id")
    )


def find(session: Session, story_id: int, *, hold: bool = False) -> Story:
    """A story of the session, or NotFound; ``hold`` keeps others from changing it till the commit."""
    rows = of_session(session).filter(pk=story_id)
    story = (rows.select_for_update(of=("self",), no_key=True) if hold else rows).first()
    if story is None:
        raise NotFound("This session has no such story.")
    return story


# Spelt out, because SQLite uses a partial index only where it sees the condition of the index.
_WAITING = RawSQL("stories_story.state IN ('written', 'approved')", [], BooleanField())


def waiting(session: Session) -> QuerySet[Story]:
    """What was written and is neither on air nor refused, the oldest first."""
    return of_session(session).filter(_WAITING).order_by("id")


def next_up(session: Session) -> QuerySet[Story]:
    """What waits, in the order in which it would air: what breaks in before all else."""
    return waiting(session).order_by("-cuts_in", "id")


TOLD = RawSQL("stories_story.state IN ('airing', 'aired')", [], BooleanField())


def told(session: Session) -> QuerySet[Story]:
    """What the audience may see: on air or aired and not pulled, newest first."""
    return of_session(session).filter(TOLD)


def post_reference(post: SourcePost | None) -> dict[str, Any] | None:
    if post is None:
        return None
    return {
        "id": post.pk,
        "external_id": post.external_id,
        "source": post.source.locator,
        "title": post.title,
        "url": post.url,
    }


def thread_reference(story: Story) -> dict[str, Any] | None:
    if story.thread is None:
        return None
    return {"id": story.thread.pk, "title": story.thread.title, "relation": story.relation}


def payload(
    story: Story, aired_at: str | None = None, finish_at: str | None = None
) -> dict[str, Any]:
    """A story for its owner; moments are ISO 8601 strings, ``duration`` is in seconds."""
    return {
        "id": story.pk,
        "title": story.title,
        "narrative": story.narrative,
        "summary": story.summary,
        "tone": story.tone,
        "priority": story.priority,
        "sentiment": story.sentiment,
        "topics": story.topics,
        "word_count": story.word_count,
        "duration": story.duration,
        "state": story.state,
        "origin": story.origin,
        "draft": story.draft_id,
        "model": story.model,
        "note": story.note,
        "cuts_in": story.cuts_in,
        "created_at": recorder.timestamp(story.created_at),
        "aired_at": aired_at,
        "finish_at": finish_at,
        "post": post_reference(story.post),
        "thread": thread_reference(story),
        "version": story.version,
        "corrected_at": recorder.timestamp(story.corrected_at),
        "correction": story.correction,
        "bookmarked": story.bookmarked_at is not None,
    }


PUBLIC_FIELDS = (
    "id", "title", "narrative", "tone", "topics", "word_count", "duration", "state", "aired_at",
    "finish_at", "thread", "version", "corrected_at", "correction",
)  # fmt: skip


def public_payload(story: dict[str, Any]) -> dict[str, Any]:
    """What the audience may know of a story: nothing of owner, model, prompts or money."""
    post = story["post"]
    shown = {name: story[name] for name in PUBLIC_FIELDS}
    # The thread's title is the headline of its first story, which may have been pulled since.
    thread = story["thread"]
    shown["thread"] = thread and {"id": thread["id"], "relation": thread["relation"]}
    shown["post"] = post and {
        "source": credit(post["source"]),
        "title": post["title"],
        "url": post["url"],
    }
    return shown
