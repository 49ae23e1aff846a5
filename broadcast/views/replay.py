"""Finished broadcasts, played again: in the studio for the owner, on the watch page for anybody."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from broadcast import pages
from broadcast.replay import recordings, stage
from broadcast.replay.recordings import Recording
from broadcast.views.watch import public
from sessions_app import events
from sessions_app.errors import NotFound
from sessions_app.http import SignedIn, of_session
from sessions_app.models import Session


@require_safe
@of_session
def replay(request: SignedIn, session: Session, run_number: int) -> HttpResponse:
    """A run on the desk; ``?at=`` begins that many milliseconds after its beginning."""
    recording = _find(session, run_number, events.OWNER)
    page = _page(request, recording, events.OWNER) | stage.studio(recording)
    page["ws_path"] = f"/ws/sessions/{session.pk}/replay/{run_number}/"
    return render(request, "replay/studio.html", page)


@public
def watch_replay(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """A run as the audience saw it; ``?thread=`` leads to that thread on the watch page."""
    if thread := pages.key_of(request.GET.get("thread", "")):
        return redirect(f"{reverse('watch', args=[session.watch_token])}?thread={thread}")
    recording = _find(session, run_number, events.PUBLIC)
    page = _page(request, recording, events.PUBLIC) | stage.watch(recording)
    page["token"] = session.watch_token
    page["ws_path"] = f"/ws/watch/{session.watch_token}/replay/{run_number}/"
    return render(request, "replay/watch.html", page)


def _find(session: Session, number: int, audience: str) -> Recording:
    try:
        return recordings.find(session, number, audience)
    except NotFound as error:
        raise Http404(error.sentence) from None


def _page(request: HttpRequest, recording: Recording, audience: str) -> dict[str, Any]:
    after = pages.key_of(request.GET.get("after", ""))
    at = pages.key_of(request.GET.get("at", "")) or 0
    return stage.page(recording, audience, after) | {"at": min(at, recording.milliseconds)}
