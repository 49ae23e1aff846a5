"""Threads: the stories of a session about one subject, and how a new story relates to earlier ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from django.db.models import F, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce, Left
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app.errors import NotFound
from sessions_app.events.recorder import timestamp
from sessions_app.models import Session
from stories.models import SourcePost, Story, StoryThread
from stories.posts.duplicates import is_development
from stories.posts.events import Index, Report
from stories.posts.features import TEXT_CHARACTERS

Relation = Story.Relation

# Columns of a post that the choice of the next one reads.
COMPARED = (
    "session",
    "title",
    "url",
    "outlet",
    "published_at",
    "created_at",
    "source__kind",
    "source__locator",
)
WINDOW = timedelta(hours=72)
MOST_STORIES = 300
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


def recent(session: Session) -> list[Story]:
    """Returns the stories of the last 72 hours that can be followed up, the oldest first."""
    rows = Story.objects.filter(
        session=session, state__in=Story.OPEN, created_at__gte=timezone.now() - WINDOW
    )
    # What is compared, as a session has hundreds of them: of long texts the beginning.
    rows = rows.select_related("post__source").only(
        "session",
        "title",
        "created_at",
        "thread",
        *(f"post__{name}" for name in COMPARED),
    )
    lead = Left(Coalesce("post__body", "narrative"), TEXT_CHARACTERS)
    # Of the cursor only this text, as that of a feed is long.
    since = KeyTextTransform("since", "post__source__cursor")
    rows = rows.annotate(lead=lead, began_again=since)
    found = reversed(rows.order_by("-id")[:MOST_STORIES])
    # Nothing follows up what a recording had before it began again.
    return [
        story
        for story in found
        if not story.began_again or datetime.fromisoformat(story.began_again) <= story.created_at
    ]


def report_of(item: SourcePost | Story) -> Report:
    """Returns what is compared of a post, or of a story, read with its ``lead``."""
    lead = getattr(item, "lead", None)
    if isinstance(item, Story) and item.post is None:
        text = item.narrative if lead is None else lead
        return Report(item.title, text, published_at=item.created_at)
    post = item.post if isinstance(item, Story) else item
    assert post is not None
    lead = post.body[:TEXT_CHARACTERS] if lead is None else lead
    return Report(post.title, lead, post.url, post.published_at, post.source.locator)


class Recent:
    """The stories of the last 72 hours by id, indexed by their words."""

    def __init__(self, session: Session) -> None:
        self.stories = {story.pk: story for story in recent(session)}
        self.index = Index((pk, report_of(story)) for pk, story in self.stories.items())

    def find(self, report: Report) -> Earlier | None:
        """Returns the story that is most likely about the same subject, or None."""
        match = self.index.best(report)
        if match is None:
            return None
        story = self.stories[match.key]
        return Earlier(story, relation_of(report.title, headline_of(story)))


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
    # Added by the database, as an editor may publish a story of this thread at the same time.
    StoryThread.objects.filter(pk=thread.pk).update(
        story_count=F("story_count") + 1, updated_at=timezone.now()
    )
    story.thread, story.relation = thread, earlier.relation
    return first if opened else None


def earlier_summaries(earlier: Earlier | None) -> tuple[tuple[str, str], ...]:
    """Returns title and summary of the last stories of the thread, the oldest first."""
    if earlier is None:
        return ()
    rows = Story.objects.filter(pk=earlier.story.pk)
    if earlier.story.thread_id is not None:
        in_thread = Story.objects.filter(thread=earlier.story.thread_id, state__in=Story.OPEN)
        rows = in_thread.order_by("-id")[:MOST_EARLIER]
    return tuple((row.title, row.summary or row.narrative) for row in reversed(rows))


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
