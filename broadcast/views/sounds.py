"""What the audience hears: sounds of stories, episodes and the podcast; public, read-only."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response

from broadcast import desk
from broadcast.audience import episodes, notes, podcast, sounds
from broadcast.audience.episodes import MOST_STORIES
from broadcast.models import Episode, Recorded
from broadcast.views.watch import public
from sessions_app import files
from sessions_app.errors import NotFound
from sessions_app.models import Session

WHOLE = 1 << 20  # bytes; more is sent in pieces
PIECE = 1 << 16
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


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


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``first`` to ``last`` of a file; ``whole`` when nothing else was asked for."""

    first: int
    last: int
    whole: bool = False

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def wanted(header: str, size: int) -> Part | None:
    """What a Range header asks for; None when the file has no such bytes.

    What is not one plain range of bytes is answered with the whole file, as RFC 9110 has it.
    """
    whole = Part(0, size - 1, whole=True)
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[0] == "bytes=-":
        return whole
    if not found[1]:
        first, last = max(size - int(found[2]), 0), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
        if found[2] and int(found[2]) < first:
            return whole
    return Part(first, last) if first <= last else None


def _send(request: HttpRequest, recorded: Recorded) -> HttpResponseBase:
    path = files.where(recorded.path)
    if not recorded.path or not path.is_file():
        raise Http404("The file is not there any more.")
    size, tag = path.stat().st_size, f'"{recorded.sha256[:32]}"'
    if kept := get_conditional_response(request, etag=tag):
        return _marked(kept, tag)
    fresh = request.headers.get("If-Range", tag) == tag
    part = wanted(request.headers.get("Range", "") if fresh else "", size)
    if part is None:
        refused = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        return _marked(refused, tag)
    response = _body(request, path, part)
    response["Content-Type"] = recorded.media_type
    response["Content-Length"] = str(part.length)
    if not part.whole:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    return _marked(response, tag)


def _marked(response: HttpResponseBase, tag: str) -> HttpResponseBase:
    response["ETag"] = tag
    response["Accept-Ranges"] = "bytes"
    # Kept, but asked about each time: a revoked link must not be heard from a cache.
    response["Cache-Control"] = "private, no-cache"
    return response


def _body(request: HttpRequest, path: Path, part: Part) -> HttpResponseBase:
    if request.method == "HEAD":
        return HttpResponse()
    if part.length > WHOLE:
        return StreamingHttpResponse(_pieces(path, part))
    with path.open("rb") as file:
        file.seek(part.first)
        return HttpResponse(file.read(part.length))


async def _pieces(path: Path, part: Part) -> AsyncIterator[bytes]:
    """Piece by piece, off the event loop: a long episode never lies in memory as a whole."""
    left = part.length
    with path.open("rb") as file:
        file.seek(part.first)
        while left and (piece := await asyncio.to_thread(file.read, min(PIECE, left))):
            left -= len(piece)
            yield piece
