"""What a replay sends: the frames of the live pages, made again from the events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from django.template.loader import render_to_string

from broadcast.replay.pacing import Wait
from broadcast.replay.runs import Recording
from sessions_app.events import recorder
from sessions_app.events.archive import events_between
from sessions_app.models import SessionEvent
from sessions_app.realtime import frames as realtime_frames
from sessions_app.realtime.frames import JSON, Frame
from stories import stories
from stories.models import Story

# As many as a live page catches up with before it is loaded anew.
OPENING_MOST = realtime_frames.CATCH_UP_MOST
# A live page loads itself anew rather than take a frame above 32 kB; a replay has only its frames.
MOST_BYTES = 4_000_000
CLOCK = "replay.clock"


@dataclass(frozen=True, slots=True)
class Shape:
    """For whom frames are made, and in which format."""

    audience: str
    format: str


def opening(recording: Recording, shape: Shape, after: int, until: int) -> Iterator[SessionEvent]:
    """The events that bring a page from ``after`` to ``until`` (seqs): the latest of them.

    They may begin before the run: what was written or said then was on the page as it began.
    """
    first = max(after, until - OPENING_MOST) + 1
    return events_between(recording.session, first, until, shape.audience)


def coming(recording: Recording, shape: Shape, after: int) -> Iterator[SessionEvent]:
    """The events of the run after ``after``."""
    first = max(after + 1, recording.first)
    return events_between(recording.session, first, recording.last, shape.audience)


def piece(found: Iterator[SessionEvent], most: int) -> list[SessionEvent]:
    return list(islice(found, most))


def frames(
    found: Sequence[SessionEvent], prev: int, shape: Shape
) -> list[tuple[SessionEvent, str]]:
    """Those of the events that can be shown, each with its frame as text."""
    made = []
    for event in _still_public(found) if shape.audience == recorder.PUBLIC else found:
        text = realtime_frames.render_event(event, prev, shape.audience, shape.format, MOST_BYTES)
        if text is not None:
            made.append((event, text))
            prev = event.seq
    return made


def _still_public(found: Sequence[SessionEvent]) -> list[SessionEvent]:
    """Without what is told of stories that were pulled, then or at any time since."""
    told = {_story(event) for event in found} - {None}
    if not told:
        return list(found)
    rows = Story.objects.filter(stories.PUBLISHED, pk__in=told, session_id=found[0].session_id)
    public = {None, *rows.values_list("pk", flat=True)}
    return [event for event in found if _story(event) in public]


def _story(event: SessionEvent) -> Any:
    """The id of the story that the public is told of, or None."""
    public = event.payload["public"]
    return public.get("story", {}).get("id") or (public.get("sound") or {}).get("story")


def clock(recording: Recording, wait: Wait, speed: int, shape: Shape, *, over: bool = False) -> str:
    """Where the replay stands: an ephemeral frame, moments in ms since the beginning of the run."""
    data = {
        "began": recorder.timestamp(recording.began),
        "at": recording.offset(wait.at),
        "until": recording.offset(wait.until),
        "cut": int(wait.cut.total_seconds()),
        "speed": speed,
        "over": over,
    }
    frame: Frame = realtime_frames.ephemeral(recording.session.pk, CLOCK, data)
    if shape.format == JSON:
        return json.dumps(asdict(frame))
    return render_to_string("studio/replay/clock.html", asdict(frame))
