"""The Session Manager: the list, and a session's name, settings, budget and filing.

The page of one session in the Session Manager, and how its forms come back to it.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.forms import BaseForm
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from broadcast import queries as broadcast_queries
from broadcast.schedule import calendar
from broadcast.studio.sessions import queries
from broadcast.studio.sessions.forms import (
    BudgetForm,
    ExpiryForm,
    FilterForm,
    NewSessionForm,
    SettingsForm,
    SlotForm,
    SourceForm,
)
from broadcast.studio.transfers.forms import ExportForm, ImportForm
from sessions_app import commands
from sessions_app import sessions as sessions_app_sessions
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.money import to_usd
from sessions_app.web.http import SignedIn, of_session, once, refused, signed_in
from stories.sources import groups


@require_safe
@of_session
def detail(request: SignedIn, session: Session) -> HttpResponse:
    """With ``?slot=<id>`` the form of the schedule is that of this slot."""
    return show(request, session, chosen=request.GET.get("slot", ""))


def show(
    request: SignedIn,
    session: Session,
    *,
    status: int = 200,
    chosen: str = "",
    probe: Any = None,
    **forms: BaseForm,
) -> HttpResponse:
    """The whole page; ``forms`` replace those that come empty or with what is stored."""
    page = broadcast_queries.manager_page(session)
    editing = next((slot for slot in page["slots"] if str(slot["id"]) == chosen), None)
    usd = None if session.budget is None else to_usd(session.budget)
    stored = {
        "settings_form": SettingsForm(instance=session),
        "budget_form": BudgetForm(initial={"budget_usd": usd}),
        "expiry_form": expiry_form(session),
        "source_form": SourceForm(),
        "slot_form": SlotForm(initial=editing or _fresh(page["slots"])),
        "export_form": ExportForm(),
    }
    more = {"groups": groups.every(), "zones": calendar.zones(), "probe": probe}
    found = {**page, **stored, **forms, **more, "editing": editing}
    return render(request, "studio/sessions/detail.html", found, status=status)


def expiry_form(session: Session, data: Any = None) -> ExpiryForm:
    day = session.expires_at.astimezone(UTC).date() if session.expires_at else None
    return ExpiryForm(data, initial={"expires_on": day})


def _fresh(slots: list[dict[str, Any]]) -> dict[str, Any]:
    """A new slot is likely to be in the time zone of the last one."""
    return {"zone": slots[-1]["zone"]} if slots else {}


def back_to(session: Session, section: str = "") -> HttpResponse:
    anchor = f"#{section}" if section else ""
    return HttpResponseRedirect(reverse("session_detail", args=[session.pk]) + anchor)


def run(
    request: SignedIn, session: Session, name: str, data: dict[str, Any], section: str = ""
) -> HttpResponse:
    """Run a command and come back to a section of the page, or say why it was refused."""
    try:
        commands.run(name, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return back_to(session, section)


@require_safe
@signed_in
def sessions(request: SignedIn) -> HttpResponse:
    """The list; only its rows when htmx filters as one types."""
    if not request.htmx:
        return _list(request, NewSessionForm())
    answer = render(request, "studio/sessions/_rows.html", _rows(request))
    patch_vary_headers(answer, ["HX-Request"])
    return answer


def _rows(request: SignedIn) -> dict[str, object]:
    found = FilterForm(request.GET, auto_id="filter_%s")
    before = request.GET.get("before", "")
    page = queries.page(request.user, found.wanted(before))
    query = request.GET.copy()
    query.pop("before", None)
    return {**page, "filter": found, "query": query.urlencode(), "before": before}


def _list(request: SignedIn, form: NewSessionForm, status: int = 200) -> HttpResponse:
    return listed(request, status, form=form)


def listed(request: SignedIn, status: int = 200, **forms: BaseForm) -> HttpResponse:
    """The list; ``forms`` replace those that come empty."""
    empty = {"form": NewSessionForm(), "import_form": ImportForm()}
    page = {**_rows(request), **empty, **forms}
    answer = render(request, "studio/sessions/list.html", page, status=status)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


@require_POST
@signed_in
def create(request: SignedIn) -> HttpResponse:
    form = NewSessionForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=422)
    try:
        fresh = once(request, lambda: _made(request, "session.create", None, form.payload()))
    except SmnbError as error:
        form.add_error(None, error.sentence)
        return _list(request, form, status=422)
    return redirect("session_detail", fresh)


def _made(request: SignedIn, name: str, session: Session | None, data: dict[str, Any]) -> str:
    """The id of the session that the command has made."""
    return str(commands.run(name, request.user, session, data).pk)


@require_POST
@of_session
def rename(request: SignedIn, session: Session) -> HttpResponse:
    try:
        data = {"name": request.POST.get("name", "")}
        session = commands.run("session.change", request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    if request.htmx:
        return render(request, "studio/sessions/_name.html", {"session": session})
    return back_to(session)


@require_POST
@of_session
def settings(request: SignedIn, session: Session) -> HttpResponse:
    fresh = sessions_app_sessions.get(request.user, session.pk)
    form = SettingsForm(request.POST, instance=fresh)
    if not form.is_valid():
        return show(request, session, status=422, settings_form=form)
    return run(request, session, "session.change", form.payload(), "settings")


@require_POST
@of_session
def budget(request: SignedIn, session: Session) -> HttpResponse:
    form = BudgetForm(request.POST)
    if not form.is_valid():
        return show(request, session, status=422, budget_form=form)
    return run(request, session, "session.change", form.cleaned_data, "budget")


@require_POST
@of_session
def expiry(request: SignedIn, session: Session) -> HttpResponse:
    form = expiry_form(session, request.POST)
    if not form.is_valid():
        return show(request, session, status=422, expiry_form=form)
    return run(request, session, "session.change", form.payload(), "filing")


@require_POST
@of_session
def visibility(request: SignedIn, session: Session) -> HttpResponse:
    data = {"visible": request.POST.get("visible") == "true"}
    return run(request, session, "session.change", data, "public")


@require_POST
@of_session
def archive(request: SignedIn, session: Session) -> HttpResponse:
    """File the session away or take it back; ``back`` is the query of the list one came from."""
    restoring = request.POST.get("action") == "restore"
    name = "session.restore" if restoring else "session.archive"
    if "back" not in request.POST:
        return run(request, session, name, {}, "filing")
    try:
        commands.run(name, request.user, session, {})
    except SmnbError as error:
        return refused(request, error, "sessions")
    query = QueryDict(request.POST["back"]).urlencode()
    return HttpResponseRedirect(reverse("sessions") + (f"?{query}" if query else ""))


@require_POST
@of_session
def clone(request: SignedIn, session: Session) -> HttpResponse:
    """Copy the session and open the copy; ``name`` may be left out."""
    try:
        data = {"name": request.POST.get("name") or None}
        fresh = once(request, lambda: _made(request, "session.clone", session, data))
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return redirect("session_detail", fresh)
