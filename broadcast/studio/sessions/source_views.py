"""Sources, schedule and interests of a session: the forms on its page and their commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from django.http import HttpResponse
from django.shortcuts import render

from broadcast import rundown, session_commands
from broadcast.schedule import slots
from broadcast.schedule.calendar import SlotForm
from broadcast.studio.sessions import views
from broadcast.studio.sessions.forms import SourceForm
from sessions_app import commands
from sessions_app.commands import Command
from sessions_app.errors import Invalid, SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, post_only, refused
from stories.sources import preview
from stories.sources.preview import Probe, count_test, probe, probe_source

SOURCES, SCHEDULE, INTERESTS = "sources-panel", "schedule", "interests-panel"

R = TypeVar("R")


@post_only
@of_session
def add_source(request: SignedIn, session: Session) -> HttpResponse:
    form = SourceForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422, source_form=form)
    data = form.cleaned_data
    if found := preview.choice(data["kind"], data["locator"], request.user):
        return views.show(request, session, status=422, probe=found, source_form=form)
    try:
        source = commands.run(session_commands.ADD_SOURCE, request.user, session, data)
    except SmnbError as error:
        # A refusal is about the address nearly always, so it is shown at that field.
        form.add_error("locator", error.sentence)
        return views.show(request, session, status=422, source_form=form)
    return views.back_to(session, SOURCES, added=source.pk)


@post_only
@of_session
def add_source_group(request: SignedIn, session: Session) -> HttpResponse:
    data = {"group": request.POST.get("group", "")}
    return views.run(request, session, session_commands.ADD_GROUP, data, SOURCES)


@post_only
@of_session
def remove_source(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    data = {"source": source_id}
    return views.run(request, session, session_commands.REMOVE_SOURCE, data, SOURCES)


@post_only
@of_session
def test_source(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    """Reads a source of the session once and shows the result."""
    try:
        count_test(request.user)
        result = probe_source(session, source_id, request.user)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return _show_probe(request, session, result, SourceForm())


@post_only
@of_session
def test_new_source(request: SignedIn, session: Session) -> HttpResponse:
    """Reads a source that was only typed into the form."""
    form = SourceForm(request.POST)
    if not form.is_valid():
        error = Invalid("Choose a kind of source and enter its address.")
        return refused(request, error, "session_detail", session.pk)
    data = form.cleaned_data
    try:
        count_test(request.user)
        result = probe(data["kind"], data["locator"], data["sort"], request.user)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return _show_probe(request, session, result, form)


def _show_probe(
    request: SignedIn, session: Session, result: Probe, form: SourceForm
) -> HttpResponse:
    # A test stores nothing, so the page without scripts is rendered, not redirected to.
    if request.htmx:
        context = {"probe": result, "session_id": session.pk}
        return render(request, "studio/sessions/_source_preview.html", context)
    return views.show(request, session, probe=result, source_form=form)


@post_only
@of_session
def add_slot(request: SignedIn, session: Session) -> HttpResponse:
    form = SlotForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422, slot_form=form)
    return views.run(request, session, slots.ADD, form.cleaned_data, SCHEDULE)


@post_only
@of_session
def change_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    form = SlotForm(request.POST)
    if not form.is_valid():
        return views.show(request, session, status=422, slot_id=str(slot_id), slot_form=form)
    data = {"slot": slot_id, **form.cleaned_data}
    return views.run(request, session, slots.CHANGE, data, SCHEDULE)


@post_only
@of_session
def switch_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    """Enables or disables a slot."""
    # The days and times stay as they are: a missing field of the command keeps its value.
    data = {"slot": slot_id, "enabled": request.POST.get("enabled") == "true"}
    return views.run(request, session, slots.CHANGE, data, SCHEDULE)


@post_only
@of_session
def remove_slot(request: SignedIn, session: Session, slot_id: int) -> HttpResponse:
    return views.run(request, session, slots.REMOVE, {"slot": slot_id}, SCHEDULE)


@post_only
@of_session
def add_interest(request: SignedIn, session: Session) -> HttpResponse:
    data = {name: request.POST.get(name, "") for name in ("text", "weight")}
    return _run_on_interests(request, session, rundown.SET_INTEREST, data)


@post_only
@of_session
def remove_interest(request: SignedIn, session: Session, interest_id: int) -> HttpResponse:
    data = {"interest": interest_id}
    return _run_on_interests(request, session, rundown.DROP_INTEREST, data)


def _run_on_interests(
    request: SignedIn, session: Session, command: Command[R], data: Mapping[str, object]
) -> HttpResponse:
    """Runs a command; for htmx the frame of its event updates the page."""
    if not request.htmx:
        return views.run(request, session, command, data, INTERESTS)
    try:
        commands.run(command, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return HttpResponse(status=204)
