"""Stories: creates them, finds them, and shapes them for pages, frames and the API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NotRequired
from uuid import UUID

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import statements
from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.events.statistics import Extra
from sessions_app.hooks import Topic
from sessions_app.models import Session
from sessions_app.models.session import DEFAULT_PACE
from stories import disclosure
from stories import reports as reports_module
from stories.disclosure import Disclosure
from stories.market import trends
from stories.models import SourcePost, Story, TokenUsage
from stories.posts import queue
from stories.posts.queue import QueuedPost
from stories.reports import PublicSource, StorySource
from stories.sources.registry import credit_of
from stories.text.addresses import credit
from stories.text.sentences import reading_seconds, sentences, word_count
from stories.types import DroppedSentence, GroundedSentence
from stories.usage import accounting


class PostReference(TypedDict):
    """The post that a story was narrated from."""

    id: Annotated[int, Field(description="Id of the post.")]
    external_id: Annotated[str, Field(description="Id of the post at its source.")]
    source: Annotated[str, Field(description="Address of the source.")]
    outlet: NotRequired[
        Annotated[str, Field(description="Name by which the story credits the post.")]
    ]
    title: Annotated[str, Field(description="Headline of the post.")]
    url: Annotated[str, Field(description="Address of the post, or empty.")]


class ThreadReference(TypedDict):
    """The thread that a story belongs to."""

    id: Annotated[int, Field(description="Id of the thread.")]
    title: Annotated[str, Field(description="Headline of the first story of the thread.")]
    relation: Annotated[
        str,
        Field(
            description="To the story before it: follow-up, clarification, correction, "
            "new-development, or empty for the first."
        ),
    ]


class StoryPayload(TypedDict):
    """A story, as its owner may see it."""

    id: Annotated[int, Field(description="Id of the story.")]
    title: Annotated[str, Field(description="Headline.")]
    narrative: Annotated[str, Field(description="The text that is read on air.")]
    summary: Annotated[str, Field(description="Summary of the text, or empty.")]
    tone: Annotated[
        str, Field(description="breaking, developing, analysis, opinion or human-interest.")
    ]
    priority: Annotated[str, Field(description="high, medium or low.")]
    sentiment: Annotated[str, Field(description="positive, neutral or negative.")]
    topics: Annotated[list[str], Field(description="Up to five topics.")]
    word_count: Annotated[int, Field(description="Number of words of the narrative.")]
    duration: Annotated[int, Field(description="Length on air in seconds.")]
    state: Annotated[
        str, Field(description="written, approved, vetoed, airing, aired or killed (pulled).")
    ]
    origin: Annotated[
        str,
        Field(description="model, extractive, manual (break-in), draft, legacy (import) or recap."),
    ]
    draft: Annotated[int | None, Field(description="Id of the draft it was made from, or null.")]
    model: Annotated[str, Field(description="Model that wrote it, or empty.")]
    note: Annotated[str, Field(description="How it deviates from the settings, or empty.")]
    cuts_in: Annotated[bool, Field(description="Whether it airs before all waiting stories.")]
    passages: Annotated[
        list[GroundedSentence],
        Field(
            description="Its sentences, each with the passages of its sources; empty without a check."
        ),
    ]
    dropped: Annotated[
        list[DroppedSentence],
        Field(description="Sentences that failed the check and are not part of it."),
    ]
    held: Annotated[
        bool, Field(description="Whether it waits for an editor, because sentences failed.")
    ]
    created_at: Annotated[str, Field(description="Time of creation, ISO 8601 UTC.")]
    aired_at: Annotated[
        str | None, Field(description="Start of the latest airing, ISO 8601 UTC, or null.")
    ]
    finish_at: Annotated[
        str | None, Field(description="End of the latest airing, ISO 8601 UTC, or null.")
    ]
    post: Annotated[PostReference | None, Field(description="Its post, or null without one.")]
    sources: Annotated[list[StorySource], Field(description="Credited reports, its own first.")]
    thread: Annotated[ThreadReference | None, Field(description="Its thread, or null.")]
    version: Annotated[int, Field(description="Number of the version; 1 for the first.")]
    corrected_at: Annotated[
        str | None, Field(description="Time of the latest correction, ISO 8601 UTC, or null.")
    ]
    correction: Annotated[str, Field(description="Reason of the latest correction, or empty.")]
    bookmarked: Annotated[bool, Field(description="Whether the owner bookmarked it.")]
    approved_at: Annotated[
        str | None, Field(description="Time of an editor's approval, ISO 8601 UTC, or null.")
    ]
    disclosure: Annotated[Disclosure, Field(description="How it was made.")]


class PublicPost(TypedDict):
    """The post of a story, as the audience may see it."""

    source: Annotated[str, Field(description="Name of the source; of an address only the host.")]
    title: Annotated[str, Field(description="Headline of the post.")]
    url: Annotated[str, Field(description="Address of the post, or empty.")]


class PublicThread(TypedDict):
    """The thread of a story, as the audience may see it."""

    id: Annotated[int, Field(description="Id of the thread.")]
    relation: Annotated[str, Field(description="To the story before it; empty for the first.")]


class PublicStory(TypedDict):
    """A story, as the audience may see it: without costs and notes."""

    id: Annotated[int, Field(description="Id of the story.")]
    title: Annotated[str, Field(description="Headline.")]
    narrative: Annotated[str, Field(description="The text that is read on air.")]
    tone: Annotated[str, Field(description="Tone of the story.")]
    topics: Annotated[list[str], Field(description="Up to five topics.")]
    word_count: Annotated[int, Field(description="Number of words of the narrative.")]
    duration: Annotated[int, Field(description="Length on air in seconds.")]
    state: Annotated[str, Field(description="airing or aired.")]
    aired_at: Annotated[
        str | None, Field(description="Start of the latest airing, ISO 8601 UTC, or null.")
    ]
    finish_at: Annotated[
        str | None, Field(description="End of the latest airing, ISO 8601 UTC, or null.")
    ]
    thread: Annotated[PublicThread | None, Field(description="Its thread, or null.")]
    version: Annotated[int, Field(description="Number of the version; 1 for the first.")]
    corrected_at: Annotated[
        str | None, Field(description="Time of the latest correction, ISO 8601 UTC, or null.")
    ]
    correction: Annotated[str, Field(description="Reason of the latest correction, or empty.")]
    passages: Annotated[
        list[GroundedSentence],
        Field(description="Its sentences, each with the passages of its sources; may be empty."),
    ]
    post: Annotated[PublicPost | None, Field(description="Its post, or null without one.")]
    sources: Annotated[list[PublicSource], Field(description="Credited reports, its own first.")]
    disclosure: Annotated[Disclosure, Field(description="How it was made.")]


class StoryWritten(TypedDict):
    """Payload of story.written."""

    story: Annotated[StoryPayload, Field(description="The story.")]
    queue: Annotated[list[QueuedPost], Field(description="The first posts of the queue.")]
    joined: NotRequired[
        Annotated[
            StoryPayload | None,
            Field(description="The earlier story whose thread this one opened, or null."),
        ]
    ]
    adopted: NotRequired[
        Annotated[int, Field(description="Id of the quarantined record that became the story.")]
    ]


class StoryDecided(TypedDict):
    """Payload of story.decided."""

    story: Annotated[StoryPayload, Field(description="The story.")]
    by: NotRequired[Annotated[str, Field(description="User name of the person who decided.")]]


WRITTEN = recorder.declare("story.written", "A story was narrated and stored.", StoryWritten)
DECIDED = recorder.declare("story.decided", "A person approved or vetoed a story.", StoryDecided)

on_change: Topic[[Story]] = Topic(
    "story.moved", "A story is written, aired, corrected or pulled; its event is still to come."
)


def seconds_on_air(words: int, pace: int) -> int:
    """Returns how long ``words`` take to read; a session with pace 0 uses the default pace."""
    return max(1, round(reading_seconds(words, pace or DEFAULT_PACE)))


def create(
    story: Story,
    attempts: Sequence[UUID] = (),
    joined: StoryPayload | None = None,
    reports: Sequence[tuple[SourcePost, str]] = (),
) -> Story:
    """Saves a new story, counts it and records ``story.written``; in the caller's transaction.

    Sets the story's length, its time of completion and, when ``attempts`` asked a model for it,
    its model. ``joined`` is the earlier story whose thread this one opened; ``reports`` are the posts
    that it covers besides its own, with their roles.
    """
    session, at = story.session, timezone.now()
    used = TokenUsage.objects.filter(attempt__in=attempts)
    if attempts:
        story.model = used.order_by("-id").values_list("model", flat=True).first() or ""
    story.word_count = word_count(story.narrative)
    story.duration = seconds_on_air(story.word_count, session.pace)
    story.completed_at = at
    story.save(force_insert=True)
    # Before the shares are made: an attempt that closes later then adds its own difference.
    calls = statements.update_returning(used, story=story) if attempts else []
    on_change.send(story)
    if story.post is not None:
        trends.add_story(story.post)
    reports_module.add_to_new(story, reports)
    recorder.record(
        session,
        WRITTEN,
        {"story": payload(story), "queue": queue.queue_payload(session), "joined": joined},
        at,
        Extra(shares=accounting.story_shares(story, calls)),
        story_count=1,
        words=story.word_count,
        narration_seconds=story.duration,
        sentences_dropped=len(story.dropped),
    )
    return story


def of_session(session: Session) -> QuerySet[Story]:
    """Returns the session's stories, newest first."""
    return (
        Story.objects.filter(session=session)
        .select_related("post", "post__source", "thread")
        .prefetch_related("reports__post__source")
        .order_by("-id")
    )


def find(session: Session, story_id: int, *, lock: bool = False) -> Story:
    """Returns a story of the session, or raises NotFound; ``lock`` locks its row until commit."""
    rows = of_session(session).filter(pk=story_id)
    story = (rows.select_for_update(of=("self",), no_key=True) if lock else rows).first()
    if story is None:
        raise NotFound("This session has no such story.")
    return story


# As literals, because SQLite uses a partial index only when the query repeats its condition.
WAITING = RawSQL("stories_story.state IN ('written', 'approved')", [], BooleanField())
PUBLISHED = RawSQL("stories_story.state IN ('airing', 'aired')", [], BooleanField())


def waiting(session: Session) -> QuerySet[Story]:
    """Returns the stories that are written, but neither aired nor vetoed, oldest first."""
    return of_session(session).filter(WAITING).order_by("id")


def next_up(session: Session) -> QuerySet[Story]:
    """Returns the waiting stories in the order in which they will air: break-ins first."""
    return waiting(session).order_by("-cuts_in", "id")


def published(session: Session) -> QuerySet[Story]:
    """Returns what the audience may see: stories on air or aired and not pulled, newest first."""
    return of_session(session).filter(PUBLISHED)


def post_reference(post: SourcePost | None) -> PostReference | None:
    if post is None:
        return None
    return {
        "id": post.pk,
        "external_id": post.external_id,
        "source": post.source.locator,
        "outlet": credit_of(post),
        "title": post.title,
        "url": post.url,
    }


def thread_reference(story: Story) -> ThreadReference | None:
    if story.thread is None:
        return None
    return {"id": story.thread.pk, "title": story.thread.title, "relation": story.relation}


def payload(
    story: Story, aired_at: str | None = None, finish_at: str | None = None
) -> StoryPayload:
    """Returns a story for its owner; the two times are those of its latest airing."""
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
        "passages": story.passages,
        "dropped": story.dropped,
        "held": story.held,
        "created_at": recorder.timestamp(story.created_at),
        "aired_at": aired_at,
        "finish_at": finish_at,
        "post": post_reference(story.post),
        "sources": reports_module.sources_of(story),
        "thread": thread_reference(story),
        "version": story.version,
        "corrected_at": recorder.timestamp(story.corrected_at),
        "correction": story.correction,
        "bookmarked": story.bookmarked_at is not None,
        "approved_at": recorder.timestamp(story.approved_at),
        "disclosure": disclosure.of_story(story),
    }


def public_sentence(sentence: GroundedSentence) -> GroundedSentence:
    """Returns a sentence with its passages, without what the check found."""
    return {
        "text": sentence["text"],
        "support": sentence["support"],
        "passages": sentence["passages"],
    }


def unsupported(story: Story) -> int:
    """Returns how many sentences of a story neither passages nor an editor support.

    Only narrators write from sources: what people write, or import, is their own.
    """
    if story.origin not in (Story.Origin.MODEL, Story.Origin.EXTRACTIVE):
        return 0
    supported = {each["text"] for each in story.passages if each["support"] != "none"}
    checked = {part for text in supported for part in sentences(text)}
    return sum(sentence not in checked for sentence in sentences(story.narrative))


def public_payload(story: StoryPayload) -> PublicStory:
    """Returns what the audience may know of a story: nothing of owner, prompts or money."""
    post, thread = story["post"], story["thread"]
    return {
        "id": story["id"],
        "title": story["title"],
        "narrative": story["narrative"],
        "tone": story["tone"],
        "topics": story["topics"],
        "word_count": story["word_count"],
        "duration": story["duration"],
        "state": story["state"],
        "aired_at": story["aired_at"],
        "finish_at": story["finish_at"],
        # The thread's title is the headline of its first story, which may have been pulled since.
        "thread": {"id": thread["id"], "relation": thread["relation"]} if thread else None,
        "version": story["version"],
        "corrected_at": story["corrected_at"],
        "correction": story["correction"],
        "passages": [public_sentence(each) for each in story["passages"]],
        "post": {
            # Events that were stored before posts had an outlet name the source alone.
            "source": post.get("outlet") or credit(post["source"]),
            "title": post["title"],
            "url": post["url"],
        }
        if post
        else None,
        # Events that were stored before stories had several sources have none.
        "sources": reports_module.public(story.get("sources", [])),
        "disclosure": story["disclosure"],
    }
