"""The pace of a replay: how long to wait for the next event, and which silences are cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime

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
