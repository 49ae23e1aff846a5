"""The pace of a replay: how long to wait for what happened next, and which silences are cut."""

from __future__ import annotations

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
    """From ``at`` to ``until`` in the recording's time; ``cut`` is what is left out after it."""

    at: datetime
    until: datetime
    cut: timedelta

    def seconds(self, speed: int) -> float:
        """How long it takes at this speed."""
        return (self.until - self.at).total_seconds() / speed


class Pace:
    """Where a replay has come to in the recording, and until when a story is being told."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.told_until = at

    def wait(self, until: datetime) -> Wait:
        """How to come to ``until``: of a silence that is longer than ``SILENCE`` the rest is cut.

        While a story is told nothing is silent, however long nothing happens.
        """
        until = max(until, self.at)
        silence = until - max(self.at, min(self.told_until, until))
        cut = max(silence - SILENCE, NOTHING)
        return Wait(self.at, until - cut, cut)

    def reach(self, at: datetime) -> None:
        self.at = max(self.at, at)

    def told(self, type_: str, payload: dict[str, Any]) -> None:
        """Take note of an event that was shown."""
        if type_ == "story.aired":
            self.told_until = parse_datetime(payload["story"]["finish_at"] or "") or self.at
        elif type_ == "story.finished":
            self.told_until = self.at
