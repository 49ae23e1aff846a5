"""The orchestrator: the only module that changes the state of a run.

Each transition is one conditional UPDATE on (id, state, epoch), with its StateChange and its event
in the same transaction. The first steps of a run are enqueued in the transition to starting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, NotRequired

import structlog
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Max, QuerySet
from pydantic import Field
from typing_extensions import TypedDict

from broadcast.models import Broadcast, StateChange
from broadcast.states import ON_AIR, Cause, State, allowed, follow
from sessions_app import context, sessions, statements
from sessions_app.background import isolation, sending, steps
from sessions_app.background.steps import Claim
from sessions_app.errors import Conflict, StaleClaim
from sessions_app.events import recorder
from sessions_app.hooks import Topic
from sessions_app.models import Session
from stories.models import Source, TokenUsage
from stories.usage import ledger

log = structlog.get_logger(__name__)

POLL, NARRATE, FINISH_AIRING, STOP_RUN = "poll", "narrate", "finish_airing", "stop_run"

REFUSALS = {
    State.IDLE: "Nothing is on air.",
    State.INITIALIZING: "The broadcast is being prepared already.",
    State.READY: "The broadcast is ready and about to start.",
    State.STARTING: "The broadcast is starting already.",
    State.LIVE: "The session is live already.",
    State.STOPPING: "The broadcast is stopping. Try again in a moment.",
    State.ERROR: "The last run ended in an error: press Recover, or Stop to close it.",
}


class HoldPayload(TypedDict):
    """Why narration waits while the run stays live."""

    code: Annotated[str, Field(description="Reason as a code, such as budget or anthropic_key.")]
    sentence: Annotated[str, Field(description="Reason as a sentence for the owner.")]
    until: Annotated[
        str | None, Field(description="Time of the next attempt, ISO 8601 in UTC; null: unknown.")
    ]


class EndingPayload(TypedDict):
    """A stop that an editor asked for and that can be undone until it happens."""

    when: Annotated[str, Field(description="story: after the story on air; now: at once.")]
    at: Annotated[
        str | None, Field(description="Time of the stop, ISO 8601 in UTC; null after a story.")
    ]
    by: Annotated[str, Field(description="User name of the editor.")]


class AirPayload(TypedDict):
    """The latest run of a session, and what may be done with it."""

    state: Annotated[str, Field(description="State of the run; idle if there is none.")]
    run: Annotated[int | None, Field(description="Number of the run within the session.")]
    hold: Annotated[HoldPayload | None, Field(description="Hold of narration; null if none.")]
    ending: Annotated[
        EndingPayload | None, Field(description="Stop that can be undone; null if none.")
    ]
    live_at: Annotated[str | None, Field(description="Time it went live, ISO 8601 UTC, or null.")]
    since: Annotated[str | None, Field(description="Time it entered the state, ISO 8601 in UTC.")]
    last_error: Annotated[str, Field(description="Sentence of the last error; empty if none.")]
    peak_audience: Annotated[
        int | None,
        Field(description="Most viewers and listeners at a time; null while it is live."),
    ]
    can_start: Annotated[bool, Field(description="Whether the session can go live.")]
    can_stop: Annotated[bool, Field(description="Whether the run can be stopped.")]
    can_recover: Annotated[bool, Field(description="Whether the run can be recovered.")]


class PublicAirPayload(TypedDict):
    """What the audience sees of the latest run."""

    state: Annotated[str, Field(description="State of the run; idle if there is none.")]
    live_at: NotRequired[Annotated[str | None, Field(description="Time it went live, or null.")]]


class PublicStateEvent(TypedDict):
    air: Annotated[PublicAirPayload, Field(description="The latest run of the session.")]


StateEvent = TypedDict(
    "StateEvent",
    {
        "air": Annotated[AirPayload, Field(description="The run after the change.")],
        "from": Annotated[str, Field(description="State before the change.")],
        "cause": Annotated[
            str, Field(description="Its cause; also hold, released, stop asked or stop undone.")
        ],
        "public": Annotated[PublicStateEvent, Field(description="The part for the audience.")],
    },
)

STATE = recorder.declare(
    "broadcast.state", "The run changed its state, hold or ending.", StateEvent, public=True
)

on_going_live: Topic[[Broadcast]] = Topic("run.live", "A run is live.")
on_leaving_air: Topic[[Broadcast, datetime]] = Topic("run.left-air", "A live run leaves the air.")
on_rest: Topic[[Broadcast]] = Topic("run.rested", "A run became idle.")

# Each returns whether a stopping run still has work to do before it is at rest.
_last_work: list[Callable[[Broadcast], bool]] = []


def wait_before_rest(function: Callable[[Broadcast], bool]) -> None:
    """Keeps a stopping run from becoming idle while ``function`` returns True for it."""
    _last_work.append(function)


def latest(session: Session) -> Broadcast | None:
    return Broadcast.objects.filter(session=session).order_by("-number").first()


def active(session: Session) -> Broadcast | None:
    """Returns the one run of the session that is not idle."""
    # At most one row, by the unique constraint run_active_once.
    return Broadcast.objects.filter(session=session).exclude(state=State.IDLE).first()


def active_sessions() -> QuerySet[Broadcast, Any]:
    """Returns the ids of the sessions that have a run which is not idle."""
    return Broadcast.objects.exclude(state=State.IDLE).values("session")


def payload(run: Broadcast | None) -> AirPayload:
    """Returns the run as pages, frames and the API show it."""
    state = State(run.state) if run else State.IDLE
    return {
        "state": str(state),
        "run": run.number if run else None,
        "hold": run.hold if run else None,
        "ending": run.ending if run else None,
        "live_at": recorder.timestamp(run.live_at) if run and state == State.LIVE else None,
        "since": recorder.timestamp(run.since) if run else None,
        "last_error": run.last_error if run else "",
        "peak_audience": run.peak_audience if run and state != State.LIVE else None,
        "can_start": state == State.IDLE,
        "can_stop": allowed(state, Cause.STOP),
        "can_recover": allowed(state, Cause.RECOVER),
    }


def latest_payload(session: Session) -> AirPayload:
    return payload(latest(session))


def public_payload(run: Broadcast | None) -> PublicAirPayload:
    return {"state": payload(run)["state"], "live_at": payload(run)["live_at"]}


def _event(run: Broadcast, before: str, cause: str) -> StateEvent:
    return {
        "air": payload(run),
        "from": str(before),
        "cause": str(cause),
        "public": {"air": public_payload(run)},
    }


def _conflict(run: Broadcast | None) -> Conflict:
    state = State(run.state) if run else State.IDLE
    return Conflict(REFUSALS[state], state=str(state))


def transition(
    run: Broadcast, cause: Cause, actor: User | None = None, **changes: Any
) -> Broadcast:
    """Moves the run as the table of states allows; Conflict with its real state otherwise."""
    before = State(run.state)
    after = follow(before, cause)
    if after is None:
        raise _conflict(run)
    at = steps.now()
    if before == State.LIVE:
        # A run that has left the air has no stop to undo.
        changes["ending"] = None
    with transaction.atomic():
        # Of several transactions at once, one finds this state and epoch; the others get 0 rows.
        changed = Broadcast.objects.filter(pk=run.pk, state=before, epoch=run.epoch).update(
            state=after, epoch=F("epoch") + 1, since=at, **changes
        )
        if changed != 1:
            raise _conflict(Broadcast.objects.get(pk=run.pk))
        # Read again for the new epoch, which later conditions compare with.
        run = Broadcast.objects.select_related("session").get(pk=run.pk)
        seconds = 0
        if before == State.LIVE:
            # Before the event, because subscribers lock rows that come before the counters.
            on_leaving_air.send(run, at)
            seconds = round((at - run.live_at).total_seconds()) if run.live_at else 0
        if after == State.IDLE:
            on_rest.send(run)
        event = recorder.record(
            run.session, STATE, _event(run, before, cause), on_air_seconds=seconds
        )
        StateChange.objects.create(
            session=run.session,
            run=run,
            from_state=before,
            to_state=after,
            cause=cause,
            actor=actor,
            epoch=run.epoch,
            # The seq of the event joins both records: a recording begins and ends with such rows.
            seq=event.seq,
        )
        if after == State.LIVE:
            on_going_live.send(run)
    log.info("transition", run=run.number, before=str(before), after=str(after), cause=str(cause))
    return run


def start(session: Session, actor: User | None) -> Broadcast:
    """Opens a run and takes it to starting; the first step that a worker runs makes it live.

    Raises Conflict if the session has an active run, is archived, or has no source.
    """
    sessions.require_open(session)
    if not Source.objects.filter(session=session, enabled=True).exists():
        raise Conflict(
            "The session has no source to read. Add one, for example the recording.",
            code="no_sources",
            state=latest_payload(session)["state"],
        )
    try:
        with transaction.atomic():
            # The session is locked until the commit, so that it is not archived meanwhile.
            # Checked again: the session may have been archived before the lock.
            sessions.require_open(sessions.lock(session))
            if (run := active(session)) is not None:
                raise _conflict(run)
            runs = Broadcast.objects.filter(session=session)
            number = (runs.aggregate(last=Max("number"))["last"] or 0) + 1
            at = steps.now()
            run = Broadcast.objects.create(session=session, number=number, since=at, started_at=at)
            return _begin(transition(run, Cause.INITIALIZE, actor), actor)
    except IntegrityError:
        # Two requests at once: the database allows one active run, so this one came later.
        raise _conflict(active(session)) from None


def _begin(run: Broadcast, actor: User | None) -> Broadcast:
    """Takes an initialized run to starting and enqueues its first steps."""
    run = transition(run, Cause.PREPARED, actor)
    with transaction.atomic():
        run = transition(run, Cause.START, actor)
        # In the same transaction, so that a run which is starting always has its steps.
        for source in Source.objects.filter(session=run.session, enabled=True):
            steps.enqueue(run.session, POLL, source.pk)
        steps.enqueue(run.session, NARRATE, run.pk)
    return run


def recover(session: Session, actor: User | None) -> Broadcast:
    """Resumes a run that ended in an error."""
    run = active(session)
    if run is None:
        raise _conflict(latest(session))
    with transaction.atomic():
        run = transition(run, Cause.RECOVER, actor, last_error="", hold=None)
        return _begin(run, actor)


def stop(session: Session, actor: User | None, run: Broadcast | None = None) -> Broadcast:
    """Takes the session off the air; the run is idle when its last leased step has ended.

    With ``run`` only that run is stopped: Conflict if it is not the active one any more.
    """
    run = run or active(session)
    if run is None:
        raise _conflict(latest(session))
    with transaction.atomic():
        run = transition(run, Cause.STOP, actor, stopped_at=steps.now(), hold=None)
        # After the transition: a step that was enqueued before it is found here, and none follows.
        steps.cancel_pending(session)
        run = settle(run)
        if run.state == State.STOPPING:
            soon = steps.now() + timedelta(seconds=1)
            transaction.on_commit(lambda: sending.call_sweeper(soon), robust=True)
        return run


def settle(run: Broadcast) -> Broadcast:
    """Makes a stopping run idle once none of its steps and model calls is open."""
    # A leased step may still write, so the reaper tries again in its next round.
    if run.state != State.STOPPING or steps.leased(run.session_id).exists():
        return run
    open_usage = TokenUsage.objects.filter(session_id=run.session_id, state__in=TokenUsage.OPEN)
    # An open call is still to be booked, and its cost belongs to this run.
    of_run = open_usage.exclude(step__kind__in=steps.outliving_kinds())
    # A row that cannot be closed is on the health page; it must not keep its run from ending.
    of_run = of_run.exclude(pk__in=isolation.units_aside(ledger.LEFT_OPEN_RULE))
    # An idle run is at rest: its figures no longer move. So what sums it up comes before.
    if of_run.exists() or any(function(run) for function in _last_work):
        return run
    return transition(run, Cause.STOPPED)


def fail(run: Broadcast, sentence: str) -> Broadcast:
    with transaction.atomic():
        run = transition(run, Cause.FAIL, last_error=sentence[:500])
        steps.cancel_pending(run.session)
        return run


def attend(claim: Claim) -> Broadcast | None:
    """Returns the run of a step, made live if it was starting; None if it is not on air."""
    runs = Broadcast.objects.select_related("session").filter(session=claim.session)
    run = runs.filter(state__in=ON_AIR).first()
    # A step of an earlier run may be delivered late and must not work for the new one.
    if run is None or (claim.step.kind == NARRATE and str(run.pk) != claim.subject):
        return None
    context.bind(run=run.number)
    if run.state == State.STARTING:
        try:
            return transition(run, Cause.OPENED, live_at=steps.now())
        except Conflict:
            # Another step of the run was first, or Stop was: the run is live, or not on air.
            return runs.filter(state=State.LIVE).first()
    return run


def on_air(run: Broadcast) -> bool:
    """Whether the run is still live and of this epoch."""
    # The epoch too: the run may have failed and been recovered since.
    return Broadcast.objects.filter(pk=run.pk, epoch=run.epoch, state=State.LIVE).exists()


@contextmanager
def locked(run: Broadcast) -> Iterator[None]:
    """Opens a transaction that locks the run; StaleClaim if it is not live in this epoch any more.

    A transaction that airs, publishes or claims something locks rows in one order, so that no two
    of them wait for each other: first the slots, then the run, then the draft, post or story, then
    the step, the AI chain, and last the counters of the session (``recorder.record``). It begins with
    this function or ``locked_live_run``: until its commit no other one airs, stops or changes steps.

    Two exceptions: a transition records its event before it inserts or cancels pending steps, and a
    worker that claims an abandoned step closes the usage rows of the earlier attempt.
    """
    with transaction.atomic():
        # An UPDATE locks the row on PostgreSQL and takes the write lock on SQLite.
        live = Broadcast.objects.filter(pk=run.pk, epoch=run.epoch, state=State.LIVE)
        if not live.update(epoch=run.epoch):
            raise StaleClaim("The run is not on air any more.")
        yield


@contextmanager
def locked_live_run(session: Session) -> Iterator[Broadcast | None]:
    """Opens a transaction that locks the session's live run, as ``locked`` does, and yields it.

    Yields None while the session is not live.
    """
    with transaction.atomic():
        live = Broadcast.objects.filter(session=session, state=State.LIVE)
        # Locked and read by one statement, so that the hold of the run is the current one.
        runs = statements.update_returning(live, session, epoch=F("epoch"))
        yield runs[0] if runs else None


def set_hold(run: Broadcast, hold: HoldPayload | None) -> None:
    """Puts narration on hold, or releases it; the run stays live. The caller has locked the run."""
    if run.hold == hold:
        return
    Broadcast.objects.filter(pk=run.pk).update(hold=hold)
    run.hold = hold
    recorder.record(run.session, STATE, _event(run, run.state, "hold" if hold else "released"))


def set_ending(run: Broadcast, ending: EndingPayload | None) -> None:
    """Stores a stop that can be undone, or withdraws it. The caller has locked the run."""
    Broadcast.objects.filter(pk=run.pk).update(ending=ending)
    run.ending, cause = ending, "stop asked" if ending else "stop undone"
    recorder.record(run.session, STATE, _event(run, run.state, cause))


def register() -> None:
    reason = "The session is on air. Stop the broadcast first."
    sessions.veto_archiving(lambda session: reason if active(session) else "")
    sessions.protect_from_timers(active_sessions)
