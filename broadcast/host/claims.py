"""Posts that the host has claimed: each is published, requeued or failed, also after a crash.

Each change is a conditional UPDATE with its event, in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

from django.db import transaction
from django.db.models import F
from pydantic import Field
from typing_extensions import TypedDict

from broadcast import editorial
from broadcast.models import Broadcast
from broadcast.narrators.base import tone_of
from sessions_app import statements
from sessions_app.background import isolation, steps
from sessions_app.background.steps import Claim
from sessions_app.events import recorder
from sessions_app.models import Message, Session, SessionEvent, Step
from stories import reports, stories, threads
from stories.models import SourcePost, Story, StoryReport
from stories.posts import queue as posts_queue
from stories.posts import selection
from stories.posts.queue import PostPayload, QueuedPost
from stories.sources.registry import credit_of
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


def record(post: SourcePost, queue: int) -> SessionEvent:
    """Records a change of a post; ``queue`` is by how much the number of waiting posts changed."""
    return recorder.record(
        post.session,
        POST_CHANGED,
        {"post": posts_queue.payload(post), "queue": posts_queue.queue_payload(post.session)},
        queue=queue,
    )


def cover(post: SourcePost, role: str, title: str) -> bool:
    """Takes a waiting post off the queue because the story ``title`` covers it.

    Returns False if the post does not wait any more, or a person placed it meanwhile.
    """
    published = role == StoryReport.Role.REPORT
    state = SourcePost.State.PUBLISHED if published else SourcePost.State.SKIPPED
    rows = SourcePost.objects.filter(
        pk=post.pk, state=SourcePost.State.QUEUED, pinned=False, chosen=False
    )
    reason = COVERED[StoryReport.Role(role)].format(title=cut(title, 150))
    return statements.update_row(rows, post, state=state, reason=reason)


def skip(post: SourcePost, story: Story, role: str) -> None:
    """Skips a waiting post for a story that exists, which gets the post as another source."""
    if cover(post, role, story.title):
        reports.add(story, post, role)
        if role == StoryReport.Role.REPEATED:
            reports.credit_late(reports.duplicates_of([post]))
        record(post, queue=-1)
        if role in StoryReport.CREDITED:
            editorial.record_source(stories.find(post.session, story.pk))


def settle(
    claim: Claim, post: SourcePost, state: str, reason: str, *, any_epoch: bool = False
) -> None:
    """Ends the claim of a post; nothing if the step has not claimed it, in this epoch or in any."""
    rows = SourcePost.objects.filter(pk=post.pk, state=SourcePost.State.CLAIMED, step=claim.step)
    # Of a worker that died, an earlier epoch claimed the post; else only this worker's own claim ends.
    if not any_epoch:
        rows = rows.filter(epoch=claim.epoch)
    if statements.update_row(rows, post, state=state, reason=reason[:200]):
        record(post, queue=1 if state in SourcePost.WAITING else 0)


def requeue(claim: Claim, post: SourcePost) -> None:
    """Requeues a post that was not at fault: the attempt does not count against it."""
    # Before the claim ends: the epoch shows that no other worker has claimed the post since.
    SourcePost.objects.filter(pk=post.pk, step=claim.step, epoch=claim.epoch).update(
        attempts=F("attempts") - 1
    )
    settle(claim, post, SourcePost.State.QUEUED, "")


def requeue_abandoned(claim: Claim) -> None:
    """Requeues the posts of workers that died; a post fails after the third death."""
    claimed = SourcePost.objects.filter(session=claim.session, state=SourcePost.State.CLAIMED)
    if not claimed.exists():
        return
    with transaction.atomic():
        if isolation.is_excused(claim.step):
            # That attempt failed because of the database, whatever the post.
            interrupted = posts_queue.held_by(claim).filter(epoch=claim.epoch - 1)
            interrupted.update(attempts=F("attempts") - 1)
            # The next attempt may end without an error: its worker may be killed.
            Step.objects.filter(pk=claim.step.pk, epoch=claim.epoch).update(last_error="")
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
    if statements.update_row(rows, post, state=state, reason=WORN_OUT if worn_out else ""):
        record(post, queue=0 if worn_out else 1)


LONGEST_WAIT = timedelta(hours=2)
CODE = "second_outlet"
WAITS = "“{title}” waits for a second outlet. Without one it airs in two hours, not as breaking."
# Outlets that print one agency's text are one outlet; the beginnings of the texts are compared.
_COMPARED = 200


def required(session: Session) -> bool:
    """Whether the session airs as breaking only what two independent outlets report."""
    return session.breaking_rule == Session.BreakingRule.TWO_OUTLETS


def confirmed(post: SourcePost, others: Iterable[SourcePost]) -> bool:
    """Whether an independent outlet among ``others`` reports the event of ``post`` too."""
    own = _text(post)
    repeats = reports.duplicates_of([post])
    return any(
        credit_of(other) != credit_of(post) and not (own and _text(other) == own)
        for other in (*others, *repeats)
    )


def must_wait(post: SourcePost, others: Iterable[SourcePost]) -> bool:
    """Whether a post would air as breaking and still waits for a second outlet."""
    breaking = tone_of(post.title, "") == "breaking"
    fresh = post.created_at > steps.now() - LONGEST_WAIT
    return breaking and fresh and not confirmed(post, others)


def may_air_as_breaking(post: SourcePost, others: Iterable[SourcePost]) -> bool:
    """Whether the story of a post may be called breaking; an editor's choice counts as a report."""
    return not required(post.session) or selection.placed(post) or confirmed(post, others)


def notify(session: Session, waiting: Iterable[SourcePost]) -> None:
    """Tells the owner once about each post that waits, in the caller's transaction."""
    for post in waiting:
        sentence = WAITS.format(title=cut(post.title, 120))
        if not Message.objects.filter(session=session, code=CODE, text=sentence).exists():
            recorder.add_message(session, "host", sentence, CODE)


def _text(post: SourcePost) -> str:
    # The lead, as a post that waits is read without its body.
    return " ".join(threads.report_of(post).text[:_COMPARED].casefold().split())
