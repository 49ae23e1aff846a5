"""The reaper: repairs runs after a crash, in the rounds of the sweeper."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

import structlog

from broadcast import orchestrator
from broadcast.models import Airing, Broadcast
from broadcast.orchestrator import FINISH_AIRING, NARRATE, STOP_RUN
from broadcast.states import BUSY, REAPER, Cause, State
from sessions_app.background import steps, sweeper
from sessions_app.errors import Conflict, StaleClaim
from sessions_app.models import Step

log = structlog.get_logger(__name__)


def reap(up: float) -> float | None:
    """Repairs all busy runs; ``up`` is for how many seconds this sweeper has been running."""
    ending: list[Broadcast] = []

    def repair(run: Broadcast) -> None:
        try:
            if run.state == State.STOPPING:
                run = orchestrator.settle(run)
                if run.state == State.STOPPING:
                    ending.append(run)
            if run.state == State.LIVE:
                restore_steps(run)
            end_overdue_state(run, up)
        # Another sweeper, a worker or the user changed the run first.
        except Conflict:
            log.info("reaper_was_late")

    # By the index run_state; only a few runs are busy at any time.
    busy = Broadcast.objects.filter(state__in=BUSY).select_related("session")
    sweeper.for_each("Repair of a run", busy, repair, run=lambda run: run.number)
    return sweeper.SOON if ending else None


def restore_steps(run: Broadcast) -> None:
    """Enqueues the narrate step of a live run and those that end an airing or the run, if missing."""
    due = {(NARRATE, str(run.pk)): steps.now()}
    if run.ending is not None and run.ending["at"]:
        due[STOP_RUN, str(run.pk)] = datetime.fromisoformat(run.ending["at"])
    for airing in Airing.objects.filter(session=run.session, finished_at=None):
        due[FINISH_AIRING, str(airing.pk)] = airing.finish_at
    # By session and state, because there is an index: most steps were done long ago.
    open_steps = Step.objects.filter(session=run.session, state__in=Step.OPEN)
    missing = due.keys() - set(open_steps.values_list("kind", "subject"))
    if not missing:
        return
    # Under the lock of the run: if it has just left the air, its steps must not come back.
    with suppress(StaleClaim), orchestrator.locked(run):
        for kind, subject in missing:
            steps.enqueue(run.session, kind, subject, due[kind, subject])


def end_overdue_state(run: Broadcast, up: float) -> None:
    """Ends a state that has lasted too long, unless the sweeper itself has just started."""
    rule = REAPER.get(State(run.state))
    age = (steps.now() - run.since).total_seconds()
    # After a restart of the machine the workers get the same time as the state.
    if rule is None or min(age, up) < rule.after.total_seconds():
        return
    log.warning("reaped", state=run.state, age=round(age))
    if rule.cause == Cause.FAIL:
        orchestrator.fail(run, rule.sentence)
    elif rule.cause == Cause.STOP:
        orchestrator.stop(run.session, None)
    else:
        orchestrator.transition(run, rule.cause, last_error=rule.sentence)


def register() -> None:
    sweeper.register(reap)
