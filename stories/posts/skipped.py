"""Posts that were skipped: for another one, for a story that overtook them, or with nothing to tell."""

from __future__ import annotations

from typing import Annotated

from django.db.models import Exists, OuterRef, Q, QuerySet
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app.models import Session
from stories.models import SourcePost, StoryReport
from stories.text.furniture import REASONS

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
