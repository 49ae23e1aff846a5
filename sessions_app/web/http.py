"""What the pages share: the typed request, the owned session, and errors as answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Concatenate, ParamSpec, TypeAlias, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from sessions_app import commands, context, sessions
from sessions_app.errors import Conflict, Forbidden, Invalid, NotFound, SmnbError
from sessions_app.models import Session
from sessions_app.rate_limits import TooMany
from sessions_app.web.middleware import bind_request

P = ParamSpec("P")
Page: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]


class SignedIn(HttpRequest):
    """A request that has passed ``owner_page``."""

    user: User
    htmx: HtmxDetails


def signed_in(
    view: Callable[Concatenate[SignedIn, P], HttpResponse],
) -> Page[P]:
    """Open a page of ours to a signed-in person."""

    @wraps(view)
    def opened(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        bind_request(request, user=request.user.pk)
        answer = view(cast("SignedIn", request), *args, **kwargs)
        # The same address gives a page or a part of it; the browser must not take one for the other.
        patch_vary_headers(answer, ["HX-Request"])
        return answer

    return cast("Page[P]", login_required(opened))


def of_session(
    view: Callable[Concatenate[SignedIn, Session, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, UUID, P], HttpResponse]:
    """Open a page of one session to its owner; for anybody else it does not exist."""

    @wraps(view)
    def opened(
        request: SignedIn, session_id: UUID, *args: P.args, **kwargs: P.kwargs
    ) -> HttpResponse:
        try:
            session = sessions.get(request.user, session_id)
        except NotFound as error:
            raise Http404(error.sentence) from None
        context.bind(**context.session_fields(session))
        return view(request, session, *args, **kwargs)

    return signed_in(opened)  # type: ignore[arg-type]


SAME_PRESS = timedelta(seconds=20)


def once(request: SignedIn, effect: Callable[[], str]) -> str:
    """Have ``effect`` make one thing, however often a form's button is pressed; returns its id.

    The form carries ``_once.html``. Pressed again later, after going back, it makes another one.
    """
    key = request.POST.get("once", "")
    if not key:
        return effect()
    said = {name: request.POST.getlist(name) for name in sorted(request.POST)}
    said.pop("csrfmiddlewaretoken", None)
    digest = commands.digest_of(request.path, json.dumps(said))

    def kept() -> tuple[int, dict[str, str]]:
        return 201, {"id": effect(), "at": timezone.now().isoformat()}

    # Of another form's content it is another press, so the content belongs to the key.
    name = f"form:{digest}"
    _, answer = commands.run_once(request.user, name, digest, kept)
    now = timezone.now()
    if now - datetime.fromisoformat(answer["at"]) > SAME_PRESS:
        later = f"{name}:{now.timestamp() // SAME_PRESS.total_seconds():.0f}"
        _, answer = commands.run_once(request.user, later, digest, kept)
    return str(answer["id"])


def of_chosen(
    view: Callable[Concatenate[SignedIn, Session | None, P], HttpResponse],
) -> Page[P]:
    """Open an area with the session that the address names (``?session=``), or the newest one.

    None when the person has no session yet; a session that is not theirs does not exist (404).
    """

    @wraps(view)
    def opened(request: SignedIn, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        session = chosen(request)
        if session is not None:
            context.bind(**context.session_fields(session))
        return view(request, session, *args, **kwargs)

    return signed_in(opened)  # type: ignore[arg-type]


def chosen(request: SignedIn) -> Session | None:
    named = request.GET.get("session", "")
    try:
        return sessions.get(request.user, named) if named else sessions.newest(request.user)
    except NotFound as error:
        raise Http404(error.sentence) from None


def is_same_origin(request: HttpRequest) -> bool:
    """Whether a page of ours sent this, as far as its browser says; who says nothing is none.

    Over plain http browsers leave out Sec-Fetch-Site, but not the origin of a POST.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    ours = {*settings.SMNB.origins, f"{request.scheme}://{request.get_host()}"}
    return request.headers.get("Origin") in ours


STATUSES: dict[type[SmnbError], int] = {
    Forbidden: 403, NotFound: 404, Conflict: 409, Invalid: 422, TooMany: 429,
}  # fmt: skip


def status_of(error: SmnbError) -> int:
    """The status of an answer that says this error."""
    return next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 503)


def refused(request: SignedIn, error: SmnbError, back: str, *args: object) -> HttpResponse:
    """Show why something was not done: a partial for htmx, a notice on the page otherwise."""
    if request.htmx:
        page = {"sentence": error.sentence}
        return render(request, "_refusal.html", page, status=status_of(error))
    messages.error(request, error.sentence)
    return redirect(back, *args)
