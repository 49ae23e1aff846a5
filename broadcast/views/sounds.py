"""What the audience hears: sounds of stories, episodes and the podcast; public, read-only."""

from __future__ import annotations

import hashlib

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response

from broadcast import desk
from broadcast.audience import episodes, notes, podcast, sounds
from broadcast.audience.episodes import MOST_STORIES
from broadcast.models import Episode, Recorded
from broadcast.views.watch import public
from sessions_app import sending
from sessions_app.errors import NotFound
from sessions_app.models import Session


@public
def sound(request: HttpRequest, session: Session, sound_id: int) -> HttpResponseBase:
    """The sound of a story that was told."""
    try:
        return _send(request, sounds.find(session, sound_id))
    except NotFound as error:
        raise Http404(error.sentence) from None


@public
def audio(request: HttpRequest, session: Session, run_number: int) -> HttpResponseBase:
    """A finished broadcast as one file."""
    return _send(request, _episode(session, run_number))


@public
def episode(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """An episode with its player and its show notes."""
    found = _episode(session, run_number)
    page = {
        "session": {"name": session.name},
        "token": session.watch_token,
        "episode": found,
        "notes": notes.of_episodes([found], MOST_STORIES).get(found.run_id, []),
    }
    return render(request, "watch/episode.html", page)


@public
def podcast_feed(request: HttpRequest, session: Session) -> HttpResponse:
    """The podcast, or 304 when the reader has it already."""
    text = podcast.rss(session, desk.watch_url(session) or "")
    tag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
    made = HttpResponse(text, content_type="application/rss+xml")
    response: HttpResponse = get_conditional_response(request, etag=tag) or made
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    return response


def _episode(session: Session, run_number: int) -> Episode:
    try:
        return episodes.find(session, run_number)
    except NotFound as error:
        raise Http404(error.sentence) from None


def _send(request: HttpRequest, recorded: Recorded) -> HttpResponseBase:
    return sending.send(request, recorded.path, recorded.media_type, recorded.sha256)
