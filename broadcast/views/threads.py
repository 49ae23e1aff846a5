"""Threads of a session: the list, and one of them as a timeline."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from broadcast import pages
from sessions_app.errors import NotFound
from sessions_app.http import SignedIn, of_session
from sessions_app.models import Session
from stories import threads


@require_safe
@of_session
def listed(request: SignedIn, session: Session) -> HttpResponse:
    page = {"session": session, "threads": threads.of_session(session)}
    return render(request, "stories/threads.html", page)


@require_safe
@of_session
def timeline(request: SignedIn, session: Session, thread_id: int) -> HttpResponse:
    """What was told about one thing, in the order it was told."""
    try:
        thread = threads.get(session, thread_id)
    except NotFound as error:
        raise Http404(error.sentence) from None
    page = {
        "session": session,
        "thread": threads.payload(thread),
        "stories": pages.told(threads.stories(thread)),
    }
    return render(request, "stories/thread.html", page)
