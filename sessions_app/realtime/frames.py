"""Frames: an event as its audience gets it, by a pure function of the stored payload.

What the hub reads and renders: news of the sessions it watches, and what a page has missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import structlog
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db.models import Max, Min, Q, QuerySet
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import render_to_string
from django.urls import NoReverseMatch

from sessions_app.events import recorder
from sessions_app.models import SessionEvent, SessionStats
from sessions_app.realtime import checkpoints

log = structlog.get_logger(__name__)


HTML, JSON = "html", "json"

MOST_BYTES = 32_000


@dataclass(frozen=True, slots=True)
class Frame:
    """``seq`` is None for what is never stored; ``prev`` is the audience's previous seq."""

    seq: int | None
    prev: int | None
    type: str
    session: str
    at: str | None
    data: dict[str, Any]


def visible(type_: str, audience: str) -> bool:
    return audience == recorder.OWNER or type_ in recorder.public_types()


def frame_of(event: SessionEvent, prev: int, audience: str) -> Frame:
    data = event.payload if audience == recorder.OWNER else event.payload["public"]
    at = recorder.timestamp(event.at)
    return Frame(event.seq, prev, event.type, str(event.session_id), at, data)


def unretracted(found: Sequence[SessionEvent], audience: str) -> list[SessionEvent]:
    """``found`` without what the public was told of a thing that was taken back later in it."""
    if audience == recorder.OWNER:
        return list(found)
    gone = {event.payload["public"].get("retracts") for event in found} - {None}
    return [
        event
        for event in found
        if "retracts" in event.payload["public"]
        or event.payload["public"].get("story", {}).get("id") not in gone
    ]


def ephemeral(session_id: UUID, type_: str, data: dict[str, Any]) -> Frame:
    return Frame(None, None, type_, str(session_id), None, data)


def text_of(frame: Frame, audience: str, format_: str, most: int = MOST_BYTES) -> str:
    """The frame's bytes for one audience and format, at most 32 kB or as many as ``most`` says.

    An event that needs more is told as ``reload``: the page or the program looks for itself. What
    is never stored is kept short by who sends it.
    """
    if format_ == JSON:
        text = json.dumps(asdict(frame), ensure_ascii=False)
    else:
        context = {**asdict(frame), "session_id": frame.session, "audience": audience}
        text = render_to_string(f"frames/{audience}/{frame.type}.html", context)
    if frame.seq is not None and len(text.encode()) > most:
        return reload_text(UUID(frame.session), frame.seq, format_)
    return text


def reload_text(session_id: UUID, seq: int, format_: str) -> str:
    """Tell a page that missed too much, or what is too large for a frame, to load itself anew."""
    if format_ == JSON:
        frame = Frame(seq, None, "reload", str(session_id), None, {})
        return json.dumps(asdict(frame))
    return '<i id="seq" hx-swap-oob="true" data-reload hidden></i>'


CATCH_UP_MOST = 500

# What a payload that its template does not expect can raise.
UNSHOWN = (
    ArithmeticError, AttributeError, LookupError, NoReverseMatch, TemplateDoesNotExist,
    TemplateSyntaxError, TypeError, ValueError,
)  # fmt: skip


Texts = dict[tuple[str, str], str]


@database_sync_to_async
def last_seq(session_id: UUID) -> int:
    return SessionStats.objects.values_list("last_seq", flat=True).get(session_id=session_id)


@database_sync_to_async
def after(last: dict[UUID, int]) -> dict[UUID, list[SessionEvent] | int]:
    """The events after ``last`` of the sessions that have any; one query tells which have.

    Where they are too many to be told one by one, as when an import comes in, only the last seq.
    """
    heads = SessionStats.objects.filter(session_id__in=last).values_list("session_id", "last_seq")
    behind = {session_id: head for session_id, head in heads if head > last[session_id]}
    many = {key: head for key, head in behind.items() if head - last[key] > CATCH_UP_MOST}
    few = behind.keys() - many
    return {**many, **(_events(last, few) if few else {})}


def _events(last: dict[UUID, int], behind: Iterable[UUID]) -> dict[UUID, list[SessionEvent]]:
    newer = Q()
    for session_id in behind:
        newer |= Q(session_id=session_id, seq__gt=last[session_id])
    found: dict[UUID, list[SessionEvent]] = {session_id: [] for session_id in behind}
    for event in SessionEvent.objects.filter(newer).order_by("session_id", "seq"):
        found[event.session_id].append(event)
    return found


@sync_to_async
def rendered(event: SessionEvent, prev: dict[str, int], shapes: Iterable[tuple[str, str]]) -> Texts:
    """The event for each (audience, format) that it can be shown to."""
    found = {shape: shown(event, prev[shape[0]], *shape) for shape in shapes}
    return {shape: text for shape, text in found.items() if text is not None}


def shown(
    event: SessionEvent, prev: int, audience: str, format_: str, most: int = MOST_BYTES
) -> str | None:
    """The frame as text; None, with a line in the log, where the event cannot be shown."""
    try:
        return text_of(frame_of(event, prev, audience), audience, format_, most)
    except UNSHOWN:
        log.exception("event_not_shown", seq=event.seq, type=event.type, audience=audience)
        return None


@database_sync_to_async
def since(session_id: UUID, audience: str, format_: str, seq: int) -> tuple[list[str], int]:
    """The texts of everything after ``seq`` that can be shown, and the seq they reach to."""
    rows = SessionEvent.objects.filter(session_id=session_id)
    if audience == recorder.PUBLIC:
        rows = rows.filter(type__in=recorder.public_types())
    found = list(rows.filter(seq__gt=seq).order_by("seq")[: CATCH_UP_MOST + 1])
    low = _first(session_id)
    if len(found) > CATCH_UP_MOST or low > seq + 1:
        head = _last(rows, low)
        return [reload_text(session_id, head, format_)], head
    prev = _last(rows.filter(seq__lte=seq), low)
    texts = []
    for event in unretracted(found, audience):
        text = shown(event, prev, audience, format_)
        if text is not None:
            texts.append(text)
            prev = event.seq
    return texts, prev


@sync_to_async
def streams(session_id: UUID, format_: str) -> list[str]:
    """The ephemeral frames with the text so far of streams under way, for the owner's page."""
    found = checkpoints.frames(session_id)
    made = (ephemeral(session_id, type_, data) for type_, data in found)
    return [text_of(frame, recorder.OWNER, format_) for frame in made]


def _last(rows: QuerySet[SessionEvent], low: int) -> int:
    """The last seq of these rows, or of what is archived where all that they were is."""
    return max(rows.aggregate(seq=Max("seq"))["seq"] or 0, low - 1)


def _first(session_id: UUID) -> int:
    """The seq of the first event that is not archived; asked after the rows were read."""
    rows = SessionEvent.objects.filter(session_id=session_id)
    return rows.aggregate(seq=Min("seq"))["seq"] or 0
