"""The sources of a session: added alone or as a group, tested in place, removed.

The schedule of a session: its slots.

What a session wants more or less of: set and taken back, on its page and at the desk.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from broadcast.studio.sessions import views
from broadcast.studio.sessions.forms import SlotForm, SourceForm
from sessions_app import commands, rate_limits
from sessions_app.errors import Invalid, SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, refused
from stories.sources.preview import Probe, probe, probe_source

TESTS_A_MINUTE = 10

_WRONG = "Choose a kind of source and give its address."


@require_POST
@of_session
def add_source(request: SignedIn, session: Session) -> HttpResponse:
    form = SourceForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422, source_form=form)
    try:
        commands.run("source.add", request.user, session, form.cleaned_data)
    except SmnbError as error:
        form.add_error("locator", error.sentence)
        return views.show(request, session, status=422, source_form=form)
    return views.back_to(session, "sources-panel")


@require_POST
@of_session
def add_source_group(request: SignedIn, session: Session) -> HttpResponse:
    data = {"group": request.POST.get("group", "")}
    return views.run(request, session, "source.add_group", data, "sources-panel")


@require_POST
@of_session
def remove_source(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    data = {"source": source_id}
    return views.run(request, session, "source.remove", data, "sources-panel")


@require_POST
@of_session
def test_source(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    """Read a source of the session once and say what it brought."""
    try:
        _count(request)
        found = probe_source(session, source_id, request.user)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return _told(request, session, found, SourceForm())


@require_POST
@of_session
def test_new_source(request: SignedIn, session: Session) -> HttpResponse:
    """Read a source that is only typed into the form."""
    form = SourceForm(request.POST)
    if not form.is_valid():
        return refused(request, Invalid(_WRONG), "session_detail", session.pk)
    said = form.cleaned_data
    try:
        _count(request)
        found = probe(said["kind"], said["locator"], said["sort"], request.user)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return _told(request, session, found, form)


def _count(request: SignedIn) -> None:
    rate_limits.count("source tests", request.user.pk, TESTS_A_MINUTE)


def _told(request: SignedIn, session: Session, found: Probe, form: SourceForm) -> HttpResponse:
    if request.htmx:
        return render(request, "studio/sessions/_source_preview.html", {"probe": found})
    return views.show(request, session, probe=found, source_form=form)


SECTION = "schedule"


@require_POST
@of_session
def add_slot(request: SignedIn, session: Session) -> HttpResponse:
    form = SlotForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422, slot_form=form)
    return views.run(request, session, "slot.add", form.cleaned_data, SECTION)


@require_POST
@of_session
def change_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    form = SlotForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422, chosen=str(slot_id), slot_form=form)
    data = {"slot": slot_id, **form.cleaned_data}
    return views.run(request, session, "slot.change", data, SECTION)


@require_POST
@of_session
def switch_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    data = {"slot": slot_id, "enabled": request.POST.get("enabled") == "true"}
    return views.run(request, session, "slot.change", data, SECTION)


@require_POST
@of_session
def remove_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    return views.run(request, session, "slot.remove", {"slot": slot_id}, SECTION)


@require_POST
@of_session
def add_interest(request: SignedIn, session: Session) -> HttpResponse:
    data = {name: request.POST.get(name, "") for name in ("text", "weight")}
    return _run(request, session, "interest.set", data)


@require_POST
@of_session
def remove_interest(request: SignedIn, session: Session, interest_id: int) -> HttpResponse:
    return _run(request, session, "interest.drop", {"interest": interest_id})


def _run(request: SignedIn, session: Session, name: str, data: dict[str, Any]) -> HttpResponse:
    """Run the command; the page shows its effect by the frame, or by being loaded anew."""
    if not request.htmx:
        return views.run(request, session, name, data, "interests-panel")
    try:
        commands.run(name, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return HttpResponse(status=204)
