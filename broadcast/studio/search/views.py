"""Search over the stories and posts of one session."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast.queries import key_of
from broadcast.studio.search.forms import SearchForm
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session
from stories.search import query


@require_safe
@of_session
def results(request: SignedIn, session: Session) -> HttpResponse:
    """The form and one page of results; for htmx only the results."""
    form = SearchForm(session, request.GET)
    page, status = query.Page([], None), 422
    if form.is_valid():
        before = key_of(request.GET.get("before", ""))
        page, status = query.page(session, form.query(), before), 200
    searched = {name: value for name, value in request.GET.items() if value and name != "before"}
    older = ""
    if page.next is not None:
        older = f"{request.path}?{urlencode(searched | {'before': page.next})}"
    context = {
        "session": session,
        "form": form,
        "what": form.searched,
        "results": page,
        "asked": bool(searched.keys() - {"what"}),
        "older": older,
    }
    partial = request.htmx and not _fields_changed(request, form)
    template = "studio/search/_results.html" if partial else "studio/search/page.html"
    # The page puts a 422 for htmx into its line for refusals (see shell.html), so here it is 200.
    return render(request, template, context, status=200 if request.htmx else status)


def _fields_changed(request: SignedIn, form: SearchForm) -> bool:
    """Whether the form on the page has other fields: those for stories and posts differ."""
    url = request.htmx.current_url
    what = parse_qs(urlsplit(url or "").query).get("what", ["stories"])[0]
    return bool(url) and (what == "posts") != (form.searched == "posts")
