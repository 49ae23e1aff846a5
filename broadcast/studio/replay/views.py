"""Finished broadcasts, played again: in the studio for the owner, on the watch page for anybody.

What a page of a replay shows: the run and its stories, and how the page was before the run.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from broadcast import orchestrator, public_links, queries, session_commands
from broadcast.models import Airing
from broadcast.public.views import public
from broadcast.replay import runs
from broadcast.replay.pacing import SILENCE, SPEEDS
from broadcast.replay.runs import Recording
from broadcast.speech import sounds
from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.models import Message, Session, SessionStats
from sessions_app.web.http import SignedIn, of_session
from stories import stories as stories_module
from stories.sources import service

STORIES_MOST = 100


def page(recording: Recording, audience: str, after: int | None = None) -> dict[str, Any]:
    """The run, how it can be played, and its stories in the order of airing, one page by key."""
    run = recording.run
    aired = _aired(recording, audience).filter(pk__gt=after or 0)
    found = list(aired[: STORIES_MOST + 1])
    return {
        "run": runs.row(run),
        "began": recorder.timestamp(recording.began),
        "length": recording.milliseconds,
        "speeds": SPEEDS,
        "silence": int(SILENCE.total_seconds()),
        "stories": [_row(recording, one) for one in found[:STORIES_MOST]],
        "later": found[STORIES_MOST - 1].pk if len(found) > STORIES_MOST else None,
        "air": orchestrator.payload(None),
    }


def _aired(recording: Recording, audience: str) -> QuerySet[Airing]:
    rows = Airing.objects.filter(run=recording.run).select_related("story").order_by("pk")
    return rows if audience == recorder.OWNER else rows.filter(story__state__in=sounds.TOLD)


def _row(recording: Recording, one: Airing) -> dict[str, Any]:
    corrected = one.story.corrected_at
    return {
        "id": one.story_id,
        "title": one.story.title,
        "state": one.story.state,
        "at": recording.offset(one.aired_at),
        "seconds": recording.offset(one.aired_at) // 1000,
        "corrected": corrected is not None and corrected > recording.ended,
    }


def studio(recording: Recording) -> dict[str, Any]:
    """The desk before the run: what had been written and said, and the sources of the run."""
    session, began = recording.session, recording.began
    written = stories_module.of_session(session).filter(created_at__lt=began)
    said = Message.objects.filter(session=session, created_at__lt=began)
    return {
        "session": session_commands.session_payload(session),
        "figures": recorder.figures(SessionStats(session=session)),
        "feed": queries.told(written.order_by("-created_at", "-pk")[: queries.FEED_MOST]),
        "messages": [
            recorder.message_payload(message)
            for message in said.select_related("reply_to")[: queries.MESSAGES_MOST]
        ],
        "sources": [
            service.payload(source)
            for source in service.shown(session)
            if source.created_at < recording.ended
        ],
    }


def watch(recording: Recording) -> dict[str, Any]:
    """The public page before the run: what had been told and has not been pulled since."""
    session = recording.session
    first = Airing.objects.filter(run=recording.run).order_by("pk").values("pk")[:1]
    rows = Airing.objects.filter(session=session, pk__lt=first, story__state__in=sounds.TOLD)
    stories = stories_module.of_session(session)
    rows = rows.order_by("-pk").prefetch_related(Prefetch("story", stories))
    told = [one.story for one in rows[: queries.FEED_MOST]]
    return {
        "session": {"name": session.name, "language": public_links.tag(session.language)},
        "feed": sounds.public_all(queries.told(told)),
        "audible": sounds.valid().filter(story__airings__run=recording.run).exists(),
    }


@require_safe
@of_session
def replay(request: SignedIn, session: Session, run_number: int) -> HttpResponse:
    """A run on the desk; ``?at=`` begins that many milliseconds after its beginning."""
    recording = _find(session, run_number, recorder.OWNER)
    page = _page(request, recording, recorder.OWNER) | studio(recording)
    page["ws_path"] = f"/ws/sessions/{session.pk}/replay/{run_number}/"
    return render(request, "studio/replay/page.html", page)


@public
def watch_replay(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """A run as the audience saw it; ``?thread=`` leads to that thread on the watch page."""
    if thread := queries.key_of(request.GET.get("thread", "")):
        return redirect(f"{reverse('watch', args=[session.watch_token])}?thread={thread}")
    recording = _find(session, run_number, recorder.PUBLIC)
    page = _page(request, recording, recorder.PUBLIC) | watch(recording)
    page["token"] = session.watch_token
    page["ws_path"] = f"/ws/watch/{session.watch_token}/replay/{run_number}/"
    return render(request, "public/replay.html", page)


def _find(session: Session, number: int, audience: str) -> Recording:
    try:
        return runs.find(session, number, audience)
    except NotFound as error:
        raise Http404(error.sentence) from None


def _page(request: HttpRequest, recording: Recording, audience: str) -> dict[str, Any]:
    after = queries.key_of(request.GET.get("after", ""))
    at = queries.key_of(request.GET.get("at", "")) or 0
    return page(recording, audience, after) | {"at": min(at, recording.milliseconds)}
