"""Middleware for all requests: a logging context with a request id, static files, and compression."""

from __future__ import annotations

import gzip
import hashlib
import re
import time
from collections.abc import Callable
from functools import cache
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware, re_accepts_gzip
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin
from whitenoise.middleware import WhiteNoiseMiddleware

from sessions_app import context
from sessions_app.errors import NotFound

log = structlog.get_logger(__name__)

HEADER = "X-Request-ID"
QUIET = "SMNB_QUIET"  # a key of META that a view sets so that its response is not logged
_COMPRESSED_TOO = {"application/javascript", "application/manifest+json", "image/svg+xml"}
_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")


def bind_request(request: HttpRequest, **fields: object) -> None:
    """Adds the route and the given fields, such as the user, to the log lines of a request."""
    match = request.resolver_match
    if match is not None:
        fields["operation"] = f"{request.method} /{match.route}"
    context.bind(**fields)


class NotFoundPages(MiddlewareMixin):
    """Responds with 404 where a view raises NotFound, as Django does for Http404."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        if isinstance(exception, NotFound):
            raise Http404(exception.sentence) from None


class CompressedPages(GZipMiddleware):
    """Compresses HTML; streams, sounds and the answers of the API are sent as they are."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if kind != "text/html" or not isinstance(response, HttpResponse):
            return response
        return super().process_response(request, response)


@cache
def _version_of(name: str) -> str:
    """Returns the first digits of the hash of a static file; empty where its name has one, or no file."""
    # Style sheets refer to fonts without a version, and a page must not load them twice.
    if re.search(settings.WHITENOISE_IMMUTABLE_FILE_TEST, name):
        return ""
    path = finders.find(name)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8] if path else ""


class VersionedFiles(StaticFilesStorage):
    """Adds the version of a static file to its address, so that browsers may store it for years."""

    def url(self, name: str | None) -> str:
        version = "" if settings.DEBUG else _version_of(name or "")
        return super().url(name) + (version and f"?v={version}")


@cache
def _compressed(path: str) -> bytes:
    return gzip.compress(Path(path).read_bytes(), mtime=0)


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Serves static files, compressed where the browser can read that.

    Only the address with the current version may be stored for years: during an upgrade, a page of the
    other version may ask for the same file.
    """

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = WhiteNoiseMiddleware.serve(static_file, request)
        if settings.DEBUG:
            # Files change, and the compressed ones are stored.
            return response
        version = _version_of(request.path_info.removeprefix(settings.STATIC_URL))
        if version and request.GET.get("v") == version and response.status_code in {200, 206, 304}:
            response["Cache-Control"] = f"max-age={WhiteNoiseMiddleware.FOREVER}, public, immutable"
        kind = response.get("Content-Type", "").partition(";")[0]
        if not kind.startswith("text/") and kind not in _COMPRESSED_TOO:
            return response
        patch_vary_headers(response, ["Accept-Encoding"])
        accepted = re_accepts_gzip.search(request.headers.get("Accept-Encoding", ""))
        if response.status_code != 200 or not accepted:
            return response
        _, path, _ = static_file.alternatives[-1]
        body = _compressed(path)
        if request.method == "GET":
            response.streaming_content = BytesIO(body)  # type: ignore[attr-defined]
        response["Content-Encoding"], response["Content-Length"] = "gzip", str(len(body))
        return response


class ForwardedAddress:
    """ASGI middleware that replaces the address of a trusted proxy by that of its client."""

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        peer, port = scope.get("client") or ("", 0)
        forwarded = dict(scope.get("headers") or []).get(b"x-forwarded-for")
        if forwarded is not None and _is_trusted(peer):
            # From the right: each proxy appends the address from which it got the request, and a client
            # can send any addresses before these.
            named = [part.strip() for part in forwarded.decode("latin-1").split(",")]
            client = next((each for each in reversed(named) if not _is_trusted(each)), named[0])
            if _address(client) is not None:
                scope = {**scope, "client": [client, port]}
        await self.application(scope, receive, send)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_trusted(text: str) -> bool:
    address = _address(text)
    return address is not None and any(address in each for each in settings.SMNB.proxies)


class ContextMiddleware:
    """Gives each request an id and a logging context, and logs the responses of a session."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._static = f"/{settings.STATIC_URL.strip('/')}/"

    def __call__(self, request: HttpRequest) -> Any:
        # Static files belong to no session and would only fill the log.
        if request.path.startswith(self._static):
            return self.get_response(request)
        request_id, began = _request_id(request), time.monotonic()
        operation = request.method or "HTTP"
        with context.scope(cause="", request=request_id, environment="server", operation=operation):
            return _finish(request, self.get_response(request), request_id, began)


def _request_id(request: HttpRequest) -> str:
    """Returns the id that a proxy has set, if it is well formed, or a new one.

    Pages read it from ``request.META`` and send it with the errors that they report.
    """
    given = request.headers.get(HEADER, "")
    request_id = given if _WELL_FORMED.fullmatch(given) else context.new_id()
    request.META["SMNB_REQUEST_ID"] = request_id
    return request_id


def _finish(
    request: HttpRequest, response: HttpResponseBase, request_id: str, began: float
) -> HttpResponseBase:
    response[HEADER] = request_id
    if request.path.startswith("/watch/"):
        # Also responses that no view made, such as 404: the address is a secret.
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex"
        response.headers.setdefault("Cache-Control", "no-store")
    elif request.path.startswith("/api/") or "Cookie" in response.get("Vary", ""):
        # The response depends on the login.
        response.headers.setdefault("Cache-Control", "no-store")
    if context.in_session() and QUIET not in request.META:
        ms = round((time.monotonic() - began) * 1000)
        log.info("answered", status=response.status_code, ms=ms)
    return response
