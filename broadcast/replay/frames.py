"""The frames of a replay: those of the live pages, made again from the events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.template.loader import render_to_string
from django.utils.dateparse import parse_datetime

from broadcast.replay.runs import Recording
from sessions_app.events import recorder
from sessions_app.events.archive import events_between
from sessions_app.models import SessionEvent
from sessions_app.realtime import frames as realtime_frames
from sessions_app.realtime.frames import JSON, Frame
from stories import stories
from stories.models import Story

# As many as a live page catches up with before it reloads.
OPENING_MOST = realtime_frames.CATCH_UP_MOST
# A live page reloads instead of getting a frame above 32 kB; a replay has nothing but its frames.
MOST_BYTES = 4_000_000
CLOCK = "replay.clock"


@dataclass(frozen=True, slots=True)
class Shape:
    """The audience and the format of frames."""

    audience: str
    format: str


def opening(recording: Recording, shape: Shape, after: int, until: int) -> Iterator[SessionEvent]:
    """Returns the latest events that bring a page from ``after`` to ``until`` (seqs).

    They may precede the run, because earlier stories and messages were on the page as it began.
    """
    first = max(after, until - OPENING_MOST) + 1
    return events_between(recording.session, first, until, shape.audience)


def coming(recording: Recording, shape: Shape, after: int) -> Iterator[SessionEvent]:
    """Returns the events of the run after ``after``."""
    first = max(after + 1, recording.first)
    return events_between(recording.session, first, recording.last, shape.audience)


def take(events: Iterator[SessionEvent], most: int) -> list[SessionEvent]:
    return list(islice(events, most))


def frames(
    events: Sequence[SessionEvent], prev: int, shape: Shape
) -> list[tuple[SessionEvent, str]]:
    """Returns the events that have a frame, each with its frame as text."""
    made = []
    for event in without_pulled(events) if shape.audience == recorder.PUBLIC else events:
        text = realtime_frames.render_event(event, prev, shape.audience, shape.format, MOST_BYTES)
        if text is not None:
            made.append((event, text))
            prev = event.seq
    return made


def without_pulled(events: Sequence[SessionEvent]) -> Sequence[SessionEvent]:
    """Removes public events about stories that were pulled, in the run or at any time since."""

    def story_of(event: SessionEvent) -> int | None:
        public = event.payload["public"]
        story: int | None = public.get("story", {}).get("id")
        return story or (public.get("sound") or {}).get("story")

    story_ids = {story for event in events if (story := story_of(event)) is not None}
    if not story_ids:
        return events
    rows = Story.objects.filter(
        stories.PUBLISHED, pk__in=story_ids, session_id=events[0].session_id
    )
    public = {None, *rows.values_list("pk", flat=True)}
    return [event for event in events if story_of(event) in public]


def clock(recording: Recording, wait: Wait, speed: int, shape: Shape, *, over: bool = False) -> str:
    """Returns the ephemeral frame with the position of the replay, in ms since the run began."""
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


SPEEDS = (1, 2, 4, 8, 16, 32, 60)
FASTEST = SPEEDS[-1]
SILENCE = timedelta(seconds=10)
NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait from ``at`` to ``until`` in recording time; ``cut`` is the time skipped after it."""

    at: datetime
    until: datetime
    cut: timedelta

    def seconds(self, speed: int) -> float:
        """Returns how long the wait takes at this speed."""
        return (self.until - self.at).total_seconds() / speed


class Pace:
    """The position of a replay in the recording, and the end of the story that is on air there."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.on_air_until = at

    def wait(self, until: datetime) -> Wait:
        """Returns the wait for ``until``; of a longer silence only ``SILENCE`` is left.

        There is no silence while a story is on air, even when no event happens for a long time.
        """
        until = max(until, self.at)
        silence = until - max(self.at, min(self.on_air_until, until))
        cut = max(silence - SILENCE, NOTHING)
        return Wait(self.at, until - cut, cut)

    def reach(self, at: datetime) -> None:
        self.at = max(self.at, at)

    def note(self, type_: str, payload: Mapping[str, Any]) -> None:
        """Notes from an event that was sent until when a story is on air."""
        if type_ == "story.aired":
            self.on_air_until = parse_datetime(payload["story"]["finish_at"] or "") or self.at
        elif type_ == "story.finished":
            self.on_air_until = self.at
