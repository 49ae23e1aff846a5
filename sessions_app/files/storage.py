"""Files under the data folder: write, read and remove them by a path relative to that folder.

Each file is written to a temporary name, synced and renamed, so a name always refers to a complete
file.
"""

from __future__ import annotations

import asyncio
import glob
import hashlib
import os
import re
import unicodedata
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from secrets import token_hex
from uuid import UUID

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header

ROOT = "artifacts"  # the folder with one folder per session
CHUNK = 1 << 16
UNFINISHED = ".part"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The size and the hash of a written file."""

    bytes: int
    sha256: str


def full_path(path: str) -> Path:
    """Returns the absolute path of a path relative to the data folder."""
    return Path(settings.SMNB.data_dir) / path


def reserve(path: str) -> bool:
    """Creates an empty file under a name; returns False when the name is taken."""
    target = full_path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # O_EXCL: of two processes that reserve the same name only one succeeds.
        target.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def write(path: str, chunks: Iterable[bytes]) -> StoredFile:
    """Writes a file and syncs it before it gets its name.

    An error raised by ``chunks`` or by the disk leaves no file behind. When several processes write
    the same file, each writes a temporary file of its own, and the last rename wins.
    """
    target = full_path(path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{token_hex(4)}{UNFINISHED}")
    digest, size = hashlib.sha256(), 0
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            # Before the renaming: otherwise a power cut could leave the final name on an empty
            # file.
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    # The rename survives a power cut only once the folder is synced too.
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return StoredFile(size, digest.hexdigest())


def read(paths: Iterable[str]) -> Iterator[bytes]:
    """Yields the contents of the files, one after another, in chunks."""
    for path in paths:
        with full_path(path).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


def remove(path: str) -> None:
    """Removes a file and the temporary files of its interrupted writers."""
    if path:
        target = full_path(path)
        target.unlink(missing_ok=True)
        # A name may contain the special characters of glob, such as square brackets.
        for temporary in target.parent.glob(f"{glob.escape(target.name)}.*{UNFINISHED}"):
            temporary.unlink(missing_ok=True)


def folder_name(name: str, made: date, session_id: UUID) -> str:
    """Returns the readable, unique name of a session's folder: ``<label>-<date>-<short id>``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    label = re.sub(r"[^a-z0-9]+", "-", plain.lower())[:40].strip("-") or "session"
    return f"{label}-{made:%Y-%m-%d}-{session_id.hex[:12]}"


WHOLE = 1 << 20  # bytes; a longer response is streamed
# Types that no browser executes or applies to a page; the policy of the response confines SVG.
_PASSIVE = re.compile(
    r"(?:audio|image|video)/.*|text/(?:plain|csv|markdown|vtt|srt)(?:;.*)?"
    r"|application/(?:json|pdf|zip|gzip|x-subrip|x-ndjson|ndjson)(?:;.*)?"
)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes ``first`` to ``last`` of a file; ``whole`` when the request has no range."""

    first: int
    last: int
    whole: bool = False

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def parse_range(header: str, size: int) -> ByteRange | None:
    """Returns the range that a Range header asks for; None when the file has no such bytes.

    A header that is not one plain range of bytes is ignored, as RFC 9110 allows.
    """
    whole = ByteRange(0, size - 1, whole=True)
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0] == "bytes=-":
        return whole
    if not match[1]:
        first, last = max(size - int(match[2]), 0), size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
        if match[2] and int(match[2]) < first:
            return whole
    return ByteRange(first, last) if first <= last else None


def send(
    request: HttpRequest, path: str, media_type: str, sha256: str = "", *, save_as: str = ""
) -> HttpResponseBase:
    """Returns the file as a response, with ``save_as`` as a download of that name; or raises 404.

    Without a sha256, as for a file that still grows, the response has no ETag.
    """
    file = full_path(path)
    if not path or not file.is_file():
        raise Http404("The file no longer exists.")
    tag = f'"{sha256[:32]}"' if sha256 else ""
    response = _response(request, file, media_type, tag)
    if tag:
        response["ETag"] = tag
    response["Accept-Ranges"] = "bytes"
    # A browser may cache the file but has to ask each time: a public link can be revoked.
    response["Cache-Control"] = "private, no-cache"
    if save_as:
        disposition = content_disposition_header(as_attachment=True, filename=save_as)
        response["Content-Disposition"] = str(disposition)
        # An uploaded script or page must not run as one of ours, wherever a link to it is.
        if not _PASSIVE.fullmatch(media_type):
            response["Content-Type"] = "application/octet-stream"
        response["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
        response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _response(request: HttpRequest, file: Path, media_type: str, tag: str) -> HttpResponseBase:
    """Returns status 200 or 206 with bytes, 304 without, or 416 for a range past the end."""
    size = file.stat().st_size
    if tag and (unchanged := get_conditional_response(request, etag=tag)):
        return unchanged
    # A range of another version of the file would not fit what the client already has.
    current = request.headers.get("If-Range", tag) == tag
    part = parse_range(request.headers.get("Range", "") if current else "", size)
    if part is None:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    response: HttpResponseBase
    # The same headers as for GET, without reading the file.
    if request.method == "HEAD":
        response = HttpResponse()
    # A streaming response under ASGI has to be an async iterator, or Django reads it as a whole
    # first.
    elif part.length > WHOLE:
        response = StreamingHttpResponse(_chunks(file, part))
    else:
        with file.open("rb") as opened:
            opened.seek(part.first)
            response = HttpResponse(opened.read(part.length))
    response["Content-Type"] = media_type
    response["Content-Length"] = str(part.length)
    if not part.whole:
        response.status_code = 206
        response["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    return response


async def _chunks(path: Path, part: ByteRange) -> AsyncIterator[bytes]:
    """Yields a part of a file, read in a thread so that the event loop is not blocked."""
    left = part.length
    with path.open("rb") as file:
        file.seek(part.first)
        while left and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
