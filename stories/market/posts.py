"""The posts behind a figure of the market, newest first, by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sessions_app.events import recorder
from stories.models import SourcePost, Story, Trend, TrendPost
from stories.posts import queue

MOST = 25


@dataclass(frozen=True, slots=True)
class Page:
    """Some posts; ``after`` is the key of the next, older page, None at the end."""

    posts: Sequence[dict[str, Any]]
    after: int | None


def read_page(trend: Trend, before: int | None = None) -> Page:
    """The newest posts of a keyword or a source with ids below ``before``, with their stories."""
    found = _of_source(trend, before) if trend.kind == Trend.Kind.SOURCE else _named(trend, before)
    shown = found[:MOST]
    stories = {
        story.post_id: story
        for story in Story.objects.filter(post__in=shown).only("id", "post_id", "title", "thread")
    }
    after = shown[-1].pk if len(found) > MOST else None
    return Page([_payload(post, stories.get(post.pk)) for post in shown], after)


def _named(trend: Trend, before: int | None) -> list[SourcePost]:
    links = TrendPost.objects.filter(trend=trend).select_related("post__source")
    if before is not None:
        links = links.filter(post_id__lt=before)
    return [link.post for link in links.order_by("-post_id")[: MOST + 1]]


def _of_source(trend: Trend, before: int | None) -> list[SourcePost]:
    rows = SourcePost.objects.filter(source_id=int(trend.key), duplicate_of=None)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.select_related("source").order_by("-id")[: MOST + 1])


def _payload(post: SourcePost, story: Story | None) -> dict[str, Any]:
    return {
        **queue.payload(post),
        "reason": post.reason,
        "engagement": max(post.score + 2 * post.comments, 0),
        "read_at": recorder.timestamp(post.created_at),
        "story": story and {"id": story.pk, "title": story.title, "thread": story.thread_id},
    }
