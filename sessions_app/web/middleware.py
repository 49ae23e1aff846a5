"""The HTTP door: a context with a request id for every request, sync or async."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from sessions_app import context

log = structlog.get_logger(__name__)

HEADER = "X-Request-ID"
QUIET = "SMNB_QUIET"  # in META: the view has said what there is to say
_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")


def bind_request(request: HttpRequest, **fields: object) -> None:
    """Bind what a view has found out about its request: the route, and who asks for which session."""
    match = request.resolver_match
    if match is not None:
        fields["operation"] = f"{request.method} /{match.route}"
    context.bind(**fields)


def _named(request: HttpRequest) -> str:
    """The id a proxy before us gave, if it is one that can stand in a log, or a new one.

    Pages find it in ``request.META`` and tell it with what goes wrong on them.
    """
    given = request.headers.get(HEADER, "")
    id_ = given if _WELL_FORMED.fullmatch(given) else context.new_id()
    request.META["SMNB_REQUEST_ID"] = id_
    return id_


class ContextMiddleware:
    """Opens the door, names the request in its answer, and leaves a line about it in its session."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._static = f"/{settings.STATIC_URL.strip('/')}/"
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._acall(request)
        if request.path.startswith(self._static):
            return self.get_response(request)
        id_, began = _named(request), time.monotonic()
        with _door(request, id_):
            return _answered(request, self.get_response(request), id_, began)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.startswith(self._static):
            return await self._awaited(request)
        id_, began = _named(request), time.monotonic()
        with _door(request, id_):
            return _answered(request, await self._awaited(request), id_, began)

    async def _awaited(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self.get_response(request)
        return response


def _door(request: HttpRequest, id_: str) -> Any:
    operation = request.method or "HTTP"
    return context.scope(cause="", request=id_, environment="server", operation=operation)


def _answered(
    request: HttpRequest, response: HttpResponseBase, id_: str, began: float
) -> HttpResponseBase:
    response[HEADER] = id_
    if context.in_session() and QUIET not in request.META:
        ms = round((time.monotonic() - began) * 1000)
        log.info("answered", status=response.status_code, ms=ms)
    return response
