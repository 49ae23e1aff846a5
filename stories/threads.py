"""Threads: stories of one session about the same thing, and how a new one relates to the earlier."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F, QuerySet
from django.utils import timezone

from sessions_app.errors import NotFound
from sessions_app.events.recorder import timestamp
from sessions_app.models import Session
from stories.models import SourcePost, Story, StoryThread
from stories.posts.duplicates import moved_on, telling_words

Relation = Story.Relation

WINDOW = timedelta(hours=72)
MOST_STORIES = 300
MOST_HEADLINES = 500
# Tried on the recording's sixteen follow-ups: fourteen are found and nothing else is.
SHARED_WORDS = 3
SHARED_WEIGHT = 0.4
MOST_EARLIER = 3
MOST_SHOWN = 100

TOLD = (Story.State.WRITTEN, Story.State.APPROVED, Story.State.AIRING, Story.State.AIRED)
_CORRECTION = re.compile(r"\b(?:correct(?:ion|ed|s)|retract(?:ion|ed|s)|erratum)\b", re.IGNORECASE)
_CLARIFICATION = re.compile(
    r"\b(?:clarif(?:ication|ied|ies)|explain(?:er|ed|s)|in full|what (?:\S+ ){1,6}means?)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The story a new one goes on from, and how."""

    story: Story
    relation: str


def find(session: Session, headline: str) -> Earlier | None:
    """The newest story of the last days that is most about the same as ``headline``, or None.

    Words weigh the more, the fewer headlines of the session have them.
    """
    ours = telling_words(headline)
    if len(ours) < SHARED_WORDS:
        return None
    rarity = Rarity(_headlines(session))
    best: tuple[float, int] | None = None
    found: Story | None = None
    for story in _told_lately(session):
        shared = _likeness(ours, story, rarity)
        if shared >= SHARED_WEIGHT and (best is None or (shared, story.pk) > best):
            best, found = (shared, story.pk), story
    return Earlier(found, relation_of(headline, _headline(found))) if found else None


class Rarity:
    """How telling a word is among ``headlines``: the logarithm of how few of them have it."""

    def __init__(self, headlines: Sequence[str]) -> None:
        self._having = Counter(word for line in headlines for word in telling_words(line))
        self._all = len(headlines) + 1

    def sum(self, words: Iterable[str]) -> float:
        return sum(math.log(1 + self._all / (self._having[word] + 0.5)) for word in words)


def _headlines(session: Session) -> list[str]:
    rows = SourcePost.objects.filter(session=session, duplicate_of=None).order_by("-id")
    return list(rows.values_list("title", flat=True)[:MOST_HEADLINES])


def _told_lately(session: Session) -> QuerySet[Story]:
    since = timezone.now() - WINDOW
    rows = Story.objects.filter(session=session, state__in=TOLD, created_at__gte=since)
    return rows.select_related("post", "thread").order_by("-id")[:MOST_STORIES]


def _headline(story: Story) -> str:
    """What the story was called where it was read: narrators word headlines anew."""
    return story.post.title if story.post else story.title


def _likeness(ours: frozenset[str], story: Story, rarity: Rarity) -> float:
    """The shared weight of two headlines against the lighter one's, 0..1."""
    theirs = telling_words(_headline(story))
    shared = ours & theirs
    if len(shared) < SHARED_WORDS:
        return 0.0
    return rarity.sum(shared) / min(rarity.sum(ours), rarity.sum(theirs))


def relation_of(headline: str, earlier: str) -> str:
    """Correction and clarification say so themselves; a turn or other figures are a development."""
    if _CORRECTION.search(headline):
        return Relation.CORRECTION
    if _CLARIFICATION.search(headline):
        return Relation.CLARIFICATION
    return Relation.DEVELOPMENT if moved_on(headline, earlier) else Relation.FOLLOW_UP


def join(story: Story, earlier: Earlier) -> Story | None:
    """Puts ``story``, which is not saved yet, into the thread of the earlier one.

    Runs in the caller's transaction. The first follow-up opens the thread: the earlier story joins
    it too and is returned, because pages have to show it again.
    """
    # As it is now: a person may have corrected or pulled it while the narrator spoke.
    first = Story.objects.select_related("post__source", "thread").get(pk=earlier.story.pk)
    if first.state not in TOLD:
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


def told_before(earlier: Earlier | None) -> tuple[tuple[str, str], ...]:
    """Title and summary of the last stories of the thread that ``earlier`` is of, oldest first."""
    if earlier is None:
        return ()
    first = earlier.story
    rows = [first]
    if first.thread_id is not None:
        in_thread = Story.objects.filter(thread=first.thread_id, state__in=TOLD).order_by("-id")
        rows = list(reversed(in_thread[:MOST_EARLIER]))
    return tuple((row.title, row.summary or row.narrative) for row in rows)


def of_session(session: Session, most: int = MOST_SHOWN) -> list[dict[str, Any]]:
    """The session's threads, the one told about last first."""
    rows = StoryThread.objects.filter(session=session).order_by("-updated_at", "-id")
    return [payload(thread) for thread in rows[:most]]


def get(session: Session, thread_id: int) -> StoryThread:
    """A thread of the session; NotFound otherwise."""
    thread = StoryThread.objects.filter(session=session, pk=thread_id).first()
    if thread is None:
        raise NotFound("This session has no such thread.")
    return thread


def stories(thread: StoryThread) -> QuerySet[Story]:
    """The thread's stories, oldest first; the longest thread shows its latest hundred."""
    newest = Story.objects.filter(thread=thread).order_by("-id").values("pk")[:MOST_SHOWN]
    rows = Story.objects.filter(pk__in=newest).select_related("post", "post__source", "thread")
    return rows.order_by("id")


def payload(thread: StoryThread) -> dict[str, Any]:
    return {
        "id": thread.pk,
        "title": thread.title,
        "story_count": thread.story_count,
        "created_at": timestamp(thread.created_at),
        "updated_at": timestamp(thread.updated_at),
    }
