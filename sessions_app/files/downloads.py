"""Sending a file of the data folder: whole or a range of it, piece by piece, and not twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header

from sessions_app.files import storage

WHOLE = 1 << 20  # bytes; more is sent in pieces
CHUNK = 1 << 16
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes ``first`` to ``last`` of a file; ``whole`` when nothing else was asked for."""

    first: int
    last: int
    whole: bool = False

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def parse_range(header: str, size: int) -> ByteRange | None:
    """What a Range header asks for; None when the file has no such bytes.

    What is not one plain range of bytes is answered with the whole file, as RFC 9110 has it.
    """
    whole = ByteRange(0, size - 1, whole=True)
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[0] == "bytes=-":
        return whole
    if not found[1]:
        first, last = max(size - int(found[2]), 0), size - 1
    else:
        first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
        if found[2] and int(found[2]) < first:
            return whole
    return ByteRange(first, last) if first <= last else None


def send(
    request: HttpRequest, path: str, media_type: str, sha256: str = "", *, save_as: str = ""
) -> HttpResponseBase:
    """The file, to be played or shown, or with ``save_as`` to be saved under that name; or 404.

    Without a sha256, which is a file that still grows, no browser asks whether it has it already.
    """
    file = storage.full_path(path)
    if not path or not file.is_file():
        raise Http404("The file is not there any more.")
    response = _answer(request, file, media_type, f'"{sha256[:32]}"' if sha256 else "")
    if save_as:
        disposition = content_disposition_header(as_attachment=True, filename=save_as)
        response["Content-Disposition"] = str(disposition)
    return response


def _answer(request: HttpRequest, file: Path, media_type: str, tag: str) -> HttpResponseBase:
    size = file.stat().st_size
    if tag and (kept := get_conditional_response(request, etag=tag)):
        return _marked(kept, tag)
    fresh = request.headers.get("If-Range", tag) == tag
    part = parse_range(request.headers.get("Range", "") if fresh else "", size)
    if part is None:
        refused = HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        return _marked(refused, tag)
    response = _body(request, file, part)
    response["Content-Type"] = media_type
    response["Content-Length"] = str(part.length)
    if not part.whole:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    return _marked(response, tag)


def _marked(response: HttpResponseBase, tag: str) -> HttpResponseBase:
    if tag:
        response["ETag"] = tag
    response["Accept-Ranges"] = "bytes"
    # Kept, but asked about each time: what a link may show can be revoked.
    response["Cache-Control"] = "private, no-cache"
    return response


def _body(request: HttpRequest, file: Path, part: ByteRange) -> HttpResponseBase:
    if request.method == "HEAD":
        return HttpResponse()
    if part.length > WHOLE:
        return StreamingHttpResponse(_chunks(file, part))
    with file.open("rb") as opened:
        opened.seek(part.first)
        return HttpResponse(opened.read(part.length))


async def _chunks(path: Path, part: ByteRange) -> AsyncIterator[bytes]:
    """Piece by piece, off the event loop: a long file never lies in memory as a whole."""
    left = part.length
    with path.open("rb") as file:
        file.seek(part.first)
        while left and (piece := await asyncio.to_thread(file.read, min(CHUNK, left))):
            left -= len(piece)
            yield piece
