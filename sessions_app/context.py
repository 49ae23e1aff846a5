"""Whose work is being done: one ContextVar set at the doors and read by the log lines.

No write reads its session from here; it would be a second copy of the truth.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

_fields: ContextVar[dict[str, str]] = ContextVar("smnb_context", default={})  # noqa: B039


def current() -> dict[str, str]:
    """The fields of the present context, e.g. request, session, run, step."""
    return dict(_fields.get())


def bind(**fields: object) -> None:
    """Add fields to the present context until its door closes."""
    _fields.set({**_fields.get(), **{key: str(value) for key, value in fields.items()}})


@contextmanager
def door(**fields: object) -> Iterator[None]:
    """Open a context with exactly these fields; the previous one is restored afterwards."""
    previous = _fields.get()
    _fields.set({key: str(value) for key, value in fields.items()})
    try:
        yield
    finally:
        # set, not reset(token): set and reset may fall in different sync_to_async hops
        _fields.set(previous)


def add_context(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """structlog processor: the context's fields join the line without hiding its own."""
    for key, value in _fields.get().items():
        event.setdefault(key, value)
    return event


class ContextMiddleware:
    """The HTTP door: a fresh context with a request id for every request, sync or async."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._acall(request)
        with door(request=uuid.uuid4().hex[:12]):
            response: HttpResponseBase = self.get_response(request)
            return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        with door(request=uuid.uuid4().hex[:12]):
            response: HttpResponseBase = await self.get_response(request)
            return response
