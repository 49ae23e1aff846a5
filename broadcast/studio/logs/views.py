"""The log of a session: its lines, and errors that browsers report."""

from __future__ import annotations

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import orchestrator
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.session_logs import browser_errors, catalog
from sessions_app.session_logs.browser_errors import BrowserErrorForm
from sessions_app.session_logs.reader import ENVIRONMENTS, LEVELS, LogQuery
from sessions_app.web.http import SignedIn, of_session, post_only, status_of
from sessions_app.web.middleware import QUIET

SEARCH = {"autocomplete": "off", "spellcheck": "false"}


class LogForm(forms.Form):
    """The filter of the log's page; every field is optional."""

    environment = forms.ChoiceField(
        choices=[("", "All"), *((name, name.capitalize()) for name in ENVIRONMENTS)],
        required=False,
    )
    level = forms.ChoiceField(
        label="Lowest level",
        choices=[("", "All"), *((name, name.capitalize()) for name in LEVELS[2:])],
        required=False,
    )
    request = forms.CharField(
        label="Request id", max_length=64, required=False, widget=forms.TextInput(attrs=SEARCH)
    )
    text = forms.CharField(
        label="Text or line id",
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"type": "search", **SEARCH}),
    )
    before = forms.RegexField(r"^[0-9a-f]{20}$", required=False, widget=forms.HiddenInput)

    def wanted(self) -> LogQuery:
        """Returns the filter; invalid fields are left out."""
        # The address of a page can be edited by hand; a wrong filter shows all lines, not an error.
        self.is_valid()
        return LogQuery(**self.cleaned_data)


@require_safe
@of_session
def log(request: SignedIn, session: Session) -> HttpResponse:
    """The newest lines that match the query, or those before the line it names."""
    form = LogForm(request.GET)
    page = catalog.page(session, form.wanted())
    filters = {name: value for name, value in form.cleaned_data.items() if value}
    # The links of the filter begin at the newest line again.
    filters.pop("before", None)
    context = {
        "session": session,
        "session_air": orchestrator.latest_payload(session),
        "form": form,
        "page": page,
        "asked": filters,
    }
    template = "studio/logs/_lines.html" if request.htmx else "studio/logs/page.html"
    return render(request, template, context)


@post_only
@of_session
def browser(request: SignedIn, session: Session) -> HttpResponse:
    """Records an error of a page; the script that sends it ignores the response."""
    # A broken page may report many errors; the access log does not need a line for each.
    request.META[QUIET] = "1"
    form = BrowserErrorForm(request.POST)
    if not form.is_valid():
        return HttpResponse(status=422)
    try:
        agent = request.headers.get("User-Agent", "")
        browser_errors.report(session, request.user, form.report(agent))
    except SmnbError as error:
        return HttpResponse(status=status_of(error))
    return HttpResponse(status=204)
