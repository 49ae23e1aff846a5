"""The Session Manager."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from broadcast import pages
from broadcast.forms import NewSessionForm, SettingsForm, SourceForm
from sessions_app import commands, lifecycle
from sessions_app.errors import SmnbError
from sessions_app.http import SignedIn, of_session, refused, signed_in
from sessions_app.models import Session


@require_safe
@signed_in
def sessions(request: SignedIn) -> HttpResponse:
    return _list(request, NewSessionForm())


def _list(request: SignedIn, form: NewSessionForm, status: int = 200) -> HttpResponse:
    rows = pages.session_rows(Session.objects.for_user(request.user))
    page = {"sessions": rows, "form": form}
    return render(request, "sessions_app/list.html", page, status=status)


@require_POST
@signed_in
def create(request: SignedIn) -> HttpResponse:
    form = NewSessionForm(request.POST)
    if not form.is_valid():
        return _list(request, form, status=422)
    try:
        session = commands.run("session.create", request.user, None, form.payload())
    except SmnbError as error:
        form.add_error(None, error.sentence)
        return _list(request, form, status=422)
    return redirect("session_detail", session.pk)


@require_safe
@of_session
def detail(request: SignedIn, session: Session) -> HttpResponse:
    return _detail(request, session, SettingsForm(instance=session), SourceForm())


def _detail(
    request: SignedIn,
    session: Session,
    settings_form: SettingsForm,
    source_form: SourceForm,
    status: int = 200,
) -> HttpResponse:
    page = pages.session_page(session) | {
        "settings_form": settings_form,
        "source_form": source_form,
    }
    return render(request, "sessions_app/detail.html", page, status=status)


@require_POST
@of_session
def rename(request: SignedIn, session: Session) -> HttpResponse:
    try:
        data = {"name": request.POST.get("name", "")}
        session = commands.run("session.change", request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    if request.htmx:
        return render(request, "sessions_app/_name.html", {"session": session})
    return redirect("session_detail", session.pk)


@require_POST
@of_session
def settings(request: SignedIn, session: Session) -> HttpResponse:
    fresh = lifecycle.get(request.user, session.pk)
    form = SettingsForm(request.POST, instance=fresh)
    if not form.is_valid():
        return _detail(request, session, form, SourceForm(), status=422)
    return _run(request, session, "session.change", form.payload())


@require_POST
@of_session
def visibility(request: SignedIn, session: Session) -> HttpResponse:
    data = {"visible": request.POST.get("visible") == "true"}
    return _run(request, session, "session.change", data)


@require_POST
@of_session
def archive(request: SignedIn, session: Session) -> HttpResponse:
    restoring = request.POST.get("action") == "restore"
    return _run(request, session, "session.restore" if restoring else "session.archive", {})


@require_POST
@of_session
def add_source(request: SignedIn, session: Session) -> HttpResponse:
    form = SourceForm(request.POST)
    if not form.is_valid():
        return _detail(request, session, SettingsForm(instance=session), form, status=422)
    try:
        commands.run("source.add", request.user, session, form.cleaned_data)
    except SmnbError as error:
        form.add_error("locator", error.sentence)
        return _detail(request, session, SettingsForm(instance=session), form, status=422)
    return redirect("session_detail", session.pk)


@require_POST
@of_session
def remove_source(request: SignedIn, session: Session, source_id: int) -> HttpResponse:
    return _run(request, session, "source.remove", {"source": source_id})


def _run(request: SignedIn, session: Session, name: str, data: dict[str, Any]) -> HttpResponse:
    try:
        commands.run(name, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return redirect("session_detail", session.pk)
