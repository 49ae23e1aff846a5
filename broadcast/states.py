"""The state machine of a run: the one table that docs, reaper and orchestrator read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class State(StrEnum):
    IDLE = "idle"
    INITIALIZING = "initializing"
    READY = "ready"
    STARTING = "starting"
    LIVE = "live"
    STOPPING = "stopping"
    ERROR = "error"


class Cause(StrEnum):
    INITIALIZE = "initialize"
    PREPARED = "prepared"
    START = "start"
    OPENED = "opened"
    STOP = "stop"
    STOPPED = "stopped"
    FAIL = "fail"
    RECOVER = "recover"


TRANSITIONS: dict[tuple[State, Cause], State] = {
    (State.IDLE, Cause.INITIALIZE): State.INITIALIZING,
    (State.INITIALIZING, Cause.PREPARED): State.READY,
    (State.READY, Cause.START): State.STARTING,
    (State.STARTING, Cause.OPENED): State.LIVE,
    (State.INITIALIZING, Cause.STOP): State.STOPPING,
    (State.READY, Cause.STOP): State.STOPPING,
    (State.STARTING, Cause.STOP): State.STOPPING,
    (State.LIVE, Cause.STOP): State.STOPPING,
    (State.STOPPING, Cause.STOPPED): State.IDLE,
    (State.INITIALIZING, Cause.FAIL): State.ERROR,
    (State.READY, Cause.FAIL): State.ERROR,
    (State.STARTING, Cause.FAIL): State.ERROR,
    (State.LIVE, Cause.FAIL): State.ERROR,
    (State.STOPPING, Cause.FAIL): State.ERROR,
    (State.ERROR, Cause.RECOVER): State.INITIALIZING,
    (State.ERROR, Cause.STOP): State.IDLE,
}


@dataclass(frozen=True, slots=True)
class Overdue:
    """How long a state may last, what the reaper does then, and the sentence that says why."""

    after: timedelta
    cause: Cause
    sentence: str


# Longer than the longest normal case each, so that a slow machine is not taken for a dead one.
REAPER: dict[State, Overdue] = {
    State.INITIALIZING: Overdue(
        timedelta(seconds=30), Cause.FAIL, "Preparing took longer than 30 seconds. Press Recover."
    ),
    State.READY: Overdue(
        timedelta(minutes=30), Cause.STOP, "Ready for 30 minutes without starting, so it stopped."
    ),
    State.STARTING: Overdue(
        timedelta(seconds=60),
        Cause.FAIL,
        "No worker began within a minute. Check that the workers run, then press Recover.",
    ),
    State.STOPPING: Overdue(
        timedelta(seconds=120), Cause.STOPPED, "Stopping took over two minutes and was forced."
    ),
}

ON_AIR = (State.STARTING, State.LIVE)
BUSY = (State.INITIALIZING, State.READY, State.STARTING, State.LIVE, State.STOPPING)


def follow(state: State, cause: Cause) -> State | None:
    """Returns the state that ``cause`` leads to; None if the table does not allow it."""
    return TRANSITIONS.get((state, cause))


def allowed(state: State, cause: Cause) -> bool:
    return (state, cause) in TRANSITIONS
