"""The fields that log lines and traces share: one ContextVar, set at each entry point.

A context has fields: request, user, session, run, operation, environment (browser, server, worker,
command or agent), ``stack`` (the names of the open spans, outermost first, with slashes) and any
other field that a scope or a span binds. Fields that begin with ``_`` are never shown.

No write reads its session from here: it would be a second copy of the truth.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, overload

if TYPE_CHECKING:
    from sessions_app.models import Session, Step

# The dict is never changed in place: each change sets a new one.
_fields: ContextVar[dict[str, str | int]] = ContextVar("smnb_context", default={})  # noqa: B039
_ID = re.compile(r"[0-9a-f]{20}")

# The fields that a background step inherits from the request that caused it.
INHERITED = ("request", "user", "operation")


class Tracer(Protocol):
    """Makes the spans of scopes and of their named parts."""

    def span(self, name: str, cause: str = "") -> AbstractContextManager[object]:
        """Opens a span; ``cause`` is the traceparent of the span that led to it."""

    def bound(self, fields: Mapping[str, str]) -> None:
        """Sets these fields on the open spans of the current context."""

    def traceparent(self) -> str:
        """Returns the traceparent of the current span, or ""."""


class NoTracer:
    """The tracer used while tracing is off."""

    def span(self, _name: str, _cause: str = "") -> AbstractContextManager[object]:
        return nullcontext()

    def bound(self, fields: Mapping[str, str]) -> None:
        pass

    def traceparent(self) -> str:
        return ""


# A list, so that ``set_tracer`` needs no global statement.
_tracer: list[Tracer] = [NoTracer()]


def set_tracer(tracer: Tracer) -> None:
    """Uses this tracer from now on; ``NoTracer()`` turns tracing off."""
    _tracer[:] = [tracer]


def new_id() -> str:
    """Returns an id for a request or a log line: 13 hex digits of microseconds, 7 random ones."""
    return f"{time.time_ns() // 1000:013x}{uuid.uuid4().hex[:7]}"


def time_of_id(id_: str) -> datetime | None:
    """Returns the time at which ``new_id`` made this id; None for an id from elsewhere."""
    # Ids also arrive in request headers and addresses, so any text is possible.
    if not _ID.fullmatch(id_):
        return None
    try:
        return datetime.fromtimestamp(int(id_[:13], 16) / 1e6, UTC)
    except (OverflowError, ValueError, OSError):
        return None


@overload
def timestamp(moment: datetime) -> str: ...
@overload
def timestamp(moment: None) -> None: ...
@overload
def timestamp(moment: datetime | None) -> str | None: ...
def timestamp(moment: datetime | None) -> str | None:
    """Formats a time for a payload: ISO 8601 in UTC, with milliseconds and ``Z``."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def current() -> dict[str, str]:
    """Returns the fields of the current context, e.g. request, session, run, step."""
    return {key: str(value) for key, value in _fields.get().items()}


def in_session() -> bool:
    """Returns whether the current context belongs to a session."""
    return "session" in _fields.get()


def session_fields(session: Session) -> dict[str, Any]:
    """Returns the fields of a session; the folder tells the log writer which file a line goes to."""
    return {"session": session.pk, "_folder": session.folder}


def bind(**fields: object) -> None:
    """Adds fields to the current context until its scope, or its span, closes."""
    _fields.set({**_fields.get(), **_plain(fields)})
    _tracer[0].bound(current())


def _plain(fields: Mapping[str, object]) -> dict[str, str | int]:
    # Integers stay integers, so that a row's id is written the same way in every line.
    return {key: value if isinstance(value, int) else str(value) for key, value in fields.items()}


@contextmanager
def scope(*, cause: str | None = None, **fields: object) -> Iterator[None]:
    """Opens a context with exactly these fields, and restores the previous one afterwards.

    With a ``cause``, which is the traceparent of the span that led to it or "", the tracer opens a
    span named as the operation.
    """
    name = str(fields.get("operation", "work"))
    with (
        _replaced(_plain(fields)),
        nullcontext() if cause is None else _tracer[0].span(name, cause),
    ):
        yield


@contextmanager
def span(name: str, **fields: object) -> Iterator[None]:
    """Opens a named part of the current scope; its lines have ``fields`` and the longer stack."""
    before = _fields.get()
    stack = f"{before['stack']}/{name}" if "stack" in before else name
    with _replaced({**before, **_plain(fields), "stack": stack}), _tracer[0].span(name):
        yield


@contextmanager
def _replaced(fields: dict[str, str | int]) -> Iterator[None]:
    previous = _fields.get()
    _fields.set(fields)
    try:
        yield
    finally:
        # Not reset(token): set and reset may fall in different sync_to_async hops.
        _fields.set(previous)


def origin() -> dict[str, str | int] | None:
    """Returns the fields that a background step stores: the request that causes it, and its trace."""
    fields = _fields.get()
    inherited = {name: fields[name] for name in INHERITED if name in fields}
    if traceparent := _tracer[0].traceparent():
        inherited["traceparent"] = traceparent
    return inherited or None


def step_scope(step: Step, epoch: int) -> AbstractContextManager[None]:
    """Opens the scope of a step, with the request and the user that caused it."""
    cause: Mapping[str, Any] = step.origin or {}
    fields = {name: cause[name] for name in ("request", "user") if name in cause}
    if "operation" in cause:
        fields["caused_by"] = cause["operation"]
    return scope(
        cause=cause.get("traceparent", ""),
        **session_fields(step.session),
        **fields,
        environment="worker",
        operation=step.kind,
        step=step.pk,
        epoch=epoch,
    )


def add_context(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """Adds the context's fields to a log line (a structlog processor); the line's own fields win."""
    for key, value in _fields.get().items():
        event.setdefault(key, value)
    return event
