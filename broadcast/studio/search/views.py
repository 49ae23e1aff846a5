"""Search in one session."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast.studio.settings.forms import SearchForm
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session
from stories.search import query


@require_safe
@of_session
def results(request: SignedIn, session: Session) -> HttpResponse:
    """The form and one page of what fits; only the results when htmx asks."""
    form = SearchForm(session, request.GET)
    found, status = query.Page([], None), 422
    if form.is_valid():
        found, status = query.page(session, form.query(), _key(request)), 200
    page = {
        "session": session,
        "form": form,
        "what": form.searched,
        "found": found,
        "asked": any(value for key, value in request.GET.items() if key not in {"what", "before"}),
        "older": _older(request, found.next),
    }
    partly = request.htmx and not _other_fields(request, form)
    template = "studio/search/_results.html" if partly else "studio/search/page.html"
    return render(request, template, page, status=200 if request.htmx else status)


def _other_fields(request: SignedIn, form: SearchForm) -> bool:
    """Whether the form on htmx's page is for the other kind: stories and posts differ in fields."""
    asked = parse_qs(urlsplit(request.htmx.current_url or "").query).get("what", ["stories"])
    return bool(request.htmx.current_url) and (asked[0] == "posts") != (form.searched == "posts")


def _key(request: SignedIn) -> int | None:
    before = request.GET.get("before", "")
    return int(before) if before.isdecimal() and len(before) < 19 else None


def _older(request: SignedIn, key: int | None) -> str:
    """The address of the next page, with the same question."""
    if key is None:
        return ""
    asked = {name: value for name, value in request.GET.items() if value and name != "before"}
    return f"{request.path}?{urlencode(asked | {'before': key})}"
