"""Posts that the host has claimed: they are told, put back, given back, or failed, never forgotten.

Each move is a conditional UPDATE with its event, in the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from broadcast.models import Broadcast
from sessions_app.background.steps import Claim
from sessions_app.events import recorder
from sessions_app.models import Step
from stories.models import SourcePost
from stories.posts import queue as posts_queue

POST_CHANGED = recorder.declare("post.changed", "A post was claimed, given back, or failed.")
_WORN_OUT = "Narrating it failed three times."


def record(post: SourcePost, queue: int) -> None:
    recorder.record(
        post.session,
        POST_CHANGED,
        {"post": posts_queue.payload(post), "queue": posts_queue.queue_payload(post.session)},
        queue=queue,
    )


def settle(claim: Claim, post: SourcePost, state: str, reason: str, *, any_: bool = False) -> None:
    """Move a claimed post on with its event; in the caller's transaction."""
    mine = SourcePost.objects.filter(pk=post.pk, state=SourcePost.State.CLAIMED, step=claim.step)
    if not any_:
        mine = mine.filter(epoch=claim.epoch)
    if mine.update(state=state, reason=reason[:200]):
        post.refresh_from_db()
        record(post, queue=1 if state in SourcePost.WAITING else 0)


def put_back(claim: Claim, post: SourcePost) -> None:
    """The post was not at fault: it waits again, and the attempt does not count against it."""
    SourcePost.objects.filter(pk=post.pk, step=claim.step, epoch=claim.epoch).update(
        attempts=F("attempts") - 1
    )
    settle(claim, post, SourcePost.State.QUEUED, "")


def give_back_earlier(claim: Claim) -> None:
    """Posts an earlier epoch died with go back to the queue; after three deaths they fail."""
    with transaction.atomic():
        for post in posts_queue.worn_out(claim):
            settle(claim, post, SourcePost.State.FAILED, _WORN_OUT, any_=True)
        for post in posts_queue.held_by(claim).filter(epoch__lt=claim.epoch):
            settle(claim, post, SourcePost.State.QUEUED, "", any_=True)
        for post in posts_queue.left_behind(claim.session):
            _free(post)


def gave_up(claim: Claim) -> None:
    """The step ended in failure: a worn-out post fails with it, said aloud, and the show goes on.

    The step's attempts also count holds, so the post's own decide.
    """
    for post in posts_queue.held_by(claim).select_related("source", "session"):
        if post.attempts < posts_queue.MAX_ATTEMPTS:
            settle(claim, post, SourcePost.State.QUEUED, "", any_=True)
            continue
        settle(claim, post, SourcePost.State.FAILED, _WORN_OUT, any_=True)
        sentence = f"“{post.title[:120]}” could not be narrated, so it was passed over."
        recorder.add_message(claim.session, "host", sentence, "post_failed")


def free_waiting(run: Broadcast, _at: datetime) -> None:
    """A post whose step waits for another try goes back to the queue before that is cancelled."""
    left = SourcePost.objects.filter(
        session=run.session, state=SourcePost.State.CLAIMED, step__state=Step.State.PENDING
    )
    for post in left.select_related("source", "session"):
        _free(post)


def _free(post: SourcePost) -> None:
    """Put a claimed post whose step will not end it back into the queue, or fail a worn-out one."""
    worn = post.attempts >= posts_queue.MAX_ATTEMPTS
    state = SourcePost.State.FAILED if worn else SourcePost.State.QUEUED
    mine = SourcePost.objects.filter(pk=post.pk, state=SourcePost.State.CLAIMED, epoch=post.epoch)
    if mine.update(state=state, reason=_WORN_OUT if worn else ""):
        post.refresh_from_db()
        record(post, queue=0 if worn else 1)
