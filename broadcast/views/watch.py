"""The public pages: no sign-in, no cookies, read-only; a revoked link closes them all."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from broadcast import desk, pages
from broadcast.audience import episodes, feeds, look
from broadcast.replay import recordings
from sessions_app import context, events, lifecycle
from sessions_app.errors import NotFound
from sessions_app.middleware import arrived
from sessions_app.models import Session

P = ParamSpec("P")


def public(
    view: Callable[Concatenate[HttpRequest, Session, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, str, P], HttpResponseBase]:
    """Open a page of a visible session to anybody with its link; a revoked link says so (404)."""

    @wraps(view)
    def opened(
        request: HttpRequest, token: str, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponseBase:
        try:
            session = lifecycle.by_watch_token(token)
        except NotFound:
            return _headed(render(request, "watch/gone.html", status=404))
        arrived(request, **context.of(session))
        return _headed(view(request, session, *args, **kwargs))

    return require_safe(opened)  # type: ignore[return-value]


def _headed(response: HttpResponseBase) -> HttpResponseBase:
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@public
def watch(request: HttpRequest, session: Session) -> HttpResponse:
    """The watch page; ``?before=`` shows what was told earlier, ``?thread=`` one thread."""
    page = pages.watch_page(session, pages.WatchPart.of(request.GET)) | _addresses(session)
    page["episodes"] = episodes.of_session(session)[:5]
    page["replays"] = recordings.listed(session, events.PUBLIC, 5)
    return render(request, "watch/page.html", page)


@public
def overlay(request: HttpRequest, session: Session) -> HttpResponse:
    """The overlay for streaming software, in the look that the query asks for."""
    page = pages.watch_page(session) | _addresses(session)
    page["look"] = look.chosen(request.GET)
    return render(request, "watch/overlay.html", page)


def _addresses(session: Session) -> dict[str, str]:
    return {"token": session.watch_token, "ws_path": f"/ws/watch/{session.watch_token}/"}


@public
def atom(request: HttpRequest, session: Session) -> HttpResponse:
    return _fed(
        request, session,
        lambda feed: HttpResponse(feeds.atom(feed), content_type="application/atom+xml"),
    )  # fmt: skip


@public
def json_feed(request: HttpRequest, session: Session) -> HttpResponse:
    return _fed(
        request, session,
        lambda feed: JsonResponse(feeds.json_feed(feed), content_type="application/feed+json"),
    )  # fmt: skip


def _fed(
    request: HttpRequest, session: Session, shown: Callable[[feeds.Feed], HttpResponse]
) -> HttpResponse:
    """Answer with the feed, or with 304 when the reader has it already."""
    feed = feeds.of_session(session, desk.watch_url(session) or "")
    tag = f'"{feed.tag}"'
    response = get_conditional_response(request, etag=tag) or shown(feed)
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    return response
