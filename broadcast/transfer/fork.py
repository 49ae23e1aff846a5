"""Forks: a session anew, with the threads it has told, so that the narration goes on from them."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any, TypeVar

from django.db.models import Count, Max
from pydantic import Field

from broadcast import session_commands
from broadcast.session_commands import CloneName
from broadcast.transfer import reconcile
from sessions_app import commands, sessions
from sessions_app.commands import Call, Payload
from sessions_app.events import recorder
from sessions_app.models import InSession, Session, SessionStats
from stories.market import trends
from stories.models import Source, SourcePost, Story, StoryThread, StoryVersion

MOST_STORIES = 1000
TOLD = (Story.State.AIRING, Story.State.AIRED)
RowT = TypeVar("RowT", bound=InSession)


class Fork(Payload):
    """``threads`` takes along what was told in threads, the latest thousand stories of it."""

    name: str | None = Field(None, min_length=1, max_length=120)
    threads: bool = True


def fork(call: Call) -> Session:
    """A clone that names what it was made from, with its threads where they are wanted.

    What was spent stays with the first session.
    """
    wanted: Fork = call.payload
    name = wanted.name or f"{call.target.name[:110]} (fork)"
    fresh = session_commands.clone(Call(call.actor, call.target, CloneName(name=name)))
    if wanted.threads:
        _bring_threads(call.target, fresh)
    return fresh


def _bring_threads(origin: Session, fresh: Session) -> None:
    rows = Story.objects.filter(session=origin, state__in=TOLD, thread__isnull=False)
    newest = rows.select_related("thread", "post__source").order_by("-id")[:MOST_STORIES]
    told = sorted(newest, key=lambda story: story.pk)
    if not told:
        return
    threads = _threads(fresh, told)
    posts = _posts(fresh, [story.post for story in told if story.post is not None])
    stories = _copied(
        fresh, told,
        lambda story: {
            "thread": threads[story.thread_id], "post": posts.get(story.post_id), "draft": None,
            "state": Story.State.AIRED, "cuts_in": False, "legacy_id": None,
        },
    )  # fmt: skip
    versions = StoryVersion.objects.filter(story__in=told).order_by("pk")
    _copied(fresh, versions, lambda version: {"story": stories[version.story_id]})
    _count(fresh)


def _copied(fresh: Session, rows: Iterable[RowT], changes: Any) -> dict[int, RowT]:
    """Copies of the rows in the fresh session, by the ids of the originals."""
    found: dict[int, RowT] = {}
    for row in rows:
        one = copy(row)
        one._state = copy(row._state)
        one._state.adding = True
        one.pk, one.session = None, fresh
        for name, value in changes(row).items():
            setattr(one, name, value)
        found[row.pk] = one
    if found:
        type(next(iter(found.values())))._default_manager.bulk_create(found.values(), 500)
    return found


def _threads(fresh: Session, told: list[Story]) -> dict[int, StoryThread]:
    size: dict[int, int] = {}
    first = {}
    for story in told:
        if story.thread is not None:
            size[story.thread.pk] = size.get(story.thread.pk, 0) + 1
            first[story.thread.pk] = story.thread
    moments = {pk: thread.updated_at for pk, thread in first.items()}
    found = _copied(
        fresh, sorted(first.values(), key=lambda each: each.pk),
        lambda thread: {"story_count": size[thread.pk]},
    )  # fmt: skip
    for pk, thread in found.items():
        thread.updated_at = moments[pk]
    StoryThread.objects.bulk_update(found.values(), ["updated_at"], 500)
    return found


def _posts(fresh: Session, told: list[SourcePost]) -> dict[int, SourcePost]:
    sources = _sources(fresh, {post.source_id: post.source for post in told})
    found = _copied(
        fresh, told,
        lambda post: {
            "source": sources[post.source_id], "step": None, "epoch": 0, "duplicate_of": None,
            "pinned": False,
        },
    )  # fmt: skip
    counted = SourcePost.objects.filter(session=fresh).values("source").annotate(n=Count("pk"))
    for each in counted.order_by():
        Source.objects.filter(pk=each["source"]).update(posts=each["n"])
    return found


def _sources(fresh: Session, needed: dict[int, Source]) -> dict[int, Source]:
    """The fresh session's sources; what the first one reads no more is there, and is not read."""

    def key(source: Source) -> tuple[str, str, str]:
        return source.kind, source.locator_digest, source.sort

    mine = {key(source): source for source in Source.objects.filter(session=fresh)}
    gone = [source for source in needed.values() if key(source) not in mine]
    more = _copied(fresh, gone, lambda _: {"enabled": False, "posts": 0, "cursor": {}})
    return {pk: mine.get(key(source)) or more[pk] for pk, source in needed.items()}


def _count(fresh: Session) -> None:
    """The figures of what was brought, at the times it was told; last in the transaction."""
    trends.rebuild(fresh)
    last = Story.objects.filter(session=fresh).aggregate(last=Max("completed_at"))["last"]
    counters = reconcile.counted(fresh)
    head = SessionStats.objects.select_for_update().get(session=fresh).last_seq
    recorder.add_imported(fresh, head, head, last, counters)
    recorder.record(fresh, recorder.SESSION_CHANGED, {"session": sessions.payload(fresh)})


def register() -> None:
    meaning = "Copy a session anew with its threads and what was told in them."
    commands.register("session.fork", Fork, fork, meaning)
