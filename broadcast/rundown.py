"""The rundown: a person pins, holds, kills and reorders what is to be told.

Each change is one conditional UPDATE with its event; a post that the host took meanwhile is told and
the change refused.

What a person can have done with the interests of a session, as commands.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from pydantic import model_validator

from broadcast import orchestrator
from broadcast.host import claims
from sessions_app import commands
from sessions_app.background import steps
from sessions_app.commands import Call, Command, Payload
from sessions_app.errors import Conflict, NotFound
from sessions_app.models import Session
from stories.models import Interest, SourcePost
from stories.posts import interests, queue

State = SourcePost.State

SPACING = 1e-6


REFUSALS = {
    State.CLAIMED: "The host is telling this post just now.",
    State.PUBLISHED: "This post has been told already.",
    State.HELD: "This post is held. Release it first.",
    State.QUEUED: "This post waits in the queue already.",
    State.SKIPPED: "This post was taken off the rundown.",
    State.FAILED: "This post could not be told.",
}


class PostId(Payload):
    post: int


class Move(Payload):
    """Where to: right before or right after another waiting post."""

    post: int
    before: int | None = None
    after: int | None = None

    @model_validator(mode="after")
    def _one_neighbour(self) -> Move:
        if (self.before is None) == (self.after is None):
            raise ValueError("name one neighbour, before or after")
        return self


def _found(session: Session, post_id: int) -> SourcePost:
    try:
        rows = SourcePost.objects.select_related("source", "session")
        return rows.get(session=session, pk=post_id)
    except SourcePost.DoesNotExist:
        raise NotFound("This session has no such post.") from None


def _change(
    session: Session, post_id: int, states: tuple[str, ...], queue: int = 0, **changes: Any
) -> SourcePost:
    """Change a post that is in one of ``states``; Conflict says what became of it otherwise."""
    post = _found(session, post_id)
    with orchestrator.locked_live_run(session) as run:
        if not SourcePost.objects.filter(pk=post.pk, state__in=states).update(**changes):
            raise _refusal(post)
        post.refresh_from_db()
        claims.record(post, queue)
        if run is not None:
            steps.run_now(session, orchestrator.NARRATE, run.pk)
    return post


def _refusal(post: SourcePost) -> Conflict:
    post.refresh_from_db(fields=["state"])
    return Conflict(REFUSALS[State(post.state)], state=post.state)


def pin(session: Session, post_id: int) -> SourcePost:
    """Have a waiting post told before all that is not pinned."""
    return _change(session, post_id, (State.QUEUED,), pinned=True)


def unpin(session: Session, post_id: int) -> SourcePost:
    return _change(session, post_id, (State.QUEUED, State.HELD), pinned=False)


def hold(session: Session, post_id: int) -> SourcePost:
    """Keep a waiting post back; it counts as waiting until it is released or killed."""
    return _change(session, post_id, (State.QUEUED,), state=State.HELD)


def release(session: Session, post_id: int) -> SourcePost:
    return _change(session, post_id, (State.HELD,), state=State.QUEUED)


def kill(session: Session, post_id: int, actor: User) -> SourcePost:
    """Take a post off the rundown for good; it stays among the session's posts, with the reason."""
    reason = f"Killed by {actor.get_username()}."[:200]
    return _change(
        session, post_id, SourcePost.WAITING, queue=-1, state=State.SKIPPED, reason=reason,
        pinned=False,
    )  # fmt: skip


def move(session: Session, wanted: Move) -> SourcePost:
    """Put a waiting post right before or after another one; it is pinned exactly if that one is."""
    other_id = wanted.before if wanted.before is not None else wanted.after
    # Locked while ranks are read and written, so that two moves at once do not mix.
    with orchestrator.locked_live_run(session) as run:
        if run is None:
            _lock_queue(session)
        post = _found(session, wanted.post)
        other = _found(session, other_id or 0)
        if other.state != State.QUEUED:
            raise _refusal(other)
        if post.pk == other.pk:
            return post
        rank = _rank_beside(session, post, other, before=wanted.before is not None)
        return _change(session, post.pk, (State.QUEUED,), rank=rank, pinned=other.pinned)


def _lock_queue(session: Session) -> None:
    """Locks the waiting posts until the commit, when there is no live run to lock instead."""
    mine = SourcePost.objects.filter(session=session, state=State.QUEUED).order_by("pk")
    list(mine.select_for_update(no_key=True).values_list("pk", flat=True))


def _rank_beside(session: Session, post: SourcePost, other: SourcePost, *, before: bool) -> float:
    """A rank between ``other`` and its neighbour on that side, whoever else is moved later.

    Conflict when ``other`` waits no more where it did: the host, or a person, was faster.
    """
    group = list(_group(session, other.pinned).exclude(pk=post.pk).values_list("pk", "rank"))
    keys = [pk for pk, _ in group]
    if other.pk not in keys:
        raise Conflict("The rundown changed just now. Look at it again.", code="rundown_changed")
    place = keys.index(other.pk) + (0 if before else 1)
    above = group[place - 1][1] if place > 0 else None
    below = group[place][1] if place < len(group) else None
    if above is None or below is None:
        return other.rank + (SPACING if before else -SPACING)
    middle = (above + below) / 2
    if above > middle > below:
        return middle
    return _make_room(group, place)


def _group(session: Session, pinned: bool) -> QuerySet[SourcePost]:
    return queue.in_order(SourcePost.objects.filter(
        session=session, state=State.QUEUED, pinned=pinned
    ))  # fmt: skip


def _make_room(group: list[tuple[int, float]], place: int) -> float:
    """Ranks too close to fit another between: lift all above the gap, in their order."""
    floor = group[place][1]
    for steps_up, (pk, rank) in enumerate(reversed(group[:place]), 2):
        lifted = floor + steps_up * SPACING
        if rank > lifted:
            break
        SourcePost.objects.filter(pk=pk, state=State.QUEUED).update(rank=lifted)
    return floor + SPACING


def want(call: Call) -> Interest:
    # The run is locked, so that no post is added while all posts get new scores.
    with orchestrator.locked_live_run(call.target):
        return interests.save(call.target, call.payload.text, call.payload.weight)


def drop(call: Call) -> Interest:
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
MOVE = Command(
    "post.move",
    Move,
    lambda call: move(call.target, call.payload),
    "Moves a waiting post right before or after another.",
)
SET_INTEREST = Command(
    "interest.set", interests.NewInterest, want, "Raises or lowers posts with these words."
)
DROP_INTEREST = Command("interest.drop", interests.InterestId, drop, "Removes an interest.")


def register() -> None:
    commands.register(PIN)
    commands.register(UNPIN)
    commands.register(HOLD)
    commands.register(RELEASE)
    commands.register(KILL)
    commands.register(MOVE)
    commands.register(SET_INTEREST)
    commands.register(DROP_INTEREST)
