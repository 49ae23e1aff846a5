"""The sweeper: calls the registered functions, and sends overdue steps to workers, every second.

A round repairs what a crash or a lost message left behind. Several sweepers at once are safe: they
use the database's clock alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from threading import Event
from typing import Any, TypeVar

import structlog
from django.db import Error as DatabaseUnreachable
from django.db import close_old_connections
from django.db.models import Model, QuerySet
from django.utils import timezone

from sessions_app import context
from sessions_app.background import isolation, steps
from sessions_app.models import Session

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


def run_forever(stop: Event, every: float = 1.0) -> None:
    """Sweeps until ``stop`` is set; tries again after a database error."""
    started = time.monotonic()
    _due.clear()
    with context.scope(environment="worker", operation="sweep", process="sweeper"):
        while not stop.is_set():
            try:
                # This process runs for weeks, and the database may have closed its connection.
                close_old_connections()
                # This process must outlive any error, or no session would be repaired any more.
                with isolation.isolated("Round of the sweeper", "sweep", aside=RULE_PAUSE):
                    sweep(time.monotonic() - started)
            # The database may be restarting; the next round tries again.
            except DatabaseUnreachable as error:
                log.warning("sweep_failed", error=type(error).__name__)
            stop.wait(every)
