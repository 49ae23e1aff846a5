"""Renders events as frames for the sockets, and reads the events that a page has missed.

A frame is a pure function of the stored payload, the audience and the format.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import DataError
from django.db.models import Max, Min, Q
from django.template.loader import render_to_string

from sessions_app import money
from sessions_app.background import isolation
from sessions_app.events import recorder, statistics
from sessions_app.models import SessionEvent, SessionStats
from sessions_app.realtime import checkpoints

log = structlog.get_logger(__name__)

HTML, JSON = "html", "json"

# Of a frame: the full rundown with the cards of two stories has up to 70 kB.
MOST_BYTES = 96_000
TOGETHER = 20  # events that are rendered in one go
PIECE = 32_768  # bytes of small frames that are written together
CATCH_UP_MOST = 500  # events that are sent one by one; for more, the page loads again

# Exceptions of reading a row whose columns hold something else than this version writes.
_UNREADABLE = (ValueError, TypeError, DataError)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame; ``seq`` is None if it is never stored, ``prev`` is the audience's previous seq."""

    seq: int | None
    prev: int | None
    type: str
    session: str
    at: str | None
    data: Mapping[str, Any]


def _fields(frame: Frame) -> dict[str, object]:
    # Not asdict(), which copies each value of the payload: that took longer than all the rest.
    return {name: getattr(frame, name) for name in Frame.__slots__}


def visible(type_: str, audience: str) -> bool:
    """Returns whether the audience sees events of this type."""
    return audience == recorder.OWNER or type_ in recorder.public_types()


def frame_of(event: SessionEvent, prev: int, audience: str) -> Frame:
    """Returns the frame of an event for the audience."""
    # The audience gets the "public" part alone, so a new private field cannot leak by mistake.
    data = event.payload if audience == recorder.OWNER else event.payload["public"]
    at = recorder.timestamp(event.at)
    return Frame(event.seq, prev, event.type, str(event.session_id), at, data)


def published(type_: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the payload of an event as it leaves as JSON: with money as decimal strings.

    A payload of an earlier version, or from an archive, has the same integers and is written alike.
    """
    found: Any = payload
    for path in _amounts(type_):
        found = money.written(found, path)
    return cast("Mapping[str, Any]", found)


@cache
def _amounts(type_: str) -> tuple[money.Path, ...]:
    """Returns the paths of the amounts in payloads of this type, and in their figures."""
    figures_ = (("figures", *path) for path in money.amounts_in(statistics.FiguresPayload))
    return (*money.amounts_in(recorder.payload_types().get(type_)), *figures_)


def without_retracted(events: Sequence[SessionEvent], audience: str) -> list[SessionEvent]:
    """Returns the events without those about a story that a later one of them retracts."""
    if audience == recorder.OWNER:
        return list(events)
    retracted = {event.payload["public"].get("retracts") for event in events} - {None}
    return [
        event
        for event in events
        if "retracts" in event.payload["public"]
        or event.payload["public"].get("story", {}).get("id") not in retracted
    ]


def ephemeral(session_id: UUID, type_: str, data: Mapping[str, Any]) -> Frame:
    """Returns a frame that is never stored."""
    return Frame(None, None, type_, str(session_id), None, data)


def text_of(frame: Frame, audience: str, format_: str, most: int = MOST_BYTES) -> str:
    """Renders the frame for one audience and format.

    If the frame of an event is larger than ``most`` bytes, a ``reload`` frame is returned instead.
    Senders of ephemeral frames limit their size themselves.
    """
    if format_ == JSON:
        data = published(frame.type, frame.data)
        text = json.dumps({**_fields(frame), "data": data}, ensure_ascii=False)
    else:
        context = {**_fields(frame), "session_id": frame.session, "audience": audience}
        text = render_to_string(f"frames/{audience}/{frame.type}.html", context)
    if frame.seq is not None and len(text.encode()) > most:
        return reload_text(UUID(frame.session), frame.seq, format_)
    return text


def reload_text(session_id: UUID, seq: int, format_: str) -> str:
    """Renders the frame that makes a page load again: it missed too much, or an event is too large."""
    if format_ == JSON:
        frame = Frame(seq, None, "reload", str(session_id), None, {})
        return json.dumps(_fields(frame))
    return '<i id="seq" hx-swap-oob="true" data-reload hidden></i>'


def encoded(texts: Iterable[str]) -> list[bytes]:
    """Returns texts as WebSocket messages of one frame each (RFC 6455, 5.2), small ones together.

    A call of the system costs more than the bytes that it passes on.
    """
    pieces: list[bytes] = []
    for text in texts:
        payload = text.encode()
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x81, size)
        elif size < 2**16:
            head = struct.pack("!BBH", 0x81, 126, size)
        else:
            head = struct.pack("!BBQ", 0x81, 127, size)
        if pieces and len(pieces[-1]) + size < PIECE:
            pieces[-1] += head + payload
        else:
            pieces.append(head + payload)
    return pieces


@database_sync_to_async
def last_seq(session_id: UUID) -> int:
    """Returns the last seq of the session."""
    return SessionStats.objects.values_list("last_seq", flat=True).get(session_id=session_id)


@database_sync_to_async
def after(last: Mapping[UUID, int]) -> dict[UUID, list[SessionEvent] | int]:
    """Returns the events after the ``last`` seq of each session, for sessions that have any.

    Where they are more than CATCH_UP_MOST, e.g. after an import, the last seq is returned instead.
    """
    # One row for each session tells which have news, so that idle sessions cost no query on events.
    heads = SessionStats.objects.filter(session_id__in=last).values_list("session_id", "last_seq")
    too_many: dict[UUID, int] = {}
    events: dict[UUID, list[SessionEvent]] = {}
    newer = Q()
    for session_id, head in heads:
        if head - last[session_id] > CATCH_UP_MOST:
            too_many[session_id] = head
        elif head > last[session_id]:
            events[session_id] = []
            newer |= Q(session_id=session_id, seq__gt=last[session_id])
    if events:
        try:
            for event in SessionEvent.objects.filter(newer).order_by("session_id", "seq"):
                events[event.session_id].append(event)
        except _UNREADABLE:
            # One row that cannot be read must not hide the events of the other sessions.
            for session_id in list(events):
                rows = SessionEvent.objects.filter(session_id=session_id, seq__gt=last[session_id])
                try:
                    events[session_id] = list(rows.order_by("seq"))
                except _UNREADABLE as error:
                    del events[session_id]
                    too_many[session_id] = _set_aside(session_id, last[session_id], error)
    return {**too_many, **events}


def _set_aside(session_id: UUID, after_seq: int, error: Exception) -> int:
    """Notes that events cannot be read; returns the last seq, from which pages load again."""
    unit = f"{session_id} after {after_seq}"
    isolation.note("Showing of an event", unit, session_id, error, at_once=True)
    rows = SessionEvent.objects.filter(session_id=session_id)
    return rows.aggregate(seq=Max("seq"))["seq"] or after_seq


def groups(events: Iterable[SessionEvent]) -> Iterator[list[SessionEvent]]:
    """Divides events into groups that are rendered and written together."""
    group: list[SessionEvent] = []
    for event in events:
        group.append(event)
        # Later events are not for those whom such a change excludes.
        if len(group) == TOGETHER or event.type == recorder.SESSION_CHANGED:
            yield group
            group = []
    if group:
        yield group


@sync_to_async
def rendered(
    events: Iterable[SessionEvent], prev: Mapping[str, int], shapes: Iterable[tuple[str, str]]
) -> tuple[dict[tuple[str, str], list[tuple[int, str]]], dict[str, int]]:
    """Renders events, without those for which it fails.

    Returns their frames with their seq for each (audience, format), and the last seq of each audience;
    ``prev`` is the one before.
    """
    last = dict(prev)
    texts: dict[tuple[str, str], list[tuple[int, str]]] = {shape: [] for shape in shapes}
    for event in events:
        reached = {audience: event.seq for audience in last if visible(event.type, audience)}
        for (audience, format_), shown in texts.items():
            if not visible(event.type, audience):
                continue
            text = render_event(event, last[audience], audience, format_)
            if text is None:
                reached.pop(audience, None)
            else:
                shown.append((event.seq, text))
        last |= reached
    return texts, last


def render_event(
    event: SessionEvent, prev: int, audience: str, format_: str, most: int = MOST_BYTES
) -> str | None:
    """Renders the frame of an event; logs an error and returns None where that fails."""
    try:
        return text_of(frame_of(event, prev, audience), audience, format_, most)
    except Exception:
        # Whatever it is: the other events of its group must be shown.
        log.exception("event_not_shown", seq=event.seq, type=event.type, audience=audience)
        return None


@dataclass(frozen=True, slots=True)
class Missed:
    """What a page has missed: the events of its audience after the seq ``after``."""

    session_id: UUID
    audience: str
    format: str
    after: int


def since(missed: Missed) -> tuple[list[str], int]:
    """Renders the events that a page has missed; returns the texts and the last seq."""
    session_id, audience, seq = missed.session_id, missed.audience, missed.after
    all_events = SessionEvent.objects.filter(session_id=session_id)
    rows = all_events
    if audience == recorder.PUBLIC:
        rows = rows.filter(type__in=recorder.public_types())
    newer = rows.filter(seq__gt=seq).order_by("seq")[: CATCH_UP_MOST + 1]
    try:
        events = list(newer)
    except _UNREADABLE as error:
        head = _set_aside(session_id, seq, error)
        return [reload_text(session_id, head, missed.format)], head
    # Read after the events: if some were archived meanwhile, the page loads again.
    first_stored = all_events.aggregate(seq=Min("seq"))["seq"] or 0
    missed_too_much = len(events) > CATCH_UP_MOST or first_stored > seq + 1
    earlier = rows if missed_too_much else rows.filter(seq__lte=seq)
    # If all events of the audience up to here are archived, prev is the last archived seq.
    prev = max(earlier.aggregate(seq=Max("seq"))["seq"] or 0, first_stored - 1)
    if missed_too_much:
        return [reload_text(session_id, prev, missed.format)], prev
    texts = []
    for event in without_retracted(events, audience):
        text = render_event(event, prev, audience, missed.format)
        if text is not None:
            texts.append(text)
            prev = event.seq
    return texts, prev


def streams(page: tuple[UUID, str]) -> list[str]:
    """Renders the ephemeral frames with the text so far of streams under way.

    ``page`` is the session's id and the format of an owner's page.
    """
    session_id, format_ = page
    frames = (ephemeral(session_id, type_, data) for type_, data in checkpoints.frames(session_id))
    return [text_of(frame, recorder.OWNER, format_) for frame in frames]
