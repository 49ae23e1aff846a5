"""Public audio: sounds of stories, episodes with their show notes, and the podcast feed."""

from __future__ import annotations

import hashlib

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from broadcast import public_links, session_commands
from broadcast.models import Episode, Recorded
from broadcast.public import podcast
from broadcast.public.views import cacheable, public
from broadcast.speech import episodes, sounds
from broadcast.speech.episodes import MOST_STORIES
from sessions_app.errors import NotFound
from sessions_app.files import downloads
from sessions_app.models import Session


@public
def sound(request: HttpRequest, session: Session, sound_id: int) -> HttpResponseBase:
    """The sound of a published story."""
    try:
        return _send(request, sounds.find(session, sound_id))
    except NotFound as error:
        raise Http404(error.sentence) from None


@public
def audio(request: HttpRequest, session: Session, run_number: int) -> HttpResponseBase:
    """An episode: a finished broadcast as one audio file."""
    return _send(request, _find_episode(session, run_number))


def _send(request: HttpRequest, recorded: Recorded) -> HttpResponseBase:
    return downloads.send(request, recorded.path, recorded.media_type, recorded.sha256)


@public
def episode(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """An episode with its player and its show notes."""
    row = _find_episode(session, run_number)
    page = {
        "session": {"name": session.name, "language": public_links.tag(session.language)},
        "token": session.watch_token,
        "episode": row,
        "stories": podcast.show_notes([row], MOST_STORIES).get(row.run_id, []),
        "home": session_commands.watch_url(session),
        "label": session.ai_label,
    }
    return render(request, "public/episode.html", page)


def _find_episode(session: Session, run_number: int) -> Episode:
    try:
        return episodes.find(session, run_number)
    except NotFound as error:
        raise Http404(error.sentence) from None


@public
def podcast_feed(request: HttpRequest, session: Session) -> HttpResponse:
    """The podcast feed, or 304 if the reader has it already."""
    text = podcast.rss(session, session_commands.watch_url(session) or "")
    # The feed has no other version: it depends on stories, pulls and the name of the session.
    tag = hashlib.sha256(text).hexdigest()[:32]
    response = HttpResponse(text, content_type="application/rss+xml")
    return cacheable(request, tag, lambda: response)
