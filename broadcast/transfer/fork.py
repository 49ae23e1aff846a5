"""Forks a session: copies its settings and the aired stories of its threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from copy import copy
from typing import Any, TypeVar

from django.db.models import Count, Max
from pydantic import Field

from broadcast import session_commands
from broadcast.session_commands import CloneName
from broadcast.transfer import reconcile
from sessions_app import commands, sessions
from sessions_app.commands import Call, Command, Payload
from sessions_app.events import recorder, statistics
from sessions_app.models import InSession, Session, SessionStats
from stories.market import trends
from stories.models import Source, SourcePost, Story, StoryReport, StoryThread, StoryVersion

MAX_STORIES = 1000
ON_AIR_OR_AIRED = (Story.State.AIRING, Story.State.AIRED)
RowT = TypeVar("RowT", bound=InSession)


class Fork(Payload):
    """A fork; ``threads`` copies the latest ``MAX_STORIES`` aired stories that are in threads."""

    name: str | None = Field(
        None, min_length=1, max_length=120, description="The name; null for the old name (copy)."
    )
    threads: bool = Field(True, description="Whether the threads are copied with their stories.")


def fork(call: Call) -> Session:
    """Clones the session and copies its threads if requested; costs stay with the original."""
    options: Fork = call.payload
    name = options.name or f"{call.target.name[:110]} (fork)"
    fresh = session_commands.clone(Call(call.actor, call.target, CloneName(name=name)))
    if options.threads:
        _copy_threads(call.target, fresh)
    return fresh


FORK = Command("session.fork", Fork, fork, "Copies a session with its threads and their stories.")


def _copy_threads(origin: Session, fresh: Session) -> None:
    rows = Story.objects.filter(session=origin, state__in=ON_AIR_OR_AIRED, thread__isnull=False)
    newest = rows.select_related("thread", "post__source").order_by("-id")[:MAX_STORIES]
    originals = sorted(newest, key=lambda story: story.pk)
    if not originals:
        return
    threads = _copied_threads(fresh, originals)
    reports = list(
        StoryReport.objects.filter(story__in=originals, role__in=StoryReport.CREDITED)
        .select_related("post__source")
        .order_by("pk")
    )
    own = [story.post for story in originals if story.post is not None]
    posts = _copied_posts(fresh, own + [report.post for report in reports])
    stories = _copied(
        fresh,
        originals,
        lambda story: {
            "thread": threads[story.thread_id],
            "post": posts.get(story.post_id),
            "draft": None,
            "state": Story.State.AIRED,
            "cuts_in": False,
            "legacy_id": None,
        },
    )
    _copied(
        fresh,
        reports,
        lambda report: {"story": stories[report.story_id], "post": posts[report.post_id]},
    )
    versions = StoryVersion.objects.filter(story__in=originals).order_by("pk")
    _copied(fresh, versions, lambda version: {"story": stories[version.story_id]})
    trends.rebuild(fresh)
    last = Story.objects.filter(session=fresh).aggregate(last=Max("completed_at"))["last"]
    counters = reconcile.counted(fresh)
    # Last in the transaction: the counters' row is locked from here to the commit.
    head = SessionStats.objects.select_for_update().get(session=fresh).last_seq
    statistics.add_imported(fresh, head, head, last, counters)
    recorder.record(fresh, recorder.SESSION_CHANGED, {"session": sessions.payload(fresh)})


def _copied(fresh: Session, rows: Iterable[RowT], changes: Any) -> dict[int, RowT]:
    """Inserts copies of the rows into the new session; returns them by the ids of the originals."""
    copies: dict[int, RowT] = {}
    for row in rows:
        duplicate = copy(row)
        # copy() shares _state with the original, which would then count as unsaved too.
        duplicate._state = copy(row._state)
        duplicate._state.adding = True
        duplicate.pk, duplicate.session = None, fresh
        for name, value in changes(row).items():
            setattr(duplicate, name, value)
        copies[row.pk] = duplicate
    if copies:
        type(next(iter(copies.values())))._default_manager.bulk_create(copies.values(), 500)
    return copies


def _copied_threads(fresh: Session, stories: list[Story]) -> dict[int, StoryThread]:
    threads = {story.thread.pk: story.thread for story in stories if story.thread is not None}
    sizes = Counter(story.thread.pk for story in stories if story.thread is not None)
    updated_at = {pk: thread.updated_at for pk, thread in threads.items()}
    originals = [thread for _, thread in sorted(threads.items())]
    copies = _copied(fresh, originals, lambda thread: {"story_count": sizes[thread.pk]})
    # bulk_create has set updated_at, an auto_now column, to the present.
    for pk, thread in copies.items():
        thread.updated_at = updated_at[pk]
    StoryThread.objects.bulk_update(copies.values(), ["updated_at"], 500)
    return copies


def _copied_posts(fresh: Session, posts: list[SourcePost]) -> dict[int, SourcePost]:
    sources = _sources(fresh, {post.source_id: post.source for post in posts})
    copies = _copied(
        fresh,
        posts,
        lambda post: {
            "source": sources[post.source_id],
            "step": None,
            "epoch": 0,
            "duplicate_of": None,
            "pinned": False,
        },
    )
    by_source = SourcePost.objects.filter(session=fresh).values("source").annotate(n=Count("pk"))
    for row in by_source.order_by():
        Source.objects.filter(pk=row["source"]).update(posts=row["n"])
    return copies


def _sources(fresh: Session, originals: dict[int, Source]) -> dict[int, Source]:
    """Returns the new session's sources by the ids of the originals.

    Sources that the clone does not have, because the original no longer reads them, are added
    disabled.
    """

    def key(source: Source) -> tuple[str, str, str]:
        return source.kind, source.locator_digest, source.sort

    cloned = {key(source): source for source in Source.objects.filter(session=fresh)}
    missing = [source for source in originals.values() if key(source) not in cloned]
    added = _copied(fresh, missing, lambda _: {"enabled": False, "posts": 0, "cursor": {}})
    return {pk: cloned.get(key(source)) or added[pk] for pk, source in originals.items()}


def register() -> None:
    commands.register(FORK)
