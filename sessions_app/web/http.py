"""What views share: the typed request, the owner's session, and the status of each error."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, TypeAlias, cast
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from sessions_app import commands, context, sessions
from sessions_app.errors import Conflict, Forbidden, Invalid, NotFound, SmnbError
from sessions_app.models import Session
from sessions_app.rate_limits import TooMany
from sessions_app.web.middleware import bind_request

P = ParamSpec("P")
Page: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]

# The HTTP status of each error, for pages and for the API; all others are 503.
STATUSES: dict[type[SmnbError], int] = {
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    TooMany: 429,
}
SAME_PRESS = timedelta(seconds=20)


def status_of(error: SmnbError) -> int:
    """Returns the HTTP status of a response that reports this error."""
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 503)


class SignedIn(HttpRequest):
    """The request of a signed-in user, as views behind ``signed_in`` get it."""

    user: User
    htmx: HtmxDetails


def signed_in(
    view: Callable[Concatenate[SignedIn, P], HttpResponse],
) -> Page[P]:
    """Decorates a view that needs a signed-in user; others are sent to the sign-in page.

    After signing in they are back on the page where they were: for htmx and for a form that is the
    page that sent the request, not the address of a part or of a command.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            htmx = cast("SignedIn", request).htmx
            if not htmx and request.method in {"GET", "HEAD"}:
                return redirect_to_login(request.get_full_path())
            sender = htmx.current_url if htmx else request.headers.get("Referer")
            sign_in = redirect_to_login(_path_on_this_site(request, sender or ""))
            return HttpResponseClientRedirect(sign_in.url) if htmx else sign_in
        # Here and not in the middleware, which runs before the route is known.
        bind_request(request, user=request.user.pk)
        response = view(cast("SignedIn", request), *args, **kwargs)
        # The same URL gives a page or, to htmx, a part of it. Without this header a browser may
        # show the cached part as the page.
        patch_vary_headers(response, ["HX-Request"])
        return response

    return cast("Page[P]", wrapper)


def _path_on_this_site(request: HttpRequest, url: str) -> str:
    """Returns path and query of a URL of this site, and the start page for any other."""
    if not url_has_allowed_host_and_scheme(url, {request.get_host()}):
        return "/"
    parts = urlsplit(url)
    return parts._replace(scheme="", netloc="", fragment="").geturl() or "/"


def post_only(view: Page[P]) -> Page[P]:
    """Decorates a view that changes something; a GET is redirected to the page it belongs to.

    People open such an address from their browser's history. The page is at the nearest address
    above that responds to GET.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.method == "POST":
            return view(request, *args, **kwargs)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["POST"])
        parts = request.path.strip("/").split("/")
        while parts:
            parts.pop()
            path = "".join(f"/{part}" for part in parts) + "/"
            try:
                if not hasattr(resolve(path).func, "post_only"):
                    return redirect(path)
            except Resolver404:
                continue
        return redirect("/")

    wrapper.post_only = True  # type: ignore[attr-defined]
    return cast("Page[P]", wrapper)


def of_session(
    view: Callable[Concatenate[SignedIn, Session, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, UUID, P], HttpResponse]:
    """Decorates a view of one session: it gets the session, and other users get 404."""

    @wraps(view)
    def wrapper(
        request: SignedIn, session_id: UUID, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponse:
        # 404 and not 403, which would show that a session with this id exists.
        session = sessions.get(request.user, session_id)
        context.bind(**context.session_fields(session))
        return view(request, session, *args, **kwargs)

    return signed_in(wrapper)  # type: ignore[arg-type]


def of_chosen(
    view: Callable[Concatenate[SignedIn, Session | None, P], HttpResponse],
) -> Page[P]:
    """Decorates a view of the session in ``?session=``, or else of the user's newest session.

    The view gets None when the user has no session; another user's session is a 404.
    """

    @wraps(view)
    def wrapper(request: SignedIn, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        session_id = request.GET.get("session", "")
        session = (
            sessions.get(request.user, session_id) if session_id else sessions.newest(request.user)
        )
        if session is not None:
            context.bind(**context.session_fields(session))
        return view(request, session, *args, **kwargs)

    return signed_in(wrapper)  # type: ignore[arg-type]


def once(request: SignedIn, effect: Callable[[], str]) -> str:
    """Calls ``effect`` once for a form, however often its button is pressed; returns its id.

    The form includes ``_once.html``. A press more than 20 seconds later, after going back to the
    form, calls ``effect`` again.
    """
    key = request.POST.get("once", "")
    if not key:
        return effect()
    fields = {name: request.POST.getlist(name) for name in sorted(request.POST)}
    # Django masks the token differently in each form, so it would make equal forms differ.
    fields.pop("csrfmiddlewaretoken", None)
    digest = commands.digest_of(request.path, json.dumps(fields))

    def create() -> tuple[int, dict[str, str]]:
        return 201, {"id": effect(), "at": timezone.now().isoformat()}

    # The key contains the form's content: pressing again after a change is not a repetition.
    name = f"form:{digest}"
    _, answer = commands.run_once(request.user, name, digest, create)
    now = timezone.now()
    if now - datetime.fromisoformat(answer["at"]) > SAME_PRESS:
        later = f"{name}:{now.timestamp() // SAME_PRESS.total_seconds():.0f}"
        _, answer = commands.run_once(request.user, later, digest, create)
    return str(answer["id"])


def is_same_origin(request: HttpRequest) -> bool:
    """Whether the browser says that one of our pages sent the request.

    Over plain HTTP browsers leave out Sec-Fetch-Site, but a POST has an Origin.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    ours = {*settings.SMNB.origins, f"{request.scheme}://{request.get_host()}"}
    return request.headers.get("Origin") in ours


def refused(request: SignedIn, error: SmnbError, back: str, *args: object) -> HttpResponse:
    """Shows an error: a partial with its status for htmx, otherwise a message on the page."""
    sentence = " ".join(
        # "Must be …" needs its subject.
        f"{name.replace('_', ' ').capitalize()} {reason[0].lower()}{reason[1:]}."
        if name and reason.startswith("Must ")
        else reason
        for name, reason in commands.reasons(error)
    )
    if request.htmx:
        page = {"sentence": sentence}
        return render(request, "_refusal.html", page, status=status_of(error))
    messages.error(request, sentence)
    return redirect(back, *args)


def show_refusal(form: BaseForm, error: SmnbError, field: str | None = None) -> None:
    """Adds the reasons of an error to the fields they are about, else to ``field`` or the form."""
    for name, reason in commands.reasons(error):
        form.add_error(name if name in form.fields else field, reason)
