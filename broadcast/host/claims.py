"""Posts that the host has claimed: each is published, requeued or failed, also after a crash.

Each change is a conditional UPDATE with its event, in the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from django.db import transaction
from django.db.models import F
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import editorial
from broadcast.models import Broadcast
from sessions_app.background.steps import Claim
from sessions_app.events import recorder
from sessions_app.models import Step
from stories import reports, stories
from stories.models import SourcePost, Story, StoryReport
from stories.posts import queue as posts_queue
from stories.posts.queue import PostPayload, QueuedPost
from stories.text.cleaning import cut


class PostEvent(TypedDict):
    """Payload of post.changed."""

    post: Annotated[PostPayload, Field(description="The post after the change.")]
    queue: Annotated[list[QueuedPost], Field(description="The first posts of the queue.")]


POST_CHANGED = recorder.declare(
    "post.changed", "A post was claimed, requeued, or failed.", PostEvent
)
COVERED = {
    StoryReport.Role.REPORT: "Told in “{title}”.",
    StoryReport.Role.REPEATED: "Already told as “{title}”.",
    StoryReport.Role.BACKGROUND: "Superseded by “{title}”.",
    StoryReport.Role.SUPERSEDED: "Superseded by “{title}”.",
}
WORN_OUT = "Narrating it failed three times."


def record(post: SourcePost, queue: int) -> None:
    """Records a change of a post; ``queue`` is by how much the number of waiting posts changed."""
    recorder.record(
        post.session,
        POST_CHANGED,
        {"post": posts_queue.payload(post), "queue": posts_queue.queue_payload(post.session)},
        queue=queue,
    )


def cover(post: SourcePost, role: str, title: str) -> bool:
    """Takes a waiting post off the queue because the story ``title`` covers it.

    Returns False if the post does not wait any more, or a person placed it meanwhile.
    """
    told = role == StoryReport.Role.REPORT
    state = SourcePost.State.PUBLISHED if told else SourcePost.State.SKIPPED
    rows = SourcePost.objects.filter(
        pk=post.pk, state=SourcePost.State.QUEUED, pinned=False, chosen=False
    )
    reason = COVERED[StoryReport.Role(role)].format(title=cut(title, 150))
    changed = bool(rows.update(state=state, reason=reason))
    if changed:
        post.refresh_from_db()
    return changed


def skip(post: SourcePost, story: Story, role: str) -> None:
    """Skips a waiting post for a story that exists, which gets the post as another source."""
    if cover(post, role, story.title):
        reports.add(story, post, role)
        record(post, queue=-1)
        if role in StoryReport.CREDITED:
            editorial.record_source(stories.find(post.session, story.pk))


def settle(
    claim: Claim, post: SourcePost, state: str, reason: str, *, any_epoch: bool = False
) -> None:
    """Ends the claim of a post; nothing if the step has not claimed it, in this epoch or in any."""
    rows = SourcePost.objects.filter(pk=post.pk, state=SourcePost.State.CLAIMED, step=claim.step)
    if not any_epoch:
        rows = rows.filter(epoch=claim.epoch)
    if rows.update(state=state, reason=reason[:200]):
        post.refresh_from_db()
        record(post, queue=1 if state in SourcePost.WAITING else 0)


def requeue(claim: Claim, post: SourcePost) -> None:
    """Requeues a post that was not at fault: the attempt does not count against it."""
    SourcePost.objects.filter(pk=post.pk, step=claim.step, epoch=claim.epoch).update(
        attempts=F("attempts") - 1
    )
    settle(claim, post, SourcePost.State.QUEUED, "")


def requeue_abandoned(claim: Claim) -> None:
    """Requeues the posts of workers that died; a post fails after the third death."""
    with transaction.atomic():
        for post in posts_queue.worn_out(claim):
            settle(claim, post, SourcePost.State.FAILED, WORN_OUT, any_epoch=True)
        # An earlier epoch of this step claimed them, and its worker did not come to the end.
        for post in posts_queue.held_by(claim).filter(epoch__lt=claim.epoch):
            settle(claim, post, SourcePost.State.QUEUED, "", any_epoch=True)
        # Another step of the session claimed them and ended without settling them.
        for post in posts_queue.left_behind(claim.session):
            _requeue_or_fail(post)


def gave_up(claim: Claim) -> None:
    """Settles the posts of a step that failed: requeues them, or fails those that are worn out.

    The attempts of the step also count holds, so the attempts of the post decide.
    """
    for post in posts_queue.held_by(claim).select_related("source", "session"):
        if post.attempts < posts_queue.MAX_ATTEMPTS:
            settle(claim, post, SourcePost.State.QUEUED, "", any_epoch=True)
            continue
        settle(claim, post, SourcePost.State.FAILED, WORN_OUT, any_epoch=True)
        sentence = f"“{post.title[:120]}” could not be narrated, so it was skipped."
        recorder.add_message(claim.session, "host", sentence, "post_failed")


def requeue_pending(run: Broadcast, _at: datetime) -> None:
    """Requeues posts whose step waits for its next attempt, before the end of the run cancels it."""
    rows = SourcePost.objects.filter(
        session=run.session, state=SourcePost.State.CLAIMED, step__state=Step.State.PENDING
    )
    for post in rows.select_related("source", "session"):
        _requeue_or_fail(post)


def _requeue_or_fail(post: SourcePost) -> None:
    """Requeues a claimed post that its step will not settle, or fails it if it is worn out."""
    worn_out = post.attempts >= posts_queue.MAX_ATTEMPTS
    state = SourcePost.State.FAILED if worn_out else SourcePost.State.QUEUED
    # The epoch: another step may have claimed the post since it was read.
    rows = SourcePost.objects.filter(pk=post.pk, state=SourcePost.State.CLAIMED, epoch=post.epoch)
    if rows.update(state=state, reason=WORN_OUT if worn_out else ""):
        post.refresh_from_db()
        record(post, queue=0 if worn_out else 1)
