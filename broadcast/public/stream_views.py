"""The audio stream for listeners: an HLS playlist with its segments, and one endless MP3.

They only read what the step of the stream has rendered (broadcast/stream/stream.py).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextvars import Context
from secrets import token_hex
from threading import BoundedSemaphore
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections
from django.db.models import OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from broadcast import public_links, session_commands
from broadcast.models import AudioStream
from broadcast.public.views import cacheable_content, public, shared
from broadcast.speech import engines
from broadcast.stream import plan, stream
from broadcast.stream.plan import SLOT_SECONDS, Part
from broadcast.transfer.formats.srt_format import timestamp
from sessions_app import rate_limits, sessions
from sessions_app.errors import NotFound
from sessions_app.events import recorder
from sessions_app.files import storage
from sessions_app.models import Session
from sessions_app.realtime import presence
from sessions_app.realtime.batching import Batcher, OneResponse, one_by_one
from sessions_app.web.middleware import QUIET
from stories.disclosure import GENERAL

NO_ENGINE = "There is no audio stream: the speech of this studio is not installed or switched off."
# The first listener waits for the first segment; further ones try again.
FIRST_SECONDS = 8.0
_waiting = BoundedSemaphore(20)
PLAYLIST = "application/vnd.apple.mpegurl"
# What proxies and CDNs may send to all listeners: a playlist for a moment, and a segment, whose content
# never changes, for as long as it is in one. What is pulled or closed is gone after that, also there.
LIVE, PIECES = "public, max-age=1", "public, max-age=60, immutable"
HLS = re.compile(
    r"/watch/([A-Za-z0-9_-]{1,100})/stream(?:\.m3u8|/(?:(\d{1,15})-)?[\w-]+\.(?:m3u8|mp3|vtt))"
)
# Between two titles in the endless MP3, in bytes, as most servers have it.
META_INTERVAL = 16_000
PIECE = stream.SEGMENT_BYTES // SLOT_SECONDS  # a second of sound
# Listeners of the endless MP3 in this process, by address, and by the session's token.
_listening: Counter[str] = Counter()
_tuned_in: Counter[str] = Counter()
_PROCESS = token_hex(8)


@shared
@public
def master(request: HttpRequest, session: Session) -> HttpResponse:
    """The HLS playlist that players open: the sound and its captions."""
    if not stream.available():
        raise Http404(NO_ENGINE)
    stream.ask(session)
    language = public_links.tag(session.language) or "und"
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="captions",NAME="Captions",DEFAULT=YES,'
        f'AUTOSELECT=YES,LANGUAGE="{language}",URI="stream/captions.m3u8"',
        # The codec is MP3.
        f'#EXT-X-STREAM-INF:BANDWIDTH={stream.BIT_RATE + 2000},CODECS="mp4a.40.34",'
        'SUBTITLES="captions"',
        "stream/audio.m3u8",
    ]
    return _text(request, lines, PLAYLIST, LIVE)


@shared
@public
def playlist(request: HttpRequest, session: Session, suffix: str) -> HttpResponse:
    """The latest segments of the sound or of its captions, each with its time and its title."""
    row, slots = _ready(request, session)
    if not slots:
        return _later()
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        f"#EXT-X-TARGETDURATION:{SLOT_SECONDS}",
        f"#EXT-X-MEDIA-SEQUENCE:{slots[0]}",
        *date_ranges(row, slots, session_commands.watch_url(session) or ""),
    ]
    for slot in slots:
        part = plan.main_part(row.parts, slot)
        at = recorder.timestamp(plan.time_of(slot * plan.SLOT_FRAMES))
        lines += [
            f"#EXT-X-PROGRAM-DATE-TIME:{at}",
            f"#EXTINF:{SLOT_SECONDS}.000,{_line(part['title'] if part else '')}",
            f"{slot}-{plan.digest(row.parts, slot)}.{suffix}",
        ]
    # Without the live slot it is still being rendered, and the playlist may change at any moment.
    whole = slots[-1] == plan.slot_of(timezone.now())
    return _text(request, lines, PLAYLIST, LIVE if whole else "")


def _text(request: HttpRequest, lines: list[str], media_type: str, cached: str) -> HttpResponse:
    """Responds with the lines, or with 304 if the player has them; ``cached`` says how caches may."""
    text, content_type = "\n".join([*lines, ""]), f"{media_type}; charset=utf-8"
    response = cacheable_content(request, text.encode(), content_type)
    if cached:
        response["Cache-Control"] = cached
    return response


def date_ranges(row: AudioStream, slots: list[int], home: str) -> Iterator[str]:
    """Yields a tag for each story and announcement: its time, its title and the artwork."""
    first, last = slots[0] * plan.SLOT_FRAMES, (slots[-1] + 1) * plan.SLOT_FRAMES
    for part in row.parts:
        if part["at"] < last and plan.end_of(part) > first and part["kind"] not in ("bed", "chime"):
            at = recorder.timestamp(plan.time_of(part["at"]))
            yield (
                f'#EXT-X-DATERANGE:ID="{part["kind"]}-{part["at"]}",CLASS="{part["kind"]}",'
                f'START-DATE="{at}",DURATION={part["frames"] * plan.FRAME_MS / 1000:.3f},'
                f'X-TITLE="{_line(part["title"])}",X-ARTWORK="{home}cover.png"'
            )


def _line(text: str) -> str:
    """Returns a text as a value of a playlist, which is one line and has no quotation marks."""
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", text).replace('"', "”")


def _ready(request: HttpRequest, session: Session) -> tuple[AudioStream, list[int]]:
    """Notes a listener; returns the stream and its slots as soon as there is a segment."""
    # A listener asks every few seconds; the log of the session does not need a line for each.
    request.META[QUIET] = "1"
    if not stream.available():
        raise Http404(NO_ENGINE)
    row = stream.ask(session)
    slots = stream.live_slots(row, timezone.now())
    if not slots and _waiting.acquire(blocking=False):
        try:
            until = time.monotonic() + FIRST_SECONDS
            while not slots and time.monotonic() < until:
                # Those who wait must not use up the connections of a pool.
                close_old_connections()
                time.sleep(0.25)
                row = AudioStream.objects.get(pk=row.pk)
                slots = stream.live_slots(row, timezone.now())
        finally:
            _waiting.release()
    return row, slots


def _later() -> HttpResponse:
    text = "The stream begins in a moment. Try again."
    return HttpResponse(text, status=503, headers={"Retry-After": "3"}, content_type="text/plain")


@shared
@public
def segment(request: HttpRequest, session: Session, slot: int, digest: str) -> HttpResponseBase:
    """A segment of the stream that is live or was live in the last minutes."""
    row = _row_with(request, session, slot, digest)
    if request.method == "GET":
        # Each listener gets each segment once, so this counts listeners without knowing them.
        presence.note_sound(session.pk, slot)
    path = stream.path_of(row, slot, digest)
    response = storage.send(request, path, stream.MEDIA_TYPE, digest)
    # A cache must not send one listener's refused range to all others.
    if response.status_code != 416:
        response["Cache-Control"] = PIECES
    return response


@shared
@public
def captions(request: HttpRequest, session: Session, slot: int, digest: str) -> HttpResponse:
    """The words of a segment as WebVTT."""
    row = _row_with(request, session, slot, digest)
    # The time of a segment as its ID3 tag has it, so that players join both.
    lines = ["WEBVTT", f"X-TIMESTAMP-MAP=MPEGTS:{stream.timestamp(slot)},LOCAL:00:00:00.000", ""]
    first = slot * plan.SLOT_FRAMES
    for begin, end, text in plan.captions(row, slot):
        times = ((frame - first) * plan.FRAME_MS / 1000 for frame in (begin, end))
        lines += [" --> ".join(timestamp(max(0.0, at), ".") for at in times), text, ""]
    return _text(request, lines, "text/vtt", PIECES)


class Edge(NamedTuple):
    """What the playlists and segments of a stream depend on."""

    session: UUID
    language: str
    revision: int | None  # of the plan; None before there is one
    slot: int  # the live one
    noted: bool  # whether it is known that the stream has a listener


def edges(tokens: Iterable[str]) -> dict[str, Edge | None]:
    """Returns the live edges of the sessions with these links; None for a link that is not valid."""
    found: dict[str, Edge | None] = dict.fromkeys(tokens)
    plans = AudioStream.objects.filter(session=OuterRef("pk"))
    rows = Session.objects.filter(watch_token__in=list(found), visible=True).values_list(
        "watch_token",
        "pk",
        "language",
        Subquery(plans.values("revision")),
        Subquery(plans.values("asked_at")),
    )
    at = timezone.now()
    for token, pk, language, revision, asked_at in rows:
        noted = stream.is_noted(asked_at, at)
        found[token] = Edge(pk, language, revision, plan.slot_of(at), noted)
    return found


def count_listeners(address: re.Match[str], found: Edge, count: int) -> None:
    """Counts those who got a segment that Django was not asked for."""
    if address[2] and address[0].endswith(".mp3"):
        presence.note_sound(found.session, int(address[2]), count=count)


def once_for_all(application: Any) -> OneResponse[Edge]:
    """Wraps the application so that all listeners of a stream get one response."""
    return OneResponse(application, HLS, edges, count_listeners)


def _row_with(request: HttpRequest, session: Session, slot: int, digest: str) -> AudioStream:
    """Returns the stream if the segment is part of it."""
    request.META[QUIET] = "1"
    row = AudioStream.objects.filter(session=session).first()
    live = plan.slot_of(timezone.now())
    # What is rendered ahead is not public yet, and a pulled story is not public any more.
    if row is None or slot > live or plan.digest(row.parts, slot) != digest:
        raise Http404("The segment is not part of the stream.")
    return row


@shared
@public
def endless(request: HttpRequest, session: Session) -> HttpResponseBase:
    """The stream as one MP3 without an end, for smart speakers; with titles if they are asked for."""
    _row, slots = _ready(request, session)
    address = rate_limits.client_address(request) or ""
    if rate_limits.reached(_listening[address], settings.SMNB.limit_public_sockets):
        text = "Too many listeners from this address. Stop one of them."
        return HttpResponse(text, status=429, headers={"Retry-After": "30"})
    if not slots:
        return _later()
    titles = request.headers.get("Icy-MetaData") == "1"
    headers = {
        "icy-name": re.sub(r"[^\x20-\x7e]+", " ", session.name),
        "icy-genre": "News",
        "icy-description": GENERAL,
        "icy-br": str(stream.BIT_RATE // 1000),
        "icy-pub": "0",
        "Accept-Ranges": "none",
        # A proxy that waits for the whole response would never send it.
        "X-Accel-Buffering": "no",
        **({"icy-metaint": str(META_INTERVAL)} if titles else {}),
    }
    if getattr(request, "scope", {}).get("http_version") == "1.0":
        # Without a length uvicorn would send chunks, which HTTP/1.0 does not know: old speakers.
        headers["Content-Length"] = str(2**53 - 1)
    if request.method == "HEAD":
        return HttpResponse(headers=headers, content_type=stream.MEDIA_TYPE)
    played = sound(session.watch_token, slots[-2:][0], address)
    home = session_commands.watch_url(session) or ""
    content = with_titles(played, f"{home}cover.png") if titles else without_titles(played)
    return StreamingHttpResponse(content, headers=headers, content_type=stream.MEDIA_TYPE)


Sound = AsyncIterator[tuple[bytes, str]]


async def sound(token: str, slot: int, address: str) -> Sound:
    """Yields the sound second by second with its title, from a slot on, at the pace of the clock."""
    # Requests that came at the same moment have all passed the limit before the first one is counted.
    if rate_limits.reached(_listening[address], settings.SMNB.limit_public_sockets):
        return
    _listening[address] += 1
    _tuned_in[token] += 1
    try:
        while True:
            live = plan.slot_of(timezone.now())
            try:
                found = await _slots.ask((token, slot))
            except NotFound:
                return  # the link was revoked
            if found is None and slot < live - 1:
                slot = live
            elif found is None:
                await asyncio.sleep(0.5)
            else:
                data, title = found
                for begin in range(0, len(data), PIECE):
                    yield data[begin : begin + PIECE], title
                slot += 1
            begins = plan.time_of(slot * plan.SLOT_FRAMES)
            await asyncio.sleep(max(0.0, (begins - timezone.now()).total_seconds()))
    finally:
        for counter, key in ((_listening, address), (_tuned_in, token)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]


def load(asked: tuple[str, int]) -> tuple[bytes, str] | None:
    """Returns the sound of a slot with its title, or None if there is none yet."""
    token, slot = asked
    session = sessions.by_watch_token(token)
    row = stream.ask(session)
    path = stream.rendered(row, slot)
    if not path:
        return None
    presence.note_sound(session.pk, slot, _PROCESS, _tuned_in[token])
    part: Part | None = plan.main_part(row.parts, slot)
    data = storage.full_path(path).read_bytes()
    return engines.without_tag(data), part["title"] if part else session.name


# All listeners need the next slot at the same time, and it is read once for all of them. In a context
# of its own, as this module may be imported by a request, whose thread ends with it.
_slots: Batcher[tuple[str, int], tuple[bytes, str] | None]
_slots = Context().run(Batcher, one_by_one(load))


async def without_titles(sound: Sound) -> AsyncIterator[bytes]:
    async for data, _title in sound:
        yield data


async def with_titles(sound: Sound, artwork: str) -> AsyncIterator[bytes]:
    """Yields the sound with the title after every so many bytes, as the ICY protocol has it."""
    sent, last = 0, None
    async for data, title in sound:
        begin = 0
        while begin < len(data):
            part = data[begin : begin + META_INTERVAL - sent]
            yield part
            begin, sent = begin + len(part), sent + len(part)
            if sent == META_INTERVAL:
                # Without a change the block is empty.
                yield b"\0" if title == last else icy_block(title, artwork)
                sent, last = 0, title


def icy_block(title: str, artwork: str) -> bytes:
    """Returns a block of metadata: its length in units of 16 bytes, and the text."""
    # The protocol knows no escape for the end of a value.
    plain = _line(title).replace("'", "\u2019")[:200]
    text = f"StreamTitle='{plain}';StreamUrl='{artwork}';".encode()
    units = -(-len(text) // 16)
    return bytes([units]) + text.ljust(16 * units, b"\0")
