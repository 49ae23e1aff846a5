"""The feed: stories as pages, frames and the API show them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.models import Session
from stories.models import SourcePost, Story

WRITTEN = recorder.declare("story.written", "A story was narrated and stored.")
DECIDED = recorder.declare("story.decided", "A person approved or vetoed a story.")


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


def credit(locator: str) -> str:
    """How a source is named in public: an address by its host alone, as its query may be a key."""
    if "://" not in locator:
        return locator
    return (urlsplit(locator).hostname or "").removeprefix("www.")


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
