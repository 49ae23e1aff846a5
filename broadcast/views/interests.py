"""What a session wants more or less of: set and taken back, on its page and at the desk."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_POST

from broadcast.views import detail
from sessions_app import commands
from sessions_app.errors import SmnbError
from sessions_app.http import SignedIn, of_session, refused
from sessions_app.models import Session


@require_POST
@of_session
def want(request: SignedIn, session: Session) -> HttpResponse:
    data = {name: request.POST.get(name, "") for name in ("text", "weight")}
    return _run(request, session, "interest.set", data)


@require_POST
@of_session
def drop(request: SignedIn, session: Session, interest_id: int) -> HttpResponse:
    return _run(request, session, "interest.drop", {"interest": interest_id})


def _run(request: SignedIn, session: Session, name: str, data: dict[str, Any]) -> HttpResponse:
    """Run the command; the page shows its effect by the frame, or by being loaded anew."""
    if not request.htmx:
        return detail.run(request, session, name, data, "interests-panel")
    try:
        commands.run(name, request.user, session, data)
    except SmnbError as error:
        return refused(request, error, "session_detail", session.pk)
    return HttpResponse(status=204)
