"""Starts child processes in order, restarts those that end or hang, and stops all of them at the end.

A child that was ready once is restarted for as long as the studio runs, after pauses that grow while
it dies soon after each start. Only one that never became ready ends the studio. One whose main loop gives
no sign of life for a minute is killed: it lives, but would answer nothing any more.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TypedDict

from smnb.logging import relay
from smnb.runner.process import Child, ChildSpec, copy_lines

STATUS_FILE = "studio.json"  # in the data folder
TICK = 0.1
STARTING_TICK = 0.01  # while nothing else can begin
SAME_SIGNAL_WITHIN = 0.4
STARTS_ALLOWED = 5  # of a child that was never ready
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
QUIET = 60.0  # a child that ran for so long was ready, and pauses start again with the first
# Before its first sign a part loads code and connects, which takes long on a slow machine.
STARTING_FACTOR = 5
# What a silence grows by at most between two looks: while the studio or the machine is stopped, the
# other processes are stopped as well, or write signs that are read afterwards.
LONGEST_LOOK = 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """A signal asked the studio to stop."""


class GaveUp(Exception):
    """A child never became ready; the message is shown in the terminal."""


class Down(TypedDict):
    """A child that does not run: how it ended, and the times (ISO 8601) of its end and next start."""

    ended: str
    since: str
    next_start: str


def read_status(path: Path) -> dict[str, Down] | None:
    """Returns the children that are down, by name; None where no supervisor writes ``path``."""
    try:
        found: dict[str, Down] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


def sentence_of_down(name: str, down: Down) -> str:
    """Returns what is down, since when, and what happens next."""
    since, then = (
        f"{datetime.fromisoformat(at):%H:%M:%S}" for at in (down["since"], down["next_start"])
    )
    return f"{name} ended at {since} UTC ({down['ended']}); it is started again at {then}."


@dataclass
class _Watched:
    """A child and its restarts; ``child`` is None until it is started again at ``start_at``."""

    spec: ChildSpec
    child: Child | None = None
    started: float = 0.0
    start_at: float = 0.0
    was_ready: bool = False
    silent: float = 0.0  # seconds since the last sign of life, or since the start
    signed: bool = False
    deaths: int = 0  # in a row, each within QUIET of its start
    down: Down | None = None


class Supervisor:
    """A context manager that handles signals; when it exits, every child has ended."""

    def __init__(
        self,
        children: Sequence[ChildSpec] = (),
        status: Path | None = None,
        longest_silence: float = float("inf"),
    ) -> None:
        """``status`` is the file from which ``read_status`` reads the children that are down.

        A child that signs is killed after ``longest_silence`` seconds without a sign of life.
        """
        self._status, self._longest_silence = status, longest_silence
        self._looked = time.monotonic()
        self._watched = [_Watched(spec) for spec in children]
        self._width = max((len(spec.name) for spec in children), default=0)
        self._signals = 0
        self._last_signal = float("-inf")
        self._former: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            self._former[number] = signal.signal(number, self.on_signal)
        # A studio that was killed leaves its file.
        self._write_status()
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

    def run(
        self,
        until: Callable[[], bool] = lambda: False,
        within: float = float("inf"),
        tick: float = TICK,
    ) -> bool:
        """Restarts dead children until the condition holds (True) or time is up (False).

        Raises Stopped after a signal, and GaveUp when a child that was never ready died five times.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self._raise_if_stopped()
            passed, self._looked = time.monotonic() - self._looked, time.monotonic()
            for watched in self._watched:
                self._restart_if_dead(watched, self._is_silent(watched, passed))
            if until():
                return True
            copy_lines([watched.child for watched in self._watched if watched.child], tick)
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
                copy_lines(group, TICK / 2)
            for child in group:
                child.kill()
        for watched in self._watched:
            watched.child = None

    def confirm_ready(self) -> None:
        """Notes that the studio answers: the children that run now were ready once."""
        for watched in self._watched:
            watched.was_ready = watched.was_ready or watched.child is not None

    def _start(self, watched: _Watched) -> None:
        self._raise_if_stopped()
        watched.child, watched.started = Child(watched.spec, self._width), time.monotonic()
        if watched.spec.ready is None:
            return
        if not self.run(watched.spec.ready, watched.spec.ready_within, STARTING_TICK):
            seconds = watched.spec.ready_within
            raise GaveUp(f"{watched.spec.name} was not ready after {seconds:g} s.")
        watched.was_ready = True

    def _is_silent(self, watched: _Watched, passed: float) -> bool:
        """Whether a child has given no sign of life for too long; ``passed`` is since the last look."""
        if watched.child is None or not watched.spec.signs:
            return False
        watched.silent += min(passed, LONGEST_LOOK)
        if watched.child.signed():
            watched.silent, watched.signed = 0.0, True
        longest = self._longest_silence * (1 if watched.signed else STARTING_FACTOR)
        return watched.silent > longest

    def _restart_if_dead(self, watched: _Watched, silent: bool) -> None:
        """Starts a child again that is due, or plans the start of one that has ended or is silent."""
        now = time.monotonic()
        if watched.child is None:
            if not watched.start_at or now < watched.start_at:
                return
            try:
                watched.child, watched.started = Child(watched.spec, self._width), now
            except OSError as error:
                # Without memory, processes or the program itself; the others need their supervisor.
                self._plan_restart(watched, f"not started: {type(error).__name__}")
            else:
                watched.down = None
                self._write_status()
        elif silent or watched.child.ended:
            # With its own children, which may still run.
            watched.child.kill()
            code = watched.child.process.wait()
            watched.child = None
            if now - watched.started >= QUIET:
                watched.deaths, watched.was_ready = 0, True
            reason = f"signal {-code}" if code < 0 else f"exit status {code}"
            if silent:
                reason = f"killed after {watched.silent:.0f} s without a sign of life"
            watched.silent, watched.signed = 0.0, False
            self._plan_restart(watched, reason)

    def _plan_restart(self, watched: _Watched, reason: str) -> None:
        """Chooses when to start a dead child again; GaveUp if it was never ready."""
        name = watched.spec.name
        watched.deaths += 1
        if not watched.was_ready and watched.deaths >= STARTS_ALLOWED:
            raise GaveUp(
                f"{name} ended {STARTS_ALLOWED} times before it was ready; see its lines above."
            )
        # The exponent is bounded too, as the power of a child that dies for days would overflow.
        pause = min(FIRST_PAUSE * 2.0 ** min(watched.deaths - 1, 16), LONGEST_PAUSE)
        watched.start_at = time.monotonic() + pause
        at = datetime.now(UTC)
        watched.down = {
            "ended": reason,
            "since": watched.down["since"] if watched.down else at.isoformat(),
            "next_start": (at + timedelta(seconds=pause)).isoformat(),
        }
        self._write_status()
        relay(f"{'studio':{self._width}} | {name} ended ({reason}); restarting in {pause:g} s")

    def _write_status(self) -> None:
        """Writes the children that are down, for the pages; a full disk is no reason to end."""
        if self._status is None:
            return
        down = {w.spec.name: w.down for w in self._watched if w.down is not None}
        draft = self._status.with_suffix(".tmp")
        with suppress(OSError):
            draft.write_text(json.dumps(down))
            draft.replace(self._status)

    def _raise_if_stopped(self) -> None:
        if self._signals:
            raise Stopped

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        # One Ctrl-C may arrive twice: from the terminal and from make.
        if now - self._last_signal > SAME_SIGNAL_WITHIN:
            self._signals += 1
        self._last_signal = now
