"""The page of one draft of the writers' room: it is followed, advised, edited and put on air."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from broadcast import drafting_pages
from broadcast.drafting_forms import AdviceForm, VersionForm
from broadcast.drafting_pages import LATEST, VersionPart
from sessions_app import commands
from sessions_app.errors import NotFound, SmnbError
from sessions_app.http import SignedIn, of_session, refused, status_of
from sessions_app.models import Session
from stories import corrections

VERBS = ("stop", "resume", "air")


@require_safe
@of_session
def draft(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    """With ``?version=`` another version than the latest, with ``&against=`` what it changed."""
    page = _read(session, draft_id, VersionPart.of(request.GET))
    return render(request, "stories/draft.html", page | {"advice": AdviceForm()})


def _read(session: Session, draft_id: int, part: VersionPart = LATEST) -> dict[str, Any]:
    try:
        return drafting_pages.draft_page(session, draft_id, part)
    except NotFound as error:
        raise Http404(error.sentence) from None


@require_POST
@of_session
def command(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    """``do`` is stop, resume or air, or "restore NUMBER"."""
    data: dict[str, Any] = {"draft": draft_id}
    match request.POST.get("do", "").split():
        case [verb] if verb in VERBS:
            pass
        case ["restore" as verb, number] if number.isdecimal():
            data["version"] = int(number)
        case _:
            return HttpResponseBadRequest("do: stop, resume, air, or restore and a number")
    return _run(request, session, draft_id, f"draft.{verb}", data)


@require_POST
@of_session
def advise(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    form = AdviceForm(request.POST)
    if not form.is_valid():
        page = _read(session, draft_id) | {"advice": form}
        return render(request, "stories/draft.html", page, status=422)
    data = {"draft": draft_id, "text": form.cleaned_data["text"]}
    return _run(request, session, draft_id, "draft.advise", data)


def _run(
    request: SignedIn, session: Session, draft_id: int, name: str, data: dict[str, Any]
) -> HttpResponse:
    """Run a command on the draft; for htmx its frames show what came of it."""
    try:
        commands.run(name, request.user, session, data)
    except NotFound as error:
        raise Http404(error.sentence) from None
    except SmnbError as error:
        return refused(request, error, "draft", session.pk, draft_id)
    return HttpResponse(status=204) if request.htmx else redirect("draft", session.pk, draft_id)


@require_http_methods(["GET", "HEAD", "POST"])
@of_session
def edit(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    """Write a version by hand, from the latest one."""
    if request.method == "POST":
        return _save(request, session, draft_id)
    page = _read(session, draft_id)
    latest = page["version"] or {"number": 0, "title": "", "text": ""}
    initial = {"version": latest["number"], "title": latest["title"], "text": latest["text"]}
    return _editor(request, page, VersionForm(initial=initial))


def _save(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    form = VersionForm(request.POST)
    if not form.is_valid():
        return _editor(request, _read(session, draft_id), form, 422)
    try:
        data = {"draft": draft_id, **form.cleaned_data}
        commands.run("draft.save", request.user, session, data)
    except SmnbError as error:
        # What it says by now stands beside what was typed: saving once more is an answer to it.
        page = _read(session, draft_id)
        typed = VersionForm({**request.POST.dict(), "version": page["draft"]["version"]})
        typed.add_error(None, error.sentence)
        return _editor(request, page | _difference(page, form), typed, status_of(error))
    return redirect("draft", session.pk, draft_id)


def _difference(page: dict[str, Any], typed: VersionForm) -> dict[str, Any]:
    """What saving would change of the latest version."""
    latest = page["version"]["text"] if page["version"] else ""
    return {"diff": list(corrections.compare(latest, typed.cleaned_data["text"]))}


def _editor(
    request: SignedIn, page: dict[str, Any], form: VersionForm, status: int = 200
) -> HttpResponse:
    return render(request, "stories/draft_edit.html", page | {"form": form}, status=status)
