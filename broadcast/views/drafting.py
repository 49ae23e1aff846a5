"""Keyword Drafting: the drafts of a session, and the boards on which keywords wait for one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from broadcast import drafting_pages, market, orchestrator, pages
from broadcast.drafting_forms import StartForm
from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.http import SignedIn, of_chosen, of_session, refused, status_of
from sessions_app.models import Session
from stories import boards
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
        page |= drafting_pages.drafts_page(session) | _boards(session)
    page["sessions"] = pages.switcher(Session.objects.for_user(request.user))
    return render(request, "stories/drafting.html", page, status=status)


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
        return render(request, "stories/_boards.html", found)
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
