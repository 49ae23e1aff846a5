"""The sweeper: calls the registered rounds every second and sends overdue steps to workers.

A round repairs what a crash or a lost message left behind. Several sweepers at once are safe: they
use the database's clock alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event
from typing import Any

import structlog
from django.db import OperationalError, close_old_connections

from sessions_app import context
from sessions_app.background import steps
from sessions_app.models import Session

log = structlog.get_logger(__name__)

Round = Callable[[float], None]
_rounds: list[Round] = []


def register(function: Round) -> None:
    """Calls ``function(seconds since this sweeper started)`` in every round."""
    _rounds.append(function)


def session_scope(session: Session, **fields: Any) -> AbstractContextManager[None]:
    """Opens the logging scope for what a round does in one session."""
    return context.scope(
        **context.session_fields(session),
        environment="worker",
        operation="sweep",
        process="sweeper",
        **fields,
    )


def sweep(up: float = float("inf")) -> int:
    """Runs one round; returns how many steps were sent to workers."""
    for function in _rounds:
        function(up)
    return steps.poke_overdue()


def run_forever(stop: Event, every: float = 1.0) -> None:
    """Sweeps until ``stop`` is set; tries again after a database error."""
    started = time.monotonic()
    with context.scope(environment="worker", operation="sweep", process="sweeper"):
        while not stop.is_set():
            try:
                # This process runs for weeks, and the database may have closed its connection.
                close_old_connections()
                sweep(time.monotonic() - started)
            # The database may be restarting; the next round tries again.
            except OperationalError as error:
                log.warning("sweep_failed", error=type(error).__name__)
            stop.wait(every)
