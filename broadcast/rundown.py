"""The rundown: users pin, hold, release, kill and move waiting posts, and weight their words.

Each change is one conditional UPDATE with its event; it is refused when the host has claimed the
post meanwhile.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from pydantic import model_validator

from broadcast import editorial, orchestrator
from broadcast.host import claims
from sessions_app import commands
from sessions_app.background import steps
from sessions_app.commands import Call, Command, Payload
from sessions_app.errors import Conflict, NotFound
from sessions_app.models import Session
from stories import stories
from stories.market import trends
from stories.models import Interest, SourcePost, StoryReport
from stories.posts import interests, selection
from stories.posts import queue as posts_queue
from stories.text.cleaning import cut

State = SourcePost.State

SPACING = 1e-6  # between the ranks of two posts
RETURNED = "Returned to the queue by"

REFUSALS = {
    State.CLAIMED: "The host is narrating this post.",
    State.PUBLISHED: "This post was published already.",
    State.HELD: "This post is held. Release it first.",
    State.QUEUED: "This post waits in the queue already.",
    State.SKIPPED: "This post was removed from the rundown.",
    State.FAILED: "This post could not be narrated.",
}


class PostId(Payload):
    post: int


class Move(Payload):
    """The new place of a post: right before or right after another waiting post."""

    post: int
    before: int | None = None
    after: int | None = None

    @model_validator(mode="after")
    def _one_neighbour(self) -> Move:
        if (self.before is None) == (self.after is None):
            raise ValueError("name one neighbour, before or after")
        return self


def _find(session: Session, post_id: int) -> SourcePost:
    try:
        rows = SourcePost.objects.select_related("source", "session")
        return rows.get(session=session, pk=post_id)
    except SourcePost.DoesNotExist:
        raise NotFound("This session has no such post.") from None


def _refusal(post: SourcePost) -> Conflict:
    post.refresh_from_db(fields=["state"])
    return Conflict(REFUSALS[State(post.state)], state=post.state)


def _change(
    session: Session, post_id: int, states: tuple[str, ...], queue: int = 0, **changes: Any
) -> SourcePost:
    """Changes a post that is in one of ``states``; Conflict names its state otherwise."""
    post = _find(session, post_id)
    # The run comes before the post in the lock order; the host claims posts under the same lock.
    with orchestrator.locked_live_run(session) as run:
        # The states are part of the UPDATE: a post that was claimed a moment ago is not changed.
        if not SourcePost.objects.filter(pk=post.pk, state__in=states).update(**changes):
            raise _refusal(post)
        post.refresh_from_db()
        claims.record(post, queue)
        if run is not None:
            steps.run_now(session, orchestrator.NARRATE, run.pk)
    return post


def pin(session: Session, post_id: int) -> SourcePost:
    """Pins a waiting post: it is narrated before all posts that are not pinned."""
    return _change(session, post_id, (State.QUEUED,), pinned=True)


def unpin(session: Session, post_id: int) -> SourcePost:
    return _change(session, post_id, (State.QUEUED, State.HELD), pinned=False)


def hold(session: Session, post_id: int) -> SourcePost:
    """Holds a waiting post; it counts as waiting until it is released or killed."""
    return _change(session, post_id, (State.QUEUED,), state=State.HELD)


def release(session: Session, post_id: int) -> SourcePost:
    return _change(session, post_id, (State.HELD,), state=State.QUEUED, chosen=True)


def kill(session: Session, post_id: int, actor: User) -> SourcePost:
    """Removes a post from the rundown; it stays in the session, with the reason."""
    changes = {
        "state": State.SKIPPED,
        "reason": f"Killed by {actor.get_username()}."[:200],
        "pinned": False,
    }
    return _change(session, post_id, SourcePost.WAITING, queue=-1, **changes)


def restore(session: Session, post_id: int, actor: User) -> SourcePost:
    """Returns a post that a rule skipped to the queue; it is not judged again."""
    post = _find(session, post_id)
    original = selection.original(post)
    was_duplicate = post.duplicate_of_id is not None
    reason = f"{RETURNED} {actor.get_username()}."
    if original is not None:
        reason = cut(f"{reason[:-1]}: not covered by “{cut(original['title'], 100)}”.", 200)
    with orchestrator.locked_live_run(session) as run:
        # Restorable still: the host or another editor may have decided since the page was loaded.
        rows = SourcePost.objects.filter(selection.restorable(), pk=post.pk)
        if not rows.update(state=State.QUEUED, duplicate_of=None, chosen=True, reason=reason):
            raise _refusal(post)
        reports = StoryReport.objects.filter(post=post)
        credited = reports.filter(role__in=StoryReport.CREDITED).values_list("story", flat=True)
        story_id = credited.first()
        reports.delete()
        if story_id is not None:
            editorial.record_source(stories.find(session, story_id))
        post = _find(session, post_id)
        if was_duplicate:
            # Duplicates are not on the market, other posts are.
            trends.add_posts(post.source, [post])
        claims.record(post, queue=1)
        if run is not None:
            steps.run_now(session, orchestrator.NARRATE, run.pk)
    return post


def move(session: Session, target: Move) -> SourcePost:
    """Moves a waiting post right before or after another, and pins it exactly if that one is."""
    neighbour_id = target.before if target.before is not None else target.after
    # Locked while ranks are read and written, so that two moves at once do not mix.
    with orchestrator.locked_live_run(session) as run:
        if run is None:
            # Off air there is no run to lock, so the waiting posts are locked instead.
            queued = SourcePost.objects.filter(session=session, state=State.QUEUED).order_by("pk")
            list(queued.select_for_update(no_key=True).values_list("pk", flat=True))
        post = _find(session, target.post)
        neighbour = _find(session, neighbour_id or 0)
        if neighbour.state != State.QUEUED:
            raise _refusal(neighbour)
        if post.pk == neighbour.pk:
            return post
        rank = rank_beside(session, post, neighbour, before=target.before is not None)
        pinned = neighbour.pinned
        return _change(session, post.pk, (State.QUEUED,), rank=rank, pinned=pinned, chosen=True)


def rank_beside(
    session: Session, post: SourcePost, neighbour: SourcePost, *, before: bool
) -> float:
    """Returns a rank between ``neighbour`` and the next post on that side.

    Raises Conflict if ``neighbour`` was moved or claimed meanwhile.
    """
    rows = posts_queue.in_order(
        # Pinned posts and others are two lists, each with its own order.
        SourcePost.objects.filter(session=session, state=State.QUEUED, pinned=neighbour.pinned)
    )
    ranks = list(rows.exclude(pk=post.pk).values_list("pk", "rank"))
    keys = [pk for pk, _ in ranks]
    if neighbour.pk not in keys:
        message = "The rundown changed meanwhile. Look at it before you try again."
        raise Conflict(message, code="rundown_changed")
    place = keys.index(neighbour.pk) + (0 if before else 1)
    above = ranks[place - 1][1] if place > 0 else None
    below = ranks[place][1] if place < len(ranks) else None
    if above is None or below is None:
        return neighbour.rank + (SPACING if before else -SPACING)
    # Ranks are floats, so the middle moves one post without changing any other.
    middle = (above + below) / 2
    # After many moves between the same two posts no float is left between them.
    if above > middle > below:
        return middle
    return make_room(ranks, place)


def make_room(ranks: list[tuple[int, float]], place: int) -> float:
    """Raises all posts above ``place`` in their order, because no rank fits between two of them.

    Returns the rank that is free now.
    """
    floor = ranks[place][1]
    for steps_up, (pk, rank) in enumerate(reversed(ranks[:place]), 2):
        raised = floor + steps_up * SPACING
        # From here up the order is right already, so the rest stays as it is.
        if rank > raised:
            break
        SourcePost.objects.filter(pk=pk, state=State.QUEUED).update(rank=raised)
    return floor + SPACING


def set_interest(call: Call) -> Interest:
    # The run is locked, so that no post is added while all posts get new scores.
    with orchestrator.locked_live_run(call.target):
        return interests.save(call.target, call.payload.text, call.payload.weight)


def drop_interest(call: Call) -> Interest:
    with orchestrator.locked_live_run(call.target):
        return interests.remove(call.target, call.payload.interest)


PIN = Command(
    "post.pin",
    PostId,
    lambda call: pin(call.target, call.payload.post),
    "Pins a waiting post before all posts that are not pinned.",
)
UNPIN = Command(
    "post.unpin",
    PostId,
    lambda call: unpin(call.target, call.payload.post),
    "Unpins a post, so that it waits like the others.",
)
HOLD = Command(
    "post.hold",
    PostId,
    lambda call: hold(call.target, call.payload.post),
    "Holds a waiting post until it is released.",
)
RELEASE = Command(
    "post.release",
    PostId,
    lambda call: release(call.target, call.payload.post),
    "Releases a held post, so that it waits again.",
)
KILL = Command(
    "post.kill",
    PostId,
    lambda call: kill(call.target, call.payload.post, call.actor),
    "Removes a waiting post from the rundown permanently.",
)
RESTORE = Command(
    "post.restore",
    PostId,
    lambda call: restore(call.target, call.payload.post, call.actor),
    "Returns a post that was skipped as a duplicate, or as overtaken, to the queue.",
)
MOVE = Command(
    "post.move",
    Move,
    lambda call: move(call.target, call.payload),
    "Moves a waiting post right before or after another.",
)
SET_INTEREST = Command(
    "interest.set", interests.NewInterest, set_interest, "Raises or lowers posts with these words."
)
DROP_INTEREST = Command(
    "interest.drop", interests.InterestId, drop_interest, "Removes an interest."
)


def register() -> None:
    commands.register(PIN)
    commands.register(UNPIN)
    commands.register(HOLD)
    commands.register(RELEASE)
    commands.register(KILL)
    commands.register(RESTORE)
    commands.register(MOVE)
    commands.register(SET_INTEREST)
    commands.register(DROP_INTEREST)
