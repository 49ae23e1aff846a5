"""Chooses the post to narrate next, so that nothing older airs as news after something newer.

Lists the posts that were skipped, with the reasons, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Left
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app.models import Session
from stories import threads
from stories.models import SourcePost, Story, StoryReport
from stories.posts import queue
from stories.posts.events import Index
from stories.posts.features import TEXT_CHARACTERS
from stories.text.furniture import REASONS
from stories.threads import Earlier

Relation = Story.Relation
Role = StoryReport.Role

# The queue holds at most this many posts before its sources are read more slowly.
MOST_QUEUED = queue.QUEUE_LIMIT
SAME_READING = timedelta(minutes=1)
# A newer post with one of these relations tells how things are now, so the older one is out of date.
CHANGES = (Relation.DEVELOPMENT, Relation.CORRECTION)
# Comment is about an event and no report of it, so it neither overtakes nor is overtaken.
_COMMENT = re.compile(
    r"\A\s*+\[?(?:opinion|op-ed|editorial|comment|column|analysis|explainer|review|interview)\b\]?"
    r"\s*+[:|\u2013\u2014-]",
    re.IGNORECASE,
)


SAME = ("duplicate", "same event")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A waiting post that is not narrated because of a story, and how it relates to the story."""

    post: SourcePost
    story: Story
    role: str


@dataclass(slots=True)
class Choice:
    """The post to narrate next, and what becomes of other waiting posts.

    ``skipped`` are posts before it that are out of date or bring nothing new. ``reports`` are about
    the same event as the post, and ``background`` is what it replaces: its story covers both.
    ``against`` is the newer story that it follows because a person placed it. ``unconfirmed`` posts
    before it wait for another report. ``earlier`` is the story that it follows up, ``upcoming`` the
    post that waits behind it, and ``written`` how many stories the session has.
    """

    post: SourcePost | None = None
    earlier: Earlier | None = None
    upcoming: SourcePost | None = None
    written: int = 0
    against: Story | None = None
    skipped: list[Skipped] = field(default_factory=list)
    unconfirmed: list[SourcePost] = field(default_factory=list)
    reports: list[SourcePost] = field(default_factory=list)
    background: list[SourcePost] = field(default_factory=list)


def choose(
    session: Session, must_wait: Callable[[SourcePost, list[SourcePost]], bool] | None = None
) -> Choice:
    """Returns the best waiting post that brings something new; changes nothing.

    ``must_wait`` is asked with a post and the waiting reports of the same event.
    """
    order = _Order(session)
    choice = Choice()
    for post in order.queued.values():
        skipped = order.covered(post)
        if placed(post):
            choice.post, choice.against = post, skipped.story if skipped else None
        elif skipped is None:
            choice.post = order.first_of_its_thread(post)
            if must_wait is not None and must_wait(choice.post, order.same_event(choice.post)):
                choice.unconfirmed.append(choice.post)
                choice.post = None
                continue
        else:
            choice.skipped.append(skipped)
            continue
        order.gather(choice, choice.post)
        choice.earlier = order.recent.find(threads.report_of(choice.post))
        gone = {choice.post.pk, *(skipped.post.pk for skipped in choice.skipped)}
        choice.upcoming = next((each for pk, each in order.queued.items() if pk not in gone), None)
        return choice
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
        # What is compared; the one that is claimed gets the rest.
        rows = queue.waiting(session).only("pinned", "chosen", *threads.COMPARED)
        rows = rows.annotate(lead=Left("body", TEXT_CHARACTERS))
        self.queued = {post.pk: post for post in rows[:MOST_QUEUED]}
        for post in self.queued.values():
            post.session = session
        self._posts_by_words = Index(
            (pk, threads.report_of(post)) for pk, post in self.queued.items()
        )
        self.recent = threads.Recent(session)

    def covered(self, post: SourcePost) -> Skipped | None:
        """Returns why the post is not narrated: a story is newer, or reported the same."""
        if _is_comment(post):
            return None
        stories = self.recent.stories
        matches = self.recent.index.matches(threads.report_of(post))
        related = [stories[match.key] for match in matches]
        for match, story in zip(matches, related, strict=True):
            # A later report with other facts is a follow-up.
            same = match.judgement.kind == "duplicate" or not is_newer(post, story)
            if match.judgement.kind in SAME and same and not _is_comment(story):
                return Skipped(post, story, Role.REPEATED)
        in_threads = {story.thread_id for story in related if story.thread_id is not None}
        related += [story for story in stories.values() if story.thread_id in in_threads]
        newer = [story for story in related if is_newer(story, post) and not _is_comment(story)]
        if not newer:
            return None
        return Skipped(post, max(newer, key=_time_of), Role.SUPERSEDED)

    def first_of_its_thread(self, post: SourcePost) -> SourcePost:
        """Returns the waiting post of the same thread that has to air first, often ``post`` itself.

        The newest report of an event replaces the older ones. Without a change, the older of two
        posts comes first.
        """
        seen = {post.pk}
        while True:
            mates = [mate for mate, kind in self._mates(post) if kind not in SAME]
            mates = [mate for mate in mates if mate.pk not in seen]
            newer = [mate for mate in mates if _replaces(mate, post)]
            older = [mate for mate in mates if is_newer(post, mate) and not _replaces(post, mate)]
            if newer:
                post = max(newer, key=_time_of)
            elif older:
                post = min(older, key=_time_of)
            else:
                return post
            seen.add(post.pk)

    def gather(self, choice: Choice, post: SourcePost) -> None:
        """Adds the waiting posts that the story of ``post`` covers too."""
        for mate, kind in self._mates(post):
            if kind in SAME:
                choice.reports.append(mate)
            elif _replaces(post, mate):
                choice.background.append(mate)

    def same_event(self, post: SourcePost) -> list[SourcePost]:
        """Returns the other waiting reports of the event of a post."""
        return [mate for mate, kind in self._mates(post) if kind in SAME]

    def _mates(self, post: SourcePost) -> list[tuple[SourcePost, str]]:
        """Returns the related waiting posts that no person placed, with the kind of relation."""
        if _is_comment(post):
            return []
        matches = self._posts_by_words.matches(threads.report_of(post))
        related = [(self.queued[match.key], match.judgement.kind) for match in matches]
        return [
            (mate, kind)
            for mate, kind in related
            if mate.pk != post.pk and not placed(mate) and not _is_comment(mate)
        ]


def _is_comment(item: SourcePost | Story) -> bool:
    title = threads.headline_of(item) if isinstance(item, Story) else item.title
    return _COMMENT.match(title) is not None


def _replaces(newer: SourcePost, older: SourcePost) -> bool:
    """Whether the newer post tells of a change, after which the older one is out of date."""
    relation = threads.relation_of(newer.title, older.title)
    return is_newer(newer, older) and relation in CHANGES


MOST = 30


class Original(TypedDict):
    """What a skipped post repeats, or the story that overtook it."""

    relation: Annotated[
        str,
        Field(
            description="duplicate (of the post), superseded (by the story), background (of it) or "
            "repeated (after it)."
        ),
    ]
    post: Annotated[
        int | None, Field(description="Id of the earlier post; null for a story without a post.")
    ]
    title: Annotated[str, Field(description="Headline of the earlier post, or of the story.")]
    url: Annotated[str, Field(description="Address of the earlier post; may be empty.")]
    source: Annotated[str, Field(description="Address of its source; may be empty.")]
    story: Annotated[int | None, Field(description="Id of the story, or null if there is none.")]


class SkippedPost(TypedDict):
    """A post that an editor may return to the queue."""

    id: int
    title: str
    source: str
    url: str
    reason: str
    original: Original | None


def of_session(session: Session) -> QuerySet[SourcePost]:
    """Returns the posts that an editor may return to the queue, the latest first."""
    rows = SourcePost.objects.filter(restorable(), session=session)
    return with_originals(rows).order_by("-id")


def restorable() -> Q:
    """Returns the condition of a post that was skipped by a rule and not by a person."""
    covered = StoryReport.objects.filter(post=OuterRef("pk"))
    return Q(state=SourcePost.State.SKIPPED) & (
        Q(duplicate_of__isnull=False) | Q(Exists(covered)) | Q(reason__in=REASONS)
    )


def is_empty(post: SourcePost) -> bool:
    """Whether a post was skipped because it has nothing to tell."""
    return post.state == SourcePost.State.SKIPPED and post.reason in REASONS


def with_originals(rows: QuerySet[SourcePost]) -> QuerySet[SourcePost]:
    """Reads what ``original`` needs in the same query."""
    return rows.select_related(
        "source", "duplicate_of__source", "duplicate_of__story", "report__story__post__source"
    )


def original(post: SourcePost) -> Original | None:
    """Returns what the post was skipped for, or None."""
    if post.state != SourcePost.State.SKIPPED:
        return None
    earlier = post.duplicate_of
    if earlier is not None:
        # The reverse side of a one-to-one relation raises an AttributeError where there is no row.
        story = getattr(earlier, "story", None)
        return _payload("duplicate", earlier, earlier.title, story and story.pk)
    report = getattr(post, "report", None)
    if report is None:
        return None
    return _payload(report.role, report.story.post, report.story.title, report.story.pk)


def _payload(relation: str, earlier: SourcePost | None, title: str, story: int | None) -> Original:
    return {
        "relation": relation,
        "post": earlier.pk if earlier else None,
        "title": title,
        "url": earlier.url if earlier else "",
        "source": earlier.source.locator if earlier else "",
        "story": story,
    }


def newest(session: Session) -> list[SkippedPost]:
    """Returns the latest posts of ``of_session`` for the page of the rundown."""
    return [
        {
            "id": post.pk,
            "title": post.title,
            "source": post.source.locator,
            "url": post.url,
            "reason": post.reason,
            "original": original(post),
        }
        for post in of_session(session)[:MOST]
    ]
