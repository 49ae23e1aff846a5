"""The public watch page: no sign-in, no cookies, read-only."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import pages
from sessions_app import context, lifecycle
from sessions_app.errors import NotFound


@require_safe
def watch(request: HttpRequest, token: str) -> HttpResponse:
    """The page of a visible session; a revoked link says so (404)."""
    try:
        session = lifecycle.by_watch_token(token)
    except NotFound:
        return _public(render(request, "watch/gone.html", status=404))
    context.bind(session=session.pk)
    page = pages.watch_page(session) | {"ws_path": f"/ws/watch/{token}/"}
    return _public(render(request, "watch/page.html", page))


def _public(response: HttpResponse) -> HttpResponse:
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    response["Cache-Control"] = "no-store"
    return response
