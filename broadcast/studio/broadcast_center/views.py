"""The Broadcast Center.

Talking with the producer at the desk: to say something, and to decide about a plan.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from broadcast import health as broadcast_health
from broadcast import orchestrator, queries
from broadcast.studio.broadcast_center.forms import BreakInForm
from sessions_app import commands, rate_limits
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from sessions_app.web.http import SignedIn, of_session, refused, signed_in

COMMANDS = ("start", "stop", "recover")


@require_safe
@signed_in
def home(request: SignedIn) -> HttpResponse:
    """No session chosen: the feed says so in words."""
    page = {"session": None, "sessions": _switcher(request)}
    return render(request, "studio/broadcast_center/center.html", page)


@require_POST
@signed_in
def without_session(request: SignedIn) -> HttpResponse:
    """Go Live was pressed without a session: say so, create nothing."""
    sentence = "Choose a session first: a broadcast always belongs to one."
    if not Session.objects.for_user(request.user).exists():
        sentence = "Create a session first: a broadcast always belongs to one."
    page = {"session": None, "sessions": _switcher(request), "refusal": sentence}
    return render(request, "studio/broadcast_center/center.html", page, status=409)


@require_safe
@of_session
def center(request: SignedIn, session: Session) -> HttpResponse:
    """The desk; with ``?before=`` (a story's id) or ``?bookmarked=1`` another part of the feed."""
    part = queries.FeedPart.of(request.GET)
    if request.htmx and part.asked:
        page = queries.feed_page(session, part) | {"session_id": session.pk}
        return render(request, "studio/broadcast_center/_older.html", page)
    page = queries.studio_page(session, part) | {
        "sessions": _switcher(request),
        "break_in": BreakInForm(),
    }
    return render(request, "studio/broadcast_center/center.html", page)


@require_safe
@of_session
def health(request: SignedIn, session: Session) -> HttpResponse:
    """The part of the page that says how host and producer are; it is fetched anew as they work."""
    page = {"session": {"id": session.pk}, "health": broadcast_health.read(session)}
    return render(request, "studio/broadcast_center/_health.html", page)


def _switcher(request: SignedIn) -> list[dict[str, object]]:
    return queries.switcher(Session.objects.for_user(request.user))


@require_POST
@of_session
def command(request: SignedIn, session: Session) -> HttpResponse:
    name = request.POST.get("command", "")
    if name not in COMMANDS:
        return HttpResponseBadRequest("command: one of start, stop, recover")
    try:
        if name != "stop":
            rate_limits.count("go-live requests", request.user.pk, settings.SMNB.limit_go_live)
        commands.run(f"broadcast.{name}", request.user, session, {})
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    if request.htmx:
        page = {"air": orchestrator.air(session), "session": session}
        return render(request, "studio/broadcast_center/_air.html", page)
    return redirect("broadcast", session.pk)


@require_POST
@of_session
def decide(request: SignedIn, session: Session, story_id: int) -> HttpResponse:
    name = request.POST.get("decision", "")
    if name not in {"approve", "veto"}:
        return HttpResponseBadRequest("decision: one of approve, veto")
    try:
        commands.run(f"story.{name}", request.user, session, {"story": story_id})
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    if request.htmx:
        return HttpResponse(status=204)
    return redirect("broadcast", session.pk)


@require_POST
@of_session
def say(request: SignedIn, session: Session) -> HttpResponse:
    """``example`` is the text of a button that says it for the person."""
    text = request.POST.get("example") or request.POST.get("text", "")
    # A form sends two characters for the end of a line, which the page counted as one.
    return _run(request, session, "chat.say", {"text": text.replace("\r\n", "\n")})


@require_POST
@of_session
def decide_plan(request: SignedIn, session: Session, message_id: int) -> HttpResponse:
    verb = request.POST.get("do", "")
    if verb not in {"apply", "dismiss"}:
        return HttpResponseBadRequest("do: one of apply, dismiss")
    return _run(request, session, f"chat.{verb}", {"message": message_id})


def _run(request: SignedIn, session: Session, name: str, data: dict[str, Any]) -> HttpResponse:
    """Run the command; the page shows its effect by the frame, or by being loaded anew."""
    try:
        commands.run(name, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "broadcast", session.pk)
    if request.htmx:
        return HttpResponse(status=204)
    return redirect(f"{reverse('broadcast', args=[session.pk])}#chat")
