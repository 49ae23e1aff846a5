"""The reports that a story covers besides its own post, and the sources that it credits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

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


def duplicates_of(post: SourcePost | None) -> list[SourcePost]:
    """Returns the reports of other outlets that repeat a post and are credited by no story yet."""
    if post is None:
        return []
    rows = SourcePost.objects.filter(
        session_id=post.session_id, duplicate_of=post, report=None, state=SourcePost.State.SKIPPED
    )
    outlets = {credit_of(post)}
    found = []
    for row in rows.select_related("source").order_by("id")[:MOST_SOURCES]:
        # An outlet that repeats itself, or is read from two feeds, is credited once.
        if credit_of(row) not in outlets:
            outlets.add(credit_of(row))
            found.append(row)
    return found


def sources_of(story: Story) -> list[StorySource]:
    """Returns the reports that a story credits, its own post first."""
    credited = [("main", story.post)] if story.post is not None else []
    credited += [
        (report.role, report.post)
        for report in story.reports.all()
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
