"""Talking with the producer at the desk: to say something, and to decide about a plan."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.http import SignedIn, of_session, refused
from sessions_app.models import Session


@require_POST
@of_session
def say(request: SignedIn, session: Session) -> HttpResponse:
    """``example`` is the text of a button that says it for the person."""
    text = request.POST.get("example") or request.POST.get("text", "")
    # A form sends two characters for the end of a line, which the page counted as one.
    return _run(request, session, "chat.say", {"text": text.replace("\r\n", "\n")})


@require_POST
@of_session
def decide(request: SignedIn, session: Session, message_id: int) -> HttpResponse:
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
