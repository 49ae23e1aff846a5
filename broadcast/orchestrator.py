"""The orchestrator: the one writer of a run's state.

Each transition is one conditional UPDATE on (id, state, epoch), together with its StateChange and
its event in one transaction. The first steps of a run are inserted in the transition to starting,
so they cannot hold another session.

What runs keep of the AI chain: each its own latest link.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery

from broadcast.models import Airing, Broadcast, StateChange
from broadcast.states import BUSY, ON_AIR, REAPER, Cause, State, allowed, follow
from sessions_app import constraints, context, sessions
from sessions_app.ai_chain import chain, status
from sessions_app.ai_chain.chain import Operation
from sessions_app.background import steps, sweeper
from sessions_app.background.steps import Claim
from sessions_app.errors import Conflict, StaleClaim
from sessions_app.events import recorder
from sessions_app.hooks import Topic
from sessions_app.models import AILink, AITransition, Chain, Session, Step
from stories.models import Source, TokenUsage

log = structlog.get_logger(__name__)


STATE = recorder.declare("broadcast.state", "The run changed its state or its hold.", public=True)

POLL, NARRATE, FINISH_AIRING = "poll", "narrate", "finish_airing"


REFUSALS = {
    State.IDLE: "Nothing is on air.",
    State.INITIALIZING: "The broadcast is being prepared already.",
    State.READY: "The broadcast is ready and about to start.",
    State.STARTING: "The broadcast is starting already.",
    State.LIVE: "The session is live already.",
    State.STOPPING: "The broadcast is just stopping. Try again in a moment.",
    State.ERROR: "The last run ended in an error: press Recover, or Stop to close it.",
}


on_leaving_air: Topic[[Broadcast, datetime]] = Topic(
    "run.left-air", "A live run leaves the air at this moment."
)

on_rest: Topic[[Broadcast]] = Topic("run.rested", "A run came to rest.")


def latest(session: Session) -> Broadcast | None:
    return Broadcast.objects.filter(session=session).order_by("-number").first()


def active(session: Session) -> Broadcast | None:
    """The one run of the session that is not idle."""
    return Broadcast.objects.filter(session=session).exclude(state=State.IDLE).first()


def active_sessions() -> QuerySet[Any, Any]:
    """The ids of the sessions that have a run which is not idle."""
    return Broadcast.objects.exclude(state=State.IDLE).values("session")


def payload(run: Broadcast | None) -> dict[str, Any]:
    """The run as pages and frames show it; what may be pressed follows from the table."""
    state = State(run.state) if run else State.IDLE
    live = run is not None and state == State.LIVE
    return {
        "state": str(state),
        "run": run.number if run else None,
        "hold": run.hold if run else None,
        "live_at": recorder.timestamp(run.live_at) if run and live else None,
        "since": recorder.timestamp(run.since) if run else None,
        "last_error": run.last_error if run else "",
        "can_start": state == State.IDLE,
        "can_stop": allowed(state, Cause.STOP),
        "can_recover": allowed(state, Cause.RECOVER),
    }


def air(session: Session) -> dict[str, Any]:
    return payload(latest(session))


def public_air(run: Broadcast | None) -> dict[str, Any]:
    """What the audience may know of the run."""
    return {"state": run.state if run else State.IDLE.value}


def _conflict(run: Broadcast | None) -> Conflict:
    state = State(run.state) if run else State.IDLE
    return Conflict(REFUSALS[state], state=str(state))


def transition(
    run: Broadcast, cause: Cause, actor: User | None = None, **changes: Any
) -> Broadcast:
    """Move the run as the table allows, or raise Conflict with the state it really has."""
    before = State(run.state)
    after = follow(before, cause)
    if after is None:
        raise _conflict(run)
    at = steps.now()
    with transaction.atomic():
        moved = Broadcast.objects.filter(pk=run.pk, state=before, epoch=run.epoch).update(
            state=after, epoch=F("epoch") + 1, since=at, **changes
        )
        if moved != 1:
            raise _conflict(Broadcast.objects.get(pk=run.pk))
        run = Broadcast.objects.select_related("session").get(pk=run.pk)
        seconds = _leave_air(run, at) if before == State.LIVE else 0
        if after == State.IDLE:
            on_rest.send(run)
        event = recorder.record(
            run.session, STATE, _event(run, before, cause), on_air_seconds=seconds
        )
        StateChange.objects.create(
            session=run.session, run=run, from_state=before, to_state=after, cause=cause,
            actor=actor, epoch=run.epoch, seq=event.seq,
        )  # fmt: skip
    log.info("transition", run=run.number, before=str(before), after=str(after), cause=str(cause))
    return run


def _event(run: Broadcast, before: str, cause: str) -> dict[str, Any]:
    return {
        "air": payload(run),
        "from": str(before),
        "cause": str(cause),
        "public": {"air": public_air(run)},
    }


def _leave_air(run: Broadcast, at: datetime) -> int:
    on_leaving_air.send(run, at)
    return round((at - run.live_at).total_seconds()) if run.live_at else 0


def start(session: Session, actor: User | None) -> Broadcast:
    """Go Live: open a run and walk it to starting; the first step a worker runs makes it live.

    Raises Conflict when a run is active (also when somebody else was faster), when the session is
    archived, or when it has no source to read.
    """
    sessions.require_open(session)
    if not Source.objects.filter(session=session, enabled=True).exists():
        raise Conflict(
            "The session has no source to read. Add one, for instance the recording.",
            code="no_sources",
            state=payload(latest(session))["state"],
        )
    try:
        with transaction.atomic():
            return _open_run(session, actor)
    except IntegrityError:
        raise _conflict(active(session)) from None


def _open_run(session: Session, actor: User | None) -> Broadcast:
    # Held until the commit, so that nobody files it away meanwhile.
    sessions.require_open(sessions.lock(session))
    if (run := active(session)) is not None:
        raise _conflict(run)
    last = Broadcast.objects.filter(session=session).aggregate(last=Max("number"))["last"] or 0
    at = steps.now()
    run = Broadcast.objects.create(session=session, number=last + 1, since=at, started_at=at)
    run = transition(run, Cause.INITIALIZE, actor)
    return _walk_on(run, actor)


def _walk_on(run: Broadcast, actor: User | None) -> Broadcast:
    run = transition(run, Cause.PREPARED, actor)
    with transaction.atomic():
        run = transition(run, Cause.START, actor)
        for source in Source.objects.filter(session=run.session, enabled=True):
            steps.enqueue(run.session, POLL, source.pk)
        steps.enqueue(run.session, NARRATE, run.pk)
    return run


def recover(session: Session, actor: User | None) -> Broadcast:
    """Reopen a run that ended in an error."""
    run = active(session)
    if run is None:
        raise _conflict(latest(session))
    with transaction.atomic():
        run = transition(run, Cause.RECOVER, actor, last_error="", hold=None)
        return _walk_on(run, actor)


def stop(session: Session, actor: User | None, run: Broadcast | None = None) -> Broadcast:
    """Take the session off the air; it is idle when the last leased step has ended.

    With ``run`` only this one is stopped: Conflict when it is not the active one any more.
    """
    run = run or active(session)
    if run is None:
        raise _conflict(latest(session))
    with transaction.atomic():
        run = transition(run, Cause.STOP, actor, stopped_at=steps.now(), hold=None)
        steps.cancel_pending(session)
        return settle(run)


def settle(run: Broadcast) -> Broadcast:
    """Let a stopping run come to rest once nothing of it works any more."""
    if run.state != State.STOPPING or steps.leased(run.session_id).exists():
        return run
    open_usage = TokenUsage.objects.filter(session_id=run.session_id, state__in=TokenUsage.OPEN)
    of_run = open_usage.exclude(step__kind__in=steps.outliving_kinds())
    return run if of_run.exists() else transition(run, Cause.STOPPED)


def fail(run: Broadcast, sentence: str) -> Broadcast:
    with transaction.atomic():
        run = transition(run, Cause.FAIL, last_error=sentence[:500])
        steps.cancel_pending(run.session)
        return run


def attend(claim: Claim) -> Broadcast | None:
    """The run this step works for, made live if it was starting; None when it is not on air."""
    run = Broadcast.objects.select_related("session").filter(session=claim.session)
    found = run.filter(state__in=ON_AIR).first()
    if found is None or (claim.step.kind == NARRATE and str(found.pk) != claim.subject):
        return None
    context.bind(run=found.number)
    if found.state == State.STARTING:
        try:
            return transition(found, Cause.OPENED, live_at=steps.now())
        except Conflict:
            # Another step of the run was first, or Stop was; look again.
            return run.filter(state=State.LIVE).first()
    return found


def on_air(run: Broadcast) -> bool:
    """Whether the run is still live and of this epoch."""
    return Broadcast.objects.filter(pk=run.pk, epoch=run.epoch, state=State.LIVE).exists()


@contextmanager
def locked(run: Broadcast) -> Iterator[None]:
    """Opens a transaction that locks the run; StaleClaim if it is not live in this epoch any more.

    Every transaction locks rows in one order, so that no two of them wait for each other: first the
    session or the slots, then the run, then the draft, post or story, then the step, the AI chain,
    and last the counters of the session (``recorder.record``). A transaction that writes to a
    session on air therefore begins with this function or with ``locked_live_run``. Once it has the
    run, no other transaction airs a story, stops the run or arms its steps until the commit.
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
        # Locked first and read afterwards, so that the hold of the run is the current one.
        yield live.get() if live.update(epoch=F("epoch")) else None


def set_hold(run: Broadcast, hold: dict[str, Any] | None) -> None:
    """Puts narration on hold, or releases it; the run stays live. The caller has locked the run."""
    if run.hold == hold:
        return
    Broadcast.objects.filter(pk=run.pk).update(hold=hold)
    run.hold = hold
    recorder.record(run.session, STATE, _event(run, run.state, "hold" if hold else "released"))


def _reap(up: float) -> None:
    """Put right what a death left: states that last too long, live runs without a step."""
    for run in Broadcast.objects.filter(state__in=BUSY).select_related("session"):
        with sweeper.session_scope(run.session, run=run.number):
            try:
                _put_right(run, up)
            except Conflict:
                log.info("reaper_was_late")


def _put_right(run: Broadcast, up: float) -> None:
    if run.state == State.STOPPING:
        run = settle(run)
    if run.state == State.LIVE:
        _keep_alive(run)
    rule = REAPER.get(State(run.state))
    age = (steps.now() - run.since).total_seconds()
    if rule is None or min(age, up) < rule.after.total_seconds():
        return
    log.warning("reaped", state=run.state, age=round(age))
    if rule.cause == Cause.FAIL:
        fail(run, rule.sentence)
    elif rule.cause == Cause.STOP:
        stop(run.session, None)
    else:
        transition(run, rule.cause, last_error=rule.sentence)


def _keep_alive(run: Broadcast) -> None:
    """A live run has its narrate step, and a story on air the step that ends it."""
    wanted = {(NARRATE, str(run.pk)): steps.now()}
    for on_air in Airing.objects.filter(session=run.session, finished_at=None):
        wanted[FINISH_AIRING, str(on_air.pk)] = on_air.finish_at
    waiting = Step.objects.filter(session=run.session, state__in=Step.OPEN)
    missing = wanted.keys() - set(waiting.values_list("kind", "subject"))
    if not missing:
        return
    with suppress(StaleClaim), locked(run):
        for kind, subject in missing:
            steps.enqueue(run.session, kind, subject, wanted[kind, subject])


def _refuse_archiving(session: Session) -> str:
    return "The session is on air. Stop the broadcast first." if active(session) else ""


def _hold_run(session: Session, operation: Operation) -> None:
    """Locks the run before the chain, because ``_note_run`` writes to the run afterwards."""
    if operation.run_number is not None:
        rows = Broadcast.objects.select_for_update(no_key=True)
        rows.filter(session=session, number=operation.run_number).values_list("pk").first()


def _note_run(link: AILink, _chain: Chain) -> None:
    if link.run_number is not None:
        run = Broadcast.objects.filter(session=link.session_id, number=link.run_number)
        run.update(ai_head=link)


def _astray(session: Session) -> QuerySet[Broadcast]:
    """Runs that do not keep their latest link, which stands in ``true_head``."""
    own = AILink.objects.filter(session=OuterRef("session"), run_number=OuterRef("number"))
    runs = Broadcast.objects.filter(session=session)
    runs = runs.annotate(true_head=Subquery(own.order_by("-number").values("pk")[:1]))
    both = Q(ai_head=F("true_head")) | Q(ai_head=None, true_head=None)
    return runs.exclude(both)


def _runs_agree(session: Session) -> list[str]:
    """What is wrong with the heads that runs keep."""
    numbers = _astray(session).order_by("number").values_list("number", flat=True)
    return [f"run {number} does not keep its latest link" for number in numbers]


def _recover_head(session: Session) -> str:
    numbers = list(_astray(session).order_by("number").values_list("number", flat=True))
    if not numbers:
        return ""
    # Locked first and read again: an operation that joins meanwhile has its run, too.
    runs = Broadcast.objects.filter(session=session, number__in=numbers)
    list(runs.select_for_update(no_key=True).order_by("number").values_list("pk"))
    for run in _astray(session).filter(number__in=numbers):
        Broadcast.objects.filter(pk=run.pk).update(ai_head=run.true_head)  # type: ignore[attr-defined]
    named = ", ".join(map(str, numbers))
    return f"Run {named} lost its latest link of the AI chain; it is put right."


def register() -> None:
    sweeper.register(_reap)
    sessions.veto_archiving(_refuse_archiving)
    sessions.protect_from_timers(active_sessions)
    chain.before_append(_hold_run)
    chain.on_append.subscribe(_note_run)
    chain.before_recover(_recover_head)
    status.register_check(_runs_agree)
    for model in (AILink, AITransition):
        constraints.require_same_session(model, "run_number", Broadcast, "number")
