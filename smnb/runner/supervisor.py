"""Starts child processes in order, restarts those that die, and stops all of them at the end."""

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
    """A signal asked the studio to stop."""


class GaveUp(Exception):
    """A child died too often or never became ready; the message is shown in the terminal."""


@dataclass
class _Watched:
    """A child and its restarts; ``child`` is None until it is started again at ``start_at``."""

    spec: ChildSpec
    child: Child | None = None
    start_at: float = 0.0
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS_ALLOWED))


class Supervisor:
    """A context manager that handles signals; when it exits, every child has ended."""

    def __init__(self, children: Sequence[ChildSpec] = ()) -> None:
        self._watched = [_Watched(spec) for spec in children]
        self._width = max((len(spec.name) for spec in children), default=0)
        self._signals = 0
        self._last_signal = float("-inf")
        self._former: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._former[number] = signal.signal(number, self.on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Before the handlers are restored, because a second signal has to skip the waiting.
        self.stop()
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @property
    def stop_requested(self) -> bool:
        return self._signals > 0

    def pids(self) -> dict[str, int]:
        """Returns the process ids of the running children by name."""
        running = [watched.child for watched in self._watched if watched.child]
        return {child.spec.name: child.process.pid for child in running if not child.ended}

    def start(self) -> None:
        """Starts the children that do not run yet, each once the previous one is ready."""
        for watched in self._watched:
            if watched.child is None:
                self._start(watched)

    def start_first(self, name: str) -> None:
        """Starts one child before the others."""
        self._start(next(watched for watched in self._watched if watched.spec.name == name))

    def run(self, until: Callable[[], bool] = lambda: False, within: float = float("inf")) -> bool:
        """Restarts dead children until the condition holds (True) or time is up (False).

        Raises Stopped after a signal and GaveUp when one child died five times in a minute.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self._raise_if_stopped()
            for watched in self._watched:
                self._restart_if_dead(watched)
            if until():
                return True
            time.sleep(TICK)
        return False

    def stop(self) -> None:
        """Asks all children to end, those with ``last`` after the others, and kills what is left.

        A second signal skips the waiting.
        """
        # Redis ends last, because workers need it to hand back their tasks.
        for last in (False, True):
            group = [w.child for w in self._watched if w.child and w.spec.last is last]
            for child in group:
                child.stop()
            began = time.monotonic()
            while self._signals <= 1 and any(
                not child.ended and time.monotonic() - began < child.spec.grace for child in group
            ):
                time.sleep(TICK / 2)
            for child in group:
                child.kill()
        for watched in self._watched:
            watched.child = None

    def _start(self, watched: _Watched) -> None:
        self._raise_if_stopped()
        watched.child = Child(watched.spec, self._width)
        if watched.spec.ready is None:
            return
        if not self.run(watched.spec.ready, watched.spec.ready_within):
            seconds = watched.spec.ready_within
            raise GaveUp(f"{watched.spec.name} was not ready after {seconds:g} s.")

    def _restart_if_dead(self, watched: _Watched) -> None:
        """Starts a child again that is due, or plans a restart of one that has just died.

        The pause doubles with each death within a minute; the fifth death raises GaveUp.
        """
        now, name = time.monotonic(), watched.spec.name
        if watched.child is None:
            if watched.start_at and now >= watched.start_at:
                watched.child = Child(watched.spec, self._width)
            return
        if not watched.child.ended:
            return
        # Its own children may still run.
        watched.child.kill()
        code = watched.child.process.returncode
        watched.child = None
        # Old deaths do not count, so a child that dies once a day is restarted forever.
        while watched.deaths and now - watched.deaths[0] > DEATHS_WINDOW:
            watched.deaths.popleft()
        watched.deaths.append(now)
        if len(watched.deaths) == DEATHS_ALLOWED:
            raise GaveUp(
                f"{name} died {DEATHS_ALLOWED} times within a minute; see its lines above."
            )
        pause = min(FIRST_PAUSE * 2.0 ** (len(watched.deaths) - 1), LONGEST_PAUSE)
        watched.start_at = time.monotonic() + pause
        reason = f"signal {-code}" if code < 0 else f"exit status {code}"
        say(f"{'studio':{self._width}} | {name} ended ({reason}); restarting in {pause:g} s")

    def _raise_if_stopped(self) -> None:
        if self._signals:
            raise Stopped

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        # One Ctrl-C may arrive twice: from the terminal and from make.
        if now - self._last_signal > SAME_SIGNAL_WITHIN:
            self._signals += 1
        self._last_signal = now
