"""The sources of a session: added alone or as a group, tested in place, removed."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from broadcast.forms import SourceForm
from broadcast.views import detail
from sessions_app import commands, limits
from sessions_app.errors import Invalid, SmnbError
from sessions_app.http import SignedIn, of_session, refused
from sessions_app.models import Session
from stories.probe import Probe, probe, probe_source

TESTS_A_MINUTE = 10
_WRONG = "Choose a kind of source and give its address."


@require_POST
@of_session
def add(request: SignedIn, session: Session) -> HttpResponse:
    form = SourceForm(request.POST)
    if not form.is_valid():
        return detail.show(request, session, status=422, source_form=form)
    try:
        commands.run("source.add", request.user, session, form.cleaned_data)
    except SmnbError as error:
        form.add_error("locator", error.sentence)
        return detail.show(request, session, status=422, source_form=form)
    return detail.back_to(session, "sources-panel")


@require_POST
@of_session
def add_group(request: SignedIn, session: Session) -> HttpResponse:
    data = {"group": request.POST.get("group", "")}
    return detail.run(request, session, "source.add_group", data, "sources-panel")


@require_POST
@of_session
def remove(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    data = {"source": source_id}
    return detail.run(request, session, "source.remove", data, "sources-panel")


@require_POST
@of_session
def test(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    """Read a source of the session once and say what it brought."""
    try:
        _count(request)
        found = probe_source(session, source_id, request.user)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return _told(request, session, found, SourceForm())


@require_POST
@of_session
def test_new(request: SignedIn, session: Session) -> HttpResponse:
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
    limits.count("source tests", request.user.pk, TESTS_A_MINUTE)


def _told(request: SignedIn, session: Session, found: Probe, form: SourceForm) -> HttpResponse:
    if request.htmx:
        return render(request, "stories/_probe.html", {"probe": found})
    return detail.show(request, session, probe=found, source_form=form)
