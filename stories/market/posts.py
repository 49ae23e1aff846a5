"""The posts of a keyword or a source on the market, newest first, in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sessions_app.events import recorder
from stories.models import SourcePost, Story, Trend, TrendPost
from stories.posts import queue

MOST = 25


@dataclass(frozen=True, slots=True)
class Page:
    """Some posts; ``after`` is the key of the next, older page, None at the end."""

    posts: Sequence[Mapping[str, object]]
    after: int | None


def read_page(trend: Trend, before: int | None = None) -> Page:
    """Returns the newest posts of a trend with ids below ``before``, with their stories."""
    if trend.kind == Trend.Kind.SOURCE:
        # The posts of a source are not linked to its trend, because they know their source.
        rows = SourcePost.objects.filter(source_id=int(trend.key), duplicate_of=None)
        if before is not None:
            rows = rows.filter(pk__lt=before)
        # By the index (source, -id), a page at a time by key.
        posts = list(rows.select_related("source").order_by("-id")[: MOST + 1])
    else:
        links = TrendPost.objects.filter(trend=trend).select_related("post__source")
        if before is not None:
            links = links.filter(post_id__lt=before)
        # The ids of the posts order the links, so no join is needed to find the page.
        posts = [link.post for link in links.order_by("-post_id")[: MOST + 1]]
    shown = posts[:MOST]
    # One query for the stories of all posts of the page.
    rows_of_stories = Story.objects.filter(post__in=shown).only("id", "post_id", "title", "thread")
    stories = {story.post_id: story for story in rows_of_stories}
    payloads: list[Mapping[str, object]] = []
    for post in shown:
        story = stories.get(post.pk)
        payloads.append(
            {
                **queue.payload(post),
                "reason": post.reason,
                "engagement": max(post.score + 2 * post.comments, 0),
                "read_at": recorder.timestamp(post.created_at),
                "story": story
                and {"id": story.pk, "title": story.title, "thread": story.thread_id},
            }
        )
    return Page(payloads, shown[-1].pk if len(posts) > MOST else None)
