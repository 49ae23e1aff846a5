"""Runs in any state, come to by the table, and what people press."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from broadcast import orchestrator
from broadcast.models import Broadcast, StateChange
from broadcast.states import Cause, State
from sessions_app import audits, commands
from sessions_app.background import steps
from sessions_app.models import Session, SessionEvent

PATHS: dict[State, tuple[Cause, ...]] = {
    State.IDLE: (),
    State.INITIALIZING: (Cause.INITIALIZE,),
    State.READY: (Cause.INITIALIZE, Cause.PREPARED),
    State.STARTING: (Cause.INITIALIZE, Cause.PREPARED, Cause.START),
    State.LIVE: (Cause.INITIALIZE, Cause.PREPARED, Cause.START, Cause.OPENED),
    State.STOPPING: (Cause.INITIALIZE, Cause.STOP),
    State.ERROR: (Cause.INITIALIZE, Cause.FAIL),
}


def run_in(session: Session, state: State) -> Broadcast:
    """A run that came to ``state`` by the table."""
    number = Broadcast.objects.filter(session=session).count() + 1
    at = steps.now()
    run = Broadcast.objects.create(session=session, number=number, since=at, started_at=at)
    for cause in PATHS[state]:
        run = moved(run, cause)
    return run


def moved(run: Broadcast, cause: Cause) -> Broadcast:
    """The run after a change, with the time that the product notes with it."""
    times = {Cause.OPENED: "live_at", Cause.STOP: "stopped_at"}
    changes: dict[str, Any] = {times[cause]: steps.now()} if cause in times else {}
    return orchestrator.transition(run, cause, **changes)


def press(session: Session, command: str) -> Broadcast:
    found: Broadcast = commands.run(f"broadcast.{command}", session.owner, session, {})
    return found


def counted(session: Session) -> tuple[int, int]:
    rows = SessionEvent.objects.filter(session=session)
    return StateChange.objects.filter(session=session).count(), rows.count()


def state_of(session: Session) -> str:
    run = orchestrator.latest(session)
    return run.state if run else "none"


def hold_code(session: Session) -> str:
    """The code of what the session's narration waits for; empty if it does not wait."""
    hold = orchestrator.latest_payload(session)["hold"]
    return hold["code"] if hold else ""


def age(run: Broadcast, seconds: float) -> None:
    Broadcast.objects.filter(pk=run.pk).update(since=steps.now() - timedelta(seconds=seconds))


def sound() -> bool:
    return list(audits.run()) == []
