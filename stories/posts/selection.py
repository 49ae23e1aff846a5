"""Chooses the post to narrate next, so that nothing older airs as news after something newer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sessions_app.models import Session
from stories import threads
from stories.models import SourcePost, Story
from stories.posts import queue
from stories.posts.duplicates import names_disagree

Relation = Story.Relation

# The queue holds at most this many posts before its sources are read more slowly.
MOST_QUEUED = queue.QUEUE_LIMIT
SAME_READING = timedelta(minutes=1)
# A newer post with one of these relations tells how things are now, so the older one is out of date.
CHANGES = (Relation.DEVELOPMENT, Relation.CORRECTION)
# Comment is about an event and no report of it, so it neither overtakes nor is overtaken.
_COMMENT = re.compile(
    r"\s*\[?(?:opinion|op-ed|editorial|comment|column|analysis|explainer|review|interview)\b\]?"
    r"\s*[:|\u2013\u2014-]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A waiting post that is older than a story of its thread."""

    post: SourcePost
    story: Story


@dataclass(slots=True)
class Choice:
    """The post to narrate next, and the posts that are skipped before it.

    ``against`` is the newer story that it follows because a person placed it.
    """

    post: SourcePost | None = None
    against: Story | None = None
    overtaken: list[Overtaken] = field(default_factory=list)


def choose(session: Session) -> Choice:
    """Returns the best waiting post that is not overtaken; changes nothing."""
    order = _Order(session)
    choice = Choice()
    for post in order.queued:
        story = order.newer_story(post)
        if placed(post):
            choice.post, choice.against = post, story
            return choice
        if story is None:
            choice.post = order.first_of_its_thread(post)
            return choice
        choice.overtaken.append(Overtaken(post, story))
    return choice


def placed(post: SourcePost) -> bool:
    """Whether a person decided when the post airs."""
    return post.pinned or post.chosen


def is_newer(post: SourcePost | Story, other: SourcePost | Story) -> bool:
    """Whether one is newer by the time of its source, or by that of reading if a source gave none."""
    (at, dated), (before, before_dated) = _time_of(post), _time_of(other)
    # Posts without a time that were read at once have no order.
    return at - before > (timedelta() if dated and before_dated else SAME_READING)


def _time_of(item: SourcePost | Story) -> tuple[datetime, bool]:
    """Returns the time of a post or story, and whether a source gave it or a person made it."""
    post = item.post if isinstance(item, Story) else item
    if post is None:
        return item.created_at, True
    return post.published_at or post.created_at, post.published_at is not None


class _Order:
    """The waiting posts and the recent stories of a session, as they compare with each other."""

    def __init__(self, session: Session) -> None:
        rows = queue.waiting(session).defer("body")
        self.queued = list(rows[:MOST_QUEUED])
        self._likeness = threads.Likeness(session)
        self._stories = threads.recent(session)

    def newer_story(self, post: SourcePost) -> Story | None:
        """Returns the newest story of the post's thread, if it is newer than the post."""
        if _COMMENT.match(post.title):
            return None
        related = [story for story in self._stories if self._follows(post, story)]
        in_threads = {story.thread_id for story in related if story.thread_id is not None}
        related += [story for story in self._stories if story.thread_id in in_threads]
        newer = [
            story
            for story in related
            if is_newer(story, post) and not _COMMENT.match(threads.headline_of(story))
        ]
        return max(newer, key=_time_of, default=None)

    def _follows(self, post: SourcePost, story: Story) -> bool:
        headline = threads.headline_of(story)
        if self._likeness.of(post.title, headline) <= threads.SHARED_WEIGHT:
            return False
        text = story.post.body if story.post else story.narrative
        return not names_disagree(post.title, _text(post), headline, f"{headline} {text}")

    def first_of_its_thread(self, post: SourcePost) -> SourcePost:
        """Returns the waiting post of the same thread that has to air first, often ``post`` itself.

        The newest report of an event replaces the older ones. Without a change, the older of two
        posts comes first.
        """
        seen = {post.pk}
        while True:
            mates = [
                mate for mate in self.queued if mate.pk not in seen and self._mates(post, mate)
            ]
            newer = [mate for mate in mates if _replaces(mate, post)]
            older = [mate for mate in mates if is_newer(post, mate) and not _replaces(post, mate)]
            if newer:
                post = max(newer, key=_time_of)
            elif older:
                post = min(older, key=_time_of)
            else:
                return post
            seen.add(post.pk)

    def _mates(self, post: SourcePost, other: SourcePost) -> bool:
        if placed(other) or _COMMENT.match(post.title) or _COMMENT.match(other.title):
            return False
        if self._likeness.of(post.title, other.title) <= threads.SHARED_WEIGHT:
            return False
        return not names_disagree(post.title, _text(post), other.title, _text(other))


def _replaces(newer: SourcePost, older: SourcePost) -> bool:
    """Whether the newer post tells of a change, after which the older one is out of date."""
    relation = threads.relation_of(newer.title, older.title)
    return is_newer(newer, older) and relation in CHANGES


def _text(post: SourcePost) -> str:
    return f"{post.title} {post.body}"
