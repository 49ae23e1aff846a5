"""Threads: the stories of a session about one subject, and how a new story relates to earlier ones."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from django.db.models import F, QuerySet
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app.errors import NotFound
from sessions_app.events.recorder import timestamp
from sessions_app.models import Session
from stories.models import SourcePost, Story, StoryThread
from stories.posts.duplicates import content_words, is_development

Relation = Story.Relation

WINDOW = timedelta(hours=72)
MOST_STORIES = 300
MOST_HEADLINES = 500
# Chosen with the sixteen follow-ups of the recording: these values find fourteen, and no others.
SHARED_WORDS = 3
SHARED_WEIGHT = 0.4
MOST_EARLIER = 3
MOST_SHOWN = 100

_CORRECTION = re.compile(r"\b(?:correct(?:ion|ed|s)|retract(?:ion|ed|s)|erratum)\b", re.IGNORECASE)
_CLARIFICATION = re.compile(
    r"\b(?:clarif(?:ication|ied|ies)|explain(?:er|ed|s)|in full|what (?:\S+ ){1,6}means?)\b",
    re.IGNORECASE,
)


class ThreadPayload(TypedDict):
    """A thread of a session."""

    id: Annotated[int, Field(description="Id of the thread.")]
    title: Annotated[str, Field(description="Headline of its first story.")]
    story_count: Annotated[int, Field(description="Number of its stories.")]
    created_at: Annotated[str, Field(description="Time of creation, ISO 8601 UTC.")]
    updated_at: Annotated[str, Field(description="Time of the latest story, ISO 8601 UTC.")]


@dataclass(frozen=True, slots=True)
class Earlier:
    """The earlier story that a new one follows, and the relation of the new one to it."""

    story: Story
    relation: str


class Likeness:
    """Compares headlines by the words they share; the fewer headlines have a word, the more it counts."""

    def __init__(self, session: Session) -> None:
        posts = SourcePost.objects.filter(session=session, duplicate_of=None).order_by("-id")
        headlines = list(posts.values_list("title", flat=True)[:MOST_HEADLINES])
        self._count = Counter(word for line in headlines for word in content_words(line))
        self._headlines = len(headlines) + 1

    def _weight(self, words: Iterable[str]) -> float:
        return sum(math.log(1 + self._headlines / (self._count[word] + 0.5)) for word in words)

    def of(self, headline: str, other: str) -> float:
        """Returns the weight of the shared words against that of the lighter headline, 0..1.

        It is 0 for headlines that share fewer than three words.
        """
        words, others = content_words(headline), content_words(other)
        shared = words & others
        if len(shared) < SHARED_WORDS:
            return 0.0
        return self._weight(shared) / min(self._weight(words), self._weight(others))


def recent(session: Session) -> list[Story]:
    """Returns the stories of the last 72 hours that can be followed up, the newest first."""
    rows = Story.objects.filter(
        session=session, state__in=Story.OPEN, created_at__gte=timezone.now() - WINDOW
    )
    # Bodies are long, and few of them are read.
    rows = rows.select_related("post__source", "thread").defer("post__body")
    return list(rows.order_by("-id")[:MOST_STORIES])


def find(session: Session, headline: str) -> Earlier | None:
    """Returns the story of the last 72 hours that is most likely about the same subject, or None.

    Of two that are equally likely it is the newer one.
    """
    likeness = Likeness(session)
    best: tuple[float, int] = (SHARED_WEIGHT, 0)
    match: Story | None = None
    for story in recent(session):
        likely = (likeness.of(headline, headline_of(story)), story.pk)
        if likely > best:
            best, match = likely, story
    return Earlier(match, relation_of(headline, headline_of(match))) if match else None


def headline_of(story: Story) -> str:
    """Returns the headline at the source, because narrators write headlines of their own."""
    return story.post.title if story.post else story.title


def relation_of(headline: str, earlier: str) -> str:
    """Correction and clarification say so themselves; a turn or other figures are a development."""
    if _CORRECTION.search(headline):
        return Relation.CORRECTION
    if _CLARIFICATION.search(headline):
        return Relation.CLARIFICATION
    return Relation.DEVELOPMENT if is_development(headline, earlier) else Relation.FOLLOW_UP


def join(story: Story, earlier: Earlier) -> Story | None:
    """Puts ``story``, which is not saved yet, into the thread of the earlier one.

    Runs in the caller's transaction. The first follow-up opens the thread: the earlier story joins
    it too and is returned, because pages have to show it again.
    """
    # Read again: it may have been corrected or pulled while the narrator was at work.
    first = Story.objects.select_related("post__source", "thread").get(pk=earlier.story.pk)
    if first.state not in Story.OPEN:
        return None
    opened = first.thread is None
    thread = first.thread or StoryThread.objects.create(
        session_id=story.session_id, title=first.title, story_count=1
    )
    if opened:
        Story.objects.filter(pk=first.pk).update(thread=thread)
        first.thread = thread
    StoryThread.objects.filter(pk=thread.pk).update(
        story_count=F("story_count") + 1, updated_at=timezone.now()
    )
    story.thread, story.relation = thread, earlier.relation
    return first if opened else None


def earlier_summaries(earlier: Earlier | None) -> tuple[tuple[str, str], ...]:
    """Returns title and summary of the last stories of the thread, the oldest first."""
    if earlier is None:
        return ()
    rows = [earlier.story]
    if earlier.story.thread_id is not None:
        in_thread = Story.objects.filter(thread=earlier.story.thread_id, state__in=Story.OPEN)
        rows = list(reversed(in_thread.order_by("-id")[:MOST_EARLIER]))
    return tuple((row.title, row.summary or row.narrative) for row in rows)


def of_session(session: Session, most: int = MOST_SHOWN) -> list[ThreadPayload]:
    """Returns the session's threads, the one with the latest story first."""
    rows = StoryThread.objects.filter(session=session).order_by("-updated_at", "-id")
    return [payload(thread) for thread in rows[:most]]


def get(session: Session, thread_id: int) -> StoryThread:
    """Returns a thread of the session, or raises NotFound."""
    thread = StoryThread.objects.filter(session=session, pk=thread_id).first()
    if thread is None:
        raise NotFound("This session has no such thread.")
    return thread


def stories(thread: StoryThread) -> QuerySet[Story]:
    """Returns the latest hundred stories of a thread, the oldest of them first."""
    newest = Story.objects.filter(thread=thread).order_by("-id").values("pk")[:MOST_SHOWN]
    rows = Story.objects.filter(pk__in=newest).select_related("post", "post__source", "thread")
    return rows.order_by("id")


def payload(thread: StoryThread) -> ThreadPayload:
    return {
        "id": thread.pk,
        "title": thread.title,
        "story_count": thread.story_count,
        "created_at": timestamp(thread.created_at),
        "updated_at": timestamp(thread.updated_at),
    }
