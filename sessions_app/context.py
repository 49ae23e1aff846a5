"""Whose work is being done: one ContextVar set at the doors, read by log lines and traces.

A context has fields: request, user, session, run, operation, environment (browser, server, worker,
command or agent), ``stack`` (the names of the open frames, outermost first, with slashes) and
whatever else a door or a frame binds. Fields that begin with ``_`` are never shown.

No write reads its session from here; it would be a second copy of the truth.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sessions_app.models import Session, Step

_fields: ContextVar[dict[str, str | int]] = ContextVar("smnb_context", default={})  # noqa: B039
_ID = re.compile(r"[0-9a-f]{20}")

CARRIED = ("request", "user", "operation")


class Tracer(Protocol):
    """Whoever makes spans of doors and frames."""

    def span(self, name: str, cause: str = "") -> AbstractContextManager[object]:
        """A span around a door or a frame; ``cause`` is the traceparent of what led to it."""

    def bound(self, fields: Mapping[str, str]) -> None:
        """The open spans of this context have these fields from now on."""

    def traceparent(self) -> str:
        """The present span as another process may name it, or ""."""


class NoTracer:
    """What stands here while nobody wants traces."""

    def span(self, _name: str, _cause: str = "") -> AbstractContextManager[object]:
        return nullcontext()

    def bound(self, fields: Mapping[str, str]) -> None:
        pass

    def traceparent(self) -> str:
        return ""


_tracer: list[Tracer] = [NoTracer()]


def trace_with(tracer: Tracer) -> None:
    """Name the one who makes spans; NoTracer() ends it."""
    _tracer[:] = [tracer]


def new_id() -> str:
    """An id of a request or of a line: 13 digits of microseconds, 7 of chance, all hexadecimal."""
    return f"{time.time_ns() // 1000:013x}{uuid.uuid4().hex[:7]}"


def moment_of(id_: str) -> datetime | None:
    """When an id of ours was made; None for anybody else's."""
    if not _ID.fullmatch(id_):
        return None
    try:
        return datetime.fromtimestamp(int(id_[:13], 16) / 1e6, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def current() -> dict[str, str]:
    """The fields of the present context, e.g. request, session, run, step."""
    return {key: str(value) for key, value in _fields.get().items()}


def in_session() -> bool:
    """Whether the present context is that of a session."""
    return "session" in _fields.get()


def of(session: Session) -> dict[str, Any]:
    """What a context holds of a session; the folder lets its lines find their file by themselves."""
    return {"session": session.pk, "_folder": session.folder}


def bind(**fields: object) -> None:
    """Add fields to the present context until its door, or its frame, closes."""
    _fields.set({**_fields.get(), **_plain(fields)})
    _tracer[0].bound(current())


def _plain(fields: Mapping[str, object]) -> dict[str, str | int]:
    """Numbers stay numbers: a row's id is written the same wherever it stands."""
    return {key: each if isinstance(each, int) else str(each) for key, each in fields.items()}


@contextmanager
def door(*, cause: str | None = None, **fields: object) -> Iterator[None]:
    """Open a context with exactly these fields; the previous one is restored afterwards.

    With a ``cause``, the traceparent of what led to it or "", it is a span named as its operation.
    """
    name = str(fields.get("operation", "work"))
    with _as(_plain(fields)), nullcontext() if cause is None else _tracer[0].span(name, cause):
        yield


@contextmanager
def frame(name: str, **fields: object) -> Iterator[None]:
    """A named part of what is being done; it and ``fields`` stand in each line until it closes."""
    before = _fields.get()
    stack = f"{before['stack']}/{name}" if "stack" in before else name
    with _as({**before, **_plain(fields), "stack": stack}), _tracer[0].span(name):
        yield


@contextmanager
def _as(fields: dict[str, str | int]) -> Iterator[None]:
    previous = _fields.get()
    _fields.set(fields)
    try:
        yield
    finally:
        # set, not reset(token): set and reset may fall in different sync_to_async hops
        _fields.set(previous)


def carried() -> dict[str, str | int] | None:
    """What goes with work that another process does later: who asked for it, and in which trace."""
    fields = _fields.get()
    found = {name: fields[name] for name in CARRIED if name in fields}
    if traceparent := _tracer[0].traceparent():
        found["traceparent"] = traceparent
    return found or None


def of_step(step: Step, epoch: int) -> AbstractContextManager[None]:
    """The door of a step, with the request that caused it, wherever that was."""
    origin: Mapping[str, Any] = step.origin or {}
    found = {name: origin[name] for name in ("request", "user") if name in origin}
    if "operation" in origin:
        found["caused_by"] = origin["operation"]
    return door(
        cause=origin.get("traceparent", ""), **of(step.session), **found, environment="worker",
        operation=step.kind, step=step.pk, epoch=epoch,
    )  # fmt: skip


def add_context(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """structlog processor: the context's fields join the line without hiding its own."""
    for key, value in _fields.get().items():
        event.setdefault(key, value)
    return event
