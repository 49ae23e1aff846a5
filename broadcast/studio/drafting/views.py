"""Keyword Drafting: the drafts of a session, and the boards on which keywords wait for one.

The page of one draft of the writers' room: it is followed, advised, edited and put on air.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from broadcast import market, orchestrator
from broadcast import queries as broadcast_queries
from broadcast.studio.drafting import queries
from broadcast.studio.drafting.forms import AdviceForm, StartForm, VersionForm
from broadcast.studio.drafting.queries import LATEST, VersionPart
from sessions_app import commands
from sessions_app.errors import NotFound, SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_chosen, of_session, refused, status_of
from stories import corrections
from stories.drafting import boards
from stories.market import quotes

OFFERED = 12


@require_safe
@of_chosen
def drafting(request: SignedIn, session: Session | None) -> HttpResponse:
    """With ``?keywords=`` the form for a new draft begins with these."""
    return _area(request, session, StartForm(initial={"typed": request.GET.get("keywords", "")}))


def _area(
    request: SignedIn, session: Session | None, start: StartForm, status: int = 200
) -> HttpResponse:
    page: dict[str, Any] = {"session": session, "start": start}
    if session is not None:
        page |= queries.drafts_page(session) | _boards(session)
    page["sessions"] = broadcast_queries.switcher(Session.objects.for_user(request.user))
    return render(request, "studio/drafting/drafting.html", page, status=status)


@require_POST
@of_session
def start(request: SignedIn, session: Session) -> HttpResponse:
    form = StartForm(request.POST)
    if not form.is_valid():
        return _area(request, session, form, 422)
    try:
        draft = commands.run("draft.start", request.user, session, form.payload())
    except SmnbError as error:
        form.add_error(None, error.sentence)
        return _area(request, session, form, status_of(error))
    return redirect("draft", session.pk, draft.pk)


@require_POST
@of_session
def add(request: SignedIn, session: Session) -> HttpResponse:
    return _run(request, session, "board.add", "text", "board")


@require_POST
@of_session
def move(request: SignedIn, session: Session) -> HttpResponse:
    return _run(request, session, "board.move", "keyword", "board")


@require_POST
@of_session
def remove(request: SignedIn, session: Session) -> HttpResponse:
    return _run(request, session, "board.remove", "keyword")


def _run(request: SignedIn, session: Session, name: str, *fields: str) -> HttpResponse:
    """Run a command of the boards and show them as they stand then."""
    page = f"{reverse('drafting')}?{urlencode({'session': session.pk})}"
    data = {field: request.POST.get(field, "") for field in fields}
    try:
        keyword = commands.run(name, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, page)
    if request.htmx:
        found = _boards(session) | {"session": session, "changed": keyword, "command": name}
        return render(request, "studio/drafting/_boards.html", found)
    return redirect(page)


def _boards(session: Session) -> dict[str, Any]:
    """The boards, and rising keywords that stand on none of them."""
    kept = boards.texts(session)
    rising = quotes.rising(session, market.moment(orchestrator.latest(session)))
    fresh = [each for each in rising if each.trend.label.casefold() not in kept]
    return {
        "boards": boards.of_session(session),
        "choices": boards.Board.choices,
        "rising": [market.row(each) for each in fresh[:OFFERED]],
    }


VERBS = ("stop", "resume", "air")


@require_safe
@of_session
def draft(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    """With ``?version=`` another version than the latest, with ``&against=`` what it changed."""
    page = _read(session, draft_id, VersionPart.of(request.GET))
    return render(request, "studio/drafting/draft.html", page | {"advice": AdviceForm()})


def _read(session: Session, draft_id: int, part: VersionPart = LATEST) -> dict[str, Any]:
    try:
        return queries.draft_page(session, draft_id, part)
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
    return _run_on_draft(request, session, draft_id, f"draft.{verb}", data)


@require_POST
@of_session
def advise(request: SignedIn, session: Session, draft_id: int) -> HttpResponse:
    form = AdviceForm(request.POST)
    if not form.is_valid():
        page = _read(session, draft_id) | {"advice": form}
        return render(request, "studio/drafting/draft.html", page, status=422)
    data = {"draft": draft_id, "text": form.cleaned_data["text"]}
    return _run_on_draft(request, session, draft_id, "draft.advise", data)


def _run_on_draft(
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
    return render(request, "studio/drafting/draft_edit.html", page | {"form": form}, status=status)
