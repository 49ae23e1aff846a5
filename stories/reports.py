"""The reports that a story covers besides its own post, and the sources that it credits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from django.db.models import Q
from pydantic import Field
from typing_extensions import TypedDict

from stories.market import trends
from stories.models import SourcePost, Story, StoryReport
from stories.sources.registry import credit_of

MOST_SOURCES = 20


class StorySource(TypedDict):
    """A report that a story rests on or covers."""

    role: Annotated[
        str,
        Field(
            description="main (its post), report (of the same event), repeated (came later) or "
            "background (older)."
        ),
    ]
    post: Annotated[int, Field(description="Id of the post.")]
    source: Annotated[str, Field(description="Name by which it is credited.")]
    title: Annotated[str, Field(description="Headline of the report.")]
    url: Annotated[str, Field(description="Address of the report, or empty.")]


class PublicSource(TypedDict):
    """A report that a story rests on or covers, as the audience may see it."""

    source: Annotated[str, Field(description="Name by which it is credited.")]
    title: Annotated[str, Field(description="Headline of the report.")]
    url: Annotated[str, Field(description="Address of the report, or empty.")]


def add(story: Story, post: SourcePost, role: str) -> None:
    """Stores that the story covers a post besides its own, in the caller's transaction."""
    StoryReport.objects.create(session_id=story.session_id, story=story, post=post, role=role)
    if role == StoryReport.Role.REPORT:
        trends.add_story(post)


def add_to_new(story: Story, reports: Sequence[tuple[SourcePost, str]]) -> None:
    """Stores the posts, with their roles, that a new story covers besides its own."""
    for post, role in reports:
        add(story, post, role)
    if not reports:
        # As prefetched, because there is nothing to read.
        story._prefetched_objects_cache = {  # type: ignore[attr-defined]
            "reports": StoryReport.objects.none()
        }


def duplicates_of(posts: Sequence[SourcePost]) -> list[SourcePost]:
    """Returns the reports of other outlets that repeat one of the posts and that no story credits.

    The posts are of one session.
    """
    if not posts:
        return []
    rows = SourcePost.objects.filter(
        session_id=posts[0].session_id,
        duplicate_of__in=posts,
        report=None,
        state=SourcePost.State.SKIPPED,
    )
    outlets = {credit_of(post) for post in posts}
    found = []
    for row in rows.select_related("source").order_by("id")[:MOST_SOURCES]:
        # An outlet that repeats itself, or is read from two feeds, is credited once.
        if credit_of(row) not in outlets:
            outlets.add(credit_of(row))
            found.append(row)
    return found


def credit_late(posts: Sequence[SourcePost]) -> list[int]:
    """Credits posts that repeat a story; returns the ids of those stories.

    A story credits an outlet once. In the transaction in which the posts are stored.
    """
    repeats = [post for post in posts if post.duplicate_of_id is not None]
    changed: dict[int, None] = {}
    for post in repeats:
        covering = Q(post=post.duplicate_of_id) | Q(reports__post=post.duplicate_of_id)
        rows = Story.objects.filter(covering, session_id=post.session_id, state__in=Story.OPEN)
        story = rows.select_related("post__source").order_by("pk").first()
        if story is None:
            continue
        sources = sources_of(story)
        if credit_of(post) in {row["source"] for row in sources} or len(sources) >= MOST_SOURCES:
            continue
        add(story, post, StoryReport.Role.REPEATED)
        changed[story.pk] = None
    return list(changed)


def sources_of(story: Story) -> list[StorySource]:
    """Returns the reports that a story credits, its own post first."""
    credited = [("main", story.post)] if story.post is not None else []
    # The desk reads one story, without its reports: one query for all of them.
    read_before = "reports" in getattr(story, "_prefetched_objects_cache", {})
    reports = story.reports.all()
    credited += [
        (report.role, report.post)
        for report in (reports if read_before else reports.select_related("post__source"))
        if report.role in StoryReport.CREDITED
    ]
    return [
        {
            "role": role,
            "post": post.pk,
            "source": credit_of(post),
            "title": post.title,
            "url": post.url,
        }
        for role, post in credited
    ]


def public(sources: Sequence[StorySource]) -> list[PublicSource]:
    """Returns the sources of a story as the audience may see them."""
    return [{"source": row["source"], "title": row["title"], "url": row["url"]} for row in sources]
