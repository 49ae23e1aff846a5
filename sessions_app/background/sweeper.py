"""The sweeper: calls the registered functions, and sends overdue steps to workers, every second.

A round repairs what a crash or a lost message left behind. Several sweepers at once are safe: they
use the database's clock alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from threading import Event
from typing import Any, TypeVar

import structlog
from django.core.cache import cache
from django.db import Error as DatabaseUnreachable
from django.db import close_old_connections
from django.db.models import F, Model, QuerySet
from django.utils import timezone

from sessions_app import context
from sessions_app.background import isolation, steps
from sessions_app.models import Session, Step

log = structlog.get_logger(__name__)

Row = TypeVar("Row", bound=Model)
Round = Callable[[float], None]
_rounds: list[Round] = []
# How long each function pauses between two calls, and from when on it is due again, in seconds.
_pauses: dict[Round, float] = {}
_due: dict[Round, float] = {}


def register(function: Round, every: float = 0.0) -> None:
    """Calls ``function(seconds since this sweeper started)`` in every round, or every few seconds."""
    _rounds.append(function)
    _pauses[function] = every


def session_scope(session: Session, **fields: Any) -> AbstractContextManager[None]:
    """Opens the logging scope for what a round does in one session."""
    return context.scope(
        **context.session_fields(session),
        environment="worker",
        operation="sweep",
        process="sweeper",
        **fields,
    )


def for_each(
    rule: str,
    rows: QuerySet[Row],
    handle: Callable[[Row], object],
    most: int | None = None,
    **fields: Callable[[Row], object],
) -> None:
    """Handles each row in isolation: one that fails is noted, and set aside after three tries.

    ``rule`` says what is done, for people. A row of ``rows`` is a session or has one. ``fields``
    are added to its logging scope.
    """
    failed, now = isolation.known(rule), timezone.now()
    paused = [key for key, next_try in failed.items() if next_try and next_try > now]
    owner = "pk" if rows.model is Session else "session_id"
    # The keys first: a row that cannot even be read must not hide those after it.
    for key, session_id in list(rows.exclude(pk__in=paused).values_list("pk", owner)[:most]):
        with isolation.isolated(rule, key, session_id):
            # Read by its conditions again: the row may have been handled elsewhere meanwhile.
            row = rows.filter(pk=key).first()
            if row is not None:
                session: Session = row if isinstance(row, Session) else row.session  # type: ignore[attr-defined]
                scope = {name: read(row) for name, read in fields.items()}
                with session_scope(session, **scope):
                    handle(row)
            if str(key) in failed:
                isolation.succeeded(rule, key)


RULES = "Rule of the sweeper"
# A rule as a whole is never set aside for long: all sessions need it.
RULE_PAUSE = timedelta(minutes=1)


def sweep(up: float = float("inf")) -> int:
    """Runs one round; returns how many steps were sent to workers.

    A rule that raises stops no other. Raises OperationalError when the database is not reachable.
    """
    failed, now = isolation.known(RULES), timezone.now()
    for function in _rounds:
        if up < _due.get(function, 0.0):
            continue
        if up < float("inf"):
            _due[function] = up + _pauses.get(function, 0.0)
        own = getattr(function, "__qualname__", type(function).__qualname__)
        name = f"{getattr(function, '__module__', '')}.{own}"
        if (next_try := failed.get(name)) and next_try > now:
            continue
        with isolation.isolated(RULES, name, aside=RULE_PAUSE):
            function(up)
            if name in failed:
                isolation.succeeded(RULES, name)
    return steps.poke_overdue()


# Less than this is the time that a query takes, or a clock that is corrected little by little.
SET_BACK = timedelta(seconds=10)

Moment = tuple[float, datetime]


def follow_clock(last: Moment | None) -> Moment:
    """Returns the time by this process's monotonic clock and by the database's.

    When the latter was set back since ``last``, all steps are due earlier by as much: otherwise
    nothing would happen until the clock reaches the old time again.
    """
    here, there = time.monotonic(), steps.now()
    back = last[1] + timedelta(seconds=here - last[0]) - there if last else timedelta(0)
    if back > SET_BACK:
        log.warning("clock_set_back", seconds=round(back.total_seconds()))
        waiting = Step.objects.filter(state=Step.State.PENDING)
        waiting.filter(due_at__gt=there).update(due_at=F("due_at") - back, poked_at=None)
        # Leased ones too, as one whose lease has expired is sent again.
        Step.objects.filter(state__in=Step.OPEN, poked_at__gt=there).update(poked_at=None)
        leased = Step.objects.filter(state=Step.State.LEASED, lease_until__gt=there + steps.LEASE)
        leased.update(lease_until=there + steps.LEASE, poked_at=None)
    return here, there


def run_forever(stop: Event, every: float = 1.0) -> None:
    """Sweeps until ``stop`` is set; tries again after a database error."""
    started = time.monotonic()
    _due.clear()
    clock: Moment | None = None
    with context.scope(environment="worker", operation="sweep", process="sweeper"):
        while not stop.is_set():
            try:
                # This process runs for weeks, and the database may have closed its connection.
                close_old_connections()
                # This process must outlive any error, or no session would be repaired any more.
                with isolation.isolated("Round of the sweeper", "sweep", aside=RULE_PAUSE):
                    clock = follow_clock(clock)
                    sweep(time.monotonic() - started)
                    note_round()
            # The database may be restarting; the next round tries again.
            except DatabaseUnreachable as error:
                log.warning("sweep_failed", error=type(error).__name__)
            stop.wait(every)


ROUND_KEY = "sweeper-round"


def note_round() -> None:
    """Notes the end of a round for the metrics; without Redis nothing is noted.

    Where the note of the last round is gone, Redis has started empty: its messages are sent again.
    """
    from redis import RedisError

    try:
        if cache.get(ROUND_KEY) is None:
            log.info("messages_lost", steps=steps.forget_pokes())
        cache.set(ROUND_KEY, time.time(), timeout=86_400)
    except RedisError as error:
        log.info("round_not_noted", error=type(error).__name__)


def last_round() -> float | None:
    """Returns when a sweeper last ended a round, as a Unix time; None if that is not known."""
    from redis import RedisError

    try:
        found: float | None = cache.get(ROUND_KEY)
    except RedisError:
        return None
    return found
