"""Frames: an event as its audience gets it, by a pure function of the stored payload."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.template.loader import render_to_string

from sessions_app import events
from sessions_app.models import SessionEvent

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
    return audience == events.OWNER or type_ in events.public_types()


def frame_of(event: SessionEvent, prev: int, audience: str) -> Frame:
    data = event.payload if audience == events.OWNER else event.payload["public"]
    at = events.stamp(event.at)
    return Frame(event.seq, prev, event.type, str(event.session_id), at, data)


def unretracted(found: Sequence[SessionEvent], audience: str) -> list[SessionEvent]:
    """``found`` without what the public was told of a thing that was taken back later in it."""
    if audience == events.OWNER:
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
