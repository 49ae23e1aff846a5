"""Starts children in order, restarts the dead, and stops them all so that nothing is left."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Self

from smnb.runner.process import Child, ChildSpec, say

TICK = 0.1
SAME_SIGNAL_WITHIN = 0.4
DEATHS_ALLOWED, DEATHS_WINDOW = 5, 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """A signal asked the studio to stop while it was still starting."""


class GaveUp(Exception):
    """One child died too often, or never got ready; the text says which, in one sentence."""


@dataclass
class _Watched:
    """A child across its lives: ``child`` is None while it waits for ``start_at``."""

    spec: ChildSpec
    child: Child | None = None
    start_at: float = 0.0
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS_ALLOWED))


class Supervisor:
    """A context manager: inside it signals are ours, at its end every child has ended."""

    def __init__(self, children: Sequence[ChildSpec] = ()) -> None:
        self._watched = [_Watched(spec) for spec in children]
        self._width = max((len(spec.name) for spec in children), default=0)
        self._signals = 0
        self._last_signal = float("-inf")
        self._former: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._former[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @property
    def stop_requested(self) -> bool:
        return self._signals > 0

    def pids(self) -> dict[str, int]:
        """Process ids of the children that run now, by name."""
        running = [watched.child for watched in self._watched if watched.child]
        return {child.spec.name: child.process.pid for child in running if not child.ended}

    def start(self) -> None:
        """Starts all that do not run yet, each after the one before it is ready."""
        for watched in self._watched:
            if watched.child is None:
                self._start(watched)

    def start_first(self, name: str) -> None:
        """Starts one child ahead of the others."""
        self._start(next(watched for watched in self._watched if watched.spec.name == name))

    def run(self, until: Callable[[], bool] = lambda: False, within: float = float("inf")) -> bool:
        """Looks after the children until the condition holds (True) or time is up (False).

        Raises Stopped after a signal and GaveUp when one child died five times in a minute.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self._raise_if_stopped()
            for watched in self._watched:
                self._look_after(watched)
            if until():
                return True
            time.sleep(TICK)
        return False

    def stop(self) -> None:
        """All softly and together, those marked last afterwards; a second signal hurries."""
        for last in (False, True):
            group = [w.child for w in self._watched if w.child and w.spec.last is last]
            for child in group:
                child.stop()
            self._wait_for_end(group)
            for child in group:
                child.kill()
        for watched in self._watched:
            watched.child = None

    def _wait_for_end(self, group: list[Child]) -> None:
        began = time.monotonic()
        while any(
            not child.ended and time.monotonic() - began < child.spec.grace for child in group
        ):
            if self._signals > 1:
                return
            time.sleep(TICK / 2)

    def _start(self, watched: _Watched) -> None:
        self._raise_if_stopped()
        watched.child = Child(watched.spec, self._width)
        if watched.spec.ready is None:
            return
        if not self.run(watched.spec.ready, watched.spec.ready_within):
            seconds = watched.spec.ready_within
            raise GaveUp(f"{watched.spec.name} was not ready after {seconds:g} s.")

    def _look_after(self, watched: _Watched) -> None:
        if watched.child is None:
            if watched.start_at and time.monotonic() >= watched.start_at:
                watched.child = Child(watched.spec, self._width)
            return
        if not watched.child.ended:
            return
        watched.child.kill()
        code = watched.child.process.returncode
        watched.child = None
        watched.start_at = time.monotonic() + self._pause_after_death(watched, code)

    def _pause_after_death(self, watched: _Watched, code: int) -> float:
        now, name = time.monotonic(), watched.spec.name
        while watched.deaths and now - watched.deaths[0] > DEATHS_WINDOW:
            watched.deaths.popleft()
        watched.deaths.append(now)
        if len(watched.deaths) == DEATHS_ALLOWED:
            raise GaveUp(
                f"{name} died {DEATHS_ALLOWED} times within a minute; see its lines above."
            )
        pause = min(FIRST_PAUSE * 2.0 ** (len(watched.deaths) - 1), LONGEST_PAUSE)
        again = f"{name} ended ({_in_words(code)}); starting it again in {pause:g} s"
        say(f"{'studio':{self._width}} | {again}")
        return pause

    def _raise_if_stopped(self) -> None:
        if self._signals:
            raise Stopped

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        # One Ctrl-C may arrive twice: from the terminal and from make.
        if now - self._last_signal > SAME_SIGNAL_WITHIN:
            self._signals += 1
        self._last_signal = now


def _in_words(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
