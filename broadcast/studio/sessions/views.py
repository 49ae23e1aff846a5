"""The Session Manager: the list of sessions, and the page of one session with its forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC
from typing import TypeAlias, TypeVar
from urllib.parse import urlencode

from django.forms import BaseForm
from django.http import Http404, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from broadcast import queries as broadcast_queries
from broadcast import session_commands
from broadcast.schedule import calendar
from broadcast.schedule.calendar import SlotForm
from broadcast.speech import engines
from broadcast.studio.sessions import queries
from broadcast.studio.sessions.forms import (
    BudgetForm,
    EmbeddingForm,
    ExpiryForm,
    ExportForm,
    FeedsForm,
    ImportForm,
    NewSessionForm,
    SettingsForm,
    SourceForm,
)
from broadcast.studio.sessions.start_views import spoken
from sessions_app import commands
from sessions_app.commands import Command
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.money import to_usd
from sessions_app.web.http import (
    SignedIn,
    of_session,
    once,
    post_only,
    refused,
    show_refusal,
    signed_in,
)
from stories.models import Source
from stories.sources import groups
from stories.sources.preview import Probe

R = TypeVar("R")
SavingForm: TypeAlias = SettingsForm | EmbeddingForm | BudgetForm | ExpiryForm


@dataclass(frozen=True, slots=True)
class Save:
    """A form of the page that saves: how it is made, its address, its section and its button."""

    form: Callable[[Session, QueryDict | None], SavingForm]
    url_name: str
    section: str
    label: str


def _expiry_form(session: Session, data: QueryDict | None) -> SavingForm:
    day = session.expires_at.astimezone(UTC).date() if session.expires_at else None
    return ExpiryForm(data, initial={"expires_on": day})


def _budget_form(session: Session, data: QueryDict | None) -> SavingForm:
    usd = None if session.budget is None else to_usd(session.budget)
    return BudgetForm(data, initial={"budget_usd": usd})


SAVES = {
    "settings": Save(
        # A form changes its instance, so it gets a copy; the page shows what is stored.
        lambda session, data: SettingsForm(data, instance=copy(session)),
        "session_settings",
        "settings",
        "Save settings",
    ),
    "embedding": Save(
        lambda session, data: EmbeddingForm(data, initial={"embedding": session.embedding}),
        "session_embedding",
        "embed",
        "Save embedding",
    ),
    "budget": Save(_budget_form, "session_budget", "budget", "Save budget"),
    "expiry": Save(_expiry_form, "session_expiry", "filing", "Save expiry"),
}
# The tab of each section to which a form leads back.
TABS = {
    "settings": "tab-voice",
    "embed": "tab-share",
    "budget": "tab-advanced",
    "filing": "tab-advanced",
    "exports": "tab-advanced",
    "sources-panel": "tab-sources",
    "schedule": "tab-schedule",
}


@require_safe
@of_session
def detail(request: SignedIn, session: Session) -> HttpResponse:
    """The page of a session.

    ``?slot=<id>`` opens the schedule form with this slot, ``?added=<ids>`` tests these sources,
    ``?feeds=`` and ``?known=`` are what an import added and found, and ``?saved=`` names the form
    that has just saved.
    """
    return show(
        request,
        session,
        slot_id=request.GET.get("slot", ""),
        added=request.GET.get("added", ""),
        saved=request.GET.get("saved", ""),
    )


def show(
    request: SignedIn,
    session: Session,
    section: str = "",
    *,
    status: int = 200,
    slot_id: str = "",
    added: str = "",
    saved: str = "",
    probes: Sequence[Probe] = (),
    replaced: Mapping[str, BaseForm] | None = None,
) -> HttpResponse:
    """Renders the page of a session, open at the tab of a section.

    ``replaced`` are forms with errors, in place of those that show stored values or nothing.
    """
    forms = replaced or {}
    # One page holds all forms, so a form with errors is shown among the others.
    page = broadcast_queries.manager_page(session)
    slots = page["slots"]
    editing = next((slot for slot in slots if str(slot["id"]) == slot_id), None)
    # A source that was read since needs no test.
    new = [source["id"] for source in page["sources"] if source["health"] == Source.Health.NEW]
    # A new slot is likely to be in the time zone of the last one.
    new_slot: dict[str, object] = {"zone": slots[-1]["zone"]} if slots else {}
    context = {
        **page,
        "session_air": page["air"],
        "saves": {
            name: _save_context(session, name, forms.get(name), saved=name == saved)
            for name in SAVES
        },
        "source_form": SourceForm(),
        "feeds_form": FeedsForm(),
        "slot_form": SlotForm(initial={**editing} if editing else new_slot),
        "export_form": ExportForm(),
        **forms,
        "groups": groups.every(),
        "zones": calendar.zones(),
        "probes": probes,
        "added": [source_id for source_id in new if str(source_id) in added.split(",")],
        "saved": saved,
        "editing": editing,
        "imported": {name: request.GET.get(name, "")[:4] for name in ("feeds", "known")},
        "open_tab": TABS.get(section, "tab-overview"),
        **queries.share(page["session"]),
    }
    return render(request, "studio/sessions/detail.html", context, status=status)


def _save_context(
    session: Session, name: str, form: BaseForm | None = None, *, saved: bool, swapped: bool = False
) -> Mapping[str, object]:
    save = SAVES[name]
    return {
        "name": name,
        "form": form or save.form(session, None),
        "action": reverse(save.url_name, args=[session.pk]),
        "label": save.label,
        "saved": saved,
        "swapped": swapped,
    }


def _save(request: SignedIn, session: Session, name: str) -> HttpResponse:
    """Saves a form and answers at its button; errors are shown at their fields."""
    save = SAVES[name]
    form = save.form(session, request.POST)
    if form.is_valid():
        try:
            data = form.payload()
            session = commands.run(session_commands.CHANGE, request.user, session, data)
        except SmnbError as error:
            show_refusal(form, error)
    saved = not form.errors
    if request.htmx:
        # 200 with errors too: the page puts a 422 into its line for refusals (see shell.html).
        shown = None if saved else form
        context = {"save": _save_context(session, name, shown, saved=saved, swapped=True)}
        return render(request, "studio/sessions/_save.html", context)
    if not saved:
        forms: dict[str, BaseForm] = {name: form}
        return show(request, session, save.section, status=422, replaced=forms)
    return back_to(session, save.section, saved=name)


def back_to(session: Session, section: str = "", **query: object) -> HttpResponse:
    """Redirects to the page of a session, to a section of it; ``query`` is as of ``detail``."""
    anchor = f"#{section}" if section else ""
    address = reverse("session_detail", args=[session.pk])
    known = urlencode({name: value for name, value in query.items() if value != ""})
    return HttpResponseRedirect(f"{address}{'?' if known else ''}{known}{anchor}")


def run(
    request: SignedIn,
    session: Session,
    command: Command[R],
    data: Mapping[str, object],
    section: str = "",
    **query: object,
) -> HttpResponse:
    """Runs a command and redirects to a section of the session's page, or shows the refusal."""
    try:
        commands.run(command, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return back_to(session, section, **query)


@require_safe
@signed_in
def sessions(request: SignedIn) -> HttpResponse:
    """The list of sessions; for htmx, which filters while the user types, only its rows."""
    if not request.htmx:
        return listed(request)
    response = render(request, "studio/sessions/_rows.html", _rows(request))
    # Without this header the browser's "back" could show the rows as a whole page.
    patch_vary_headers(response, ["HX-Request"])
    return response


def _rows(request: SignedIn) -> dict[str, object]:
    form = queries.FilterForm(request.GET, auto_id="filter_%s")
    before = request.GET.get("before", "")
    page = queries.page(request.user, form.filter(before))
    query = request.GET.copy()
    # The next page has a key of its own.
    query.pop("before", None)
    return {**page, "filter": form, "query": query.urlencode(), "before": before}


def listed(request: SignedIn, status: int = 200, **forms: BaseForm) -> HttpResponse:
    """Renders the list of sessions; ``forms`` replace the empty forms of the page."""
    context = {
        **_rows(request),
        "form": NewSessionForm(),
        "import_form": ImportForm(),
        **forms,
    }
    response = render(request, "studio/sessions/list.html", context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
@signed_in
def switcher(request: SignedIn) -> HttpResponse:
    """The list of sessions to switch to, with links to the same area (``?area=``) of each."""
    rows = queries.switcher(request.user, request.GET.get("area", ""))
    return render(request, "studio/sessions/_switcher_list.html", {"rows": rows})


@post_only
@signed_in
def create(request: SignedIn) -> HttpResponse:
    form = NewSessionForm(request.POST)
    if not form.is_valid():
        return listed(request, 422, form=form)

    def effect() -> str:
        session = commands.run(session_commands.CREATE, request.user, None, form.payload())
        return str(session.pk)

    try:
        # Pressing the button twice creates one session.
        session_id = once(request, effect)
    except SmnbError as error:
        show_refusal(form, error)
        return listed(request, 422, form=form)
    return redirect("session_detail", session_id)


@post_only
@of_session
def rename(request: SignedIn, session: Session) -> HttpResponse:
    data = {"name": request.POST.get("name", "")}
    try:
        session = commands.run(session_commands.CHANGE, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    if request.htmx:
        return render(request, "studio/sessions/_name.html", {"session": session})
    return back_to(session)


@post_only
@of_session
def settings(request: SignedIn, session: Session) -> HttpResponse:
    return _save(request, session, "settings")


@post_only
@of_session
def embedding(request: SignedIn, session: Session) -> HttpResponse:
    return _save(request, session, "embedding")


@require_safe
@of_session
def voice_sample(request: SignedIn, session: Session) -> HttpResponse:
    """A spoken sentence in the voices of the form, to hear them before they are saved."""
    if not engines.available():
        raise Http404("No speech engine is installed.")
    pace = request.GET.get("pace", "")
    # Only this object changes; it is not saved.
    session.pace = int(pace) if pace.isdecimal() and len(pace) < 5 else session.pace
    session.voice = request.GET.get("voice", session.voice)[:60]
    session.co_voice = request.GET.get("co_voice", session.co_voice)[:60]
    session.language = request.GET.get("language", session.language)[:35]
    return spoken(request, session)


@post_only
@of_session
def budget(request: SignedIn, session: Session) -> HttpResponse:
    return _save(request, session, "budget")


@post_only
@of_session
def expiry(request: SignedIn, session: Session) -> HttpResponse:
    return _save(request, session, "expiry")


@post_only
@of_session
def visibility(request: SignedIn, session: Session) -> HttpResponse:
    data = {"visible": request.POST.get("visible") == "true"}
    return run(request, session, session_commands.CHANGE, data, "public", saved="visibility")


@post_only
@of_session
def archive(request: SignedIn, session: Session) -> HttpResponse:
    """Archives or restores a session; ``back`` is the query of the list the form was on."""
    restoring = request.POST.get("action") == "restore"
    command = session_commands.RESTORE if restoring else session_commands.ARCHIVE
    # Without it the form was on the page of the session.
    if "back" not in request.POST:
        return run(request, session, command, {}, "filing")
    try:
        commands.run(command, request.user, session, {})
    except SmnbError as error:
        return refused(request, error, "sessions")
    # Parsed and written again, so that the text cannot add another address to the redirect.
    query = QueryDict(request.POST["back"]).urlencode()
    return HttpResponseRedirect(reverse("sessions") + (f"?{query}" if query else ""))


@post_only
@of_session
def clone(request: SignedIn, session: Session) -> HttpResponse:
    """Copies the session and opens the copy; ``name`` is optional."""
    data = {"name": request.POST.get("name") or None}

    def effect() -> str:
        return str(commands.run(session_commands.CLONE, request.user, session, data).pk)

    try:
        copy_id = once(request, effect)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return redirect("session_detail", copy_id)
