"""The replay of a finished run in the studio."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from broadcast import orchestrator, queries, session_commands
from broadcast.replay import queries as replay_queries
from broadcast.replay import runs
from broadcast.replay.runs import Recording
from sessions_app.events import recorder
from sessions_app.models import Message, Session, SessionStats
from sessions_app.web.http import SignedIn, of_session
from stories import stories
from stories.sources import service


@require_safe
@of_session
def newest(request: SignedIn, session: Session) -> HttpResponse:
    """Redirects to the replay of the newest finished run, or says that there is none."""
    if finished := runs.listed(session, recorder.OWNER, 1):
        return redirect("replay", session.pk, finished[0]["number"])
    page = {"session": session, "session_air": orchestrator.latest_payload(session)}
    return render(request, "studio/replay/none.html", page)


@require_safe
@of_session
def replay(request: SignedIn, session: Session, run_number: int) -> HttpResponse:
    """The page of a replay; ``?at=`` starts that many milliseconds after the beginning."""
    # Also an owner can only replay runs that have ended.
    recording = runs.find(session, run_number, recorder.OWNER)
    page = {
        **replay_queries.page(recording, recorder.OWNER, request.GET),
        **before_the_run(recording),
        "ws_path": f"/ws/sessions/{session.pk}/replay/{run_number}/",
    }
    return render(request, "studio/replay/page.html", page)


def before_the_run(recording: Recording) -> dict[str, object]:
    """Returns the broadcast center as it was before the run: its stories, messages and sources."""
    session, began = recording.session, recording.began
    written = stories.of_session(session).filter(created_at__lt=began)
    messages = Message.objects.filter(session=session, created_at__lt=began)
    return {
        "session": session_commands.session_payload(session),
        "figures": recorder.figures(SessionStats(session=session)),
        "feed": queries.with_airings(written.order_by("-created_at", "-pk")[: queries.FEED_MOST]),
        "messages": [
            recorder.message_payload(message)
            for message in messages.select_related("reply_to")[: queries.MESSAGES_MOST]
        ],
        "sources": [
            service.payload(source)
            for source in service.shown(session)
            if source.created_at < recording.ended
        ],
    }
