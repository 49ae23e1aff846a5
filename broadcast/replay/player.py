"""The player: one task for each socket, which paces the frames of one replay and writes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

from broadcast.replay import frames
from broadcast.replay.frames import Shape
from broadcast.replay.pacing import NOTHING, Pace, Wait
from broadcast.replay.runs import Recording
from sessions_app.models import SessionEvent
from sessions_app.realtime import grants
from sessions_app.realtime.grants import Grant
from sessions_app.realtime.hub import GOING_AWAY, GONE, GRANTS_EVERY, LIFETIME, WITHDRAWN, Socket

P = ParamSpec("P")
T = TypeVar("T")

OVER = 1000
LINGER = 60.0
PIECE = 50
FRAMES_A_SECOND = 40
# Shorter waits are not worth a frame that says how long they are.
WORTH_SAYING = 0.1
# A replay that cannot keep pace goes on from where it is rather than hurrying after it.
MOST_BEHIND = 2.0


@dataclass(frozen=True, slots=True)
class Wish:
    """How fast to play (1 to 60 times), and from where: milliseconds since the run began."""

    speed: int = 1
    at: int = 0


class Player:
    """One replay on one socket; ``play`` returns when it is over or has lost its right."""

    def __init__(
        self, socket: Socket, recording: Recording, shape: Shape, grant: Grant, wish: Wish
    ) -> None:
        self.socket, self.recording, self.shape = socket, recording, shape
        self.grant, self.speed = grant, wish.speed
        self.pace = Pace(recording.moment(wish.at))
        self.seq = 0
        self._checked = time.monotonic()
        self._until = self._checked + LIFETIME[0]
        self._due = self._checked

    async def play(self, after: int) -> None:
        """Bring a page that has come to ``after`` to where it begins, then play on from there."""
        reached = await self._open(after)
        found = frames.coming(self.recording, self.shape, reached)
        self._due = time.monotonic()
        while events := await _away(frames.piece, found, 1):
            if not await self._come_to(events[0]):
                return
            await self._show(events)
        await self._say(_standing(self.recording.ended), over=True)
        # A page that is slow has frames to read yet, and leaves when it has come to the end.
        if await self._rest(LINGER):
            await self.socket.end(OVER)

    async def _open(self, after: int) -> int:
        """Show at once what had happened before the moment at which the replay begins."""
        before, self.pace = await _away(_position, self.recording, self.pace.at, after)
        until = max(after, before)
        self.seq = after
        found = frames.opening(self.recording, self.shape, after, until)
        while events := await _away(frames.piece, found, PIECE):
            await self._show(events)
        await self._say(_standing(self.pace.at))
        return until

    async def _show(self, events: list[SessionEvent]) -> None:
        for event, text in await _away(frames.frames, events, self.seq, self.shape):
            await self.socket.send_text(text)
            self.seq = event.seq
            self.pace.told(event.type, event.payload)
        self.pace.reach(events[-1].at)

    async def _come_to(self, event: SessionEvent) -> bool:
        """Wait until the event is due; False when the socket was closed meanwhile."""
        wait, now = self.pace.wait(event.at), time.monotonic()
        seconds = max(wait.seconds(self.speed), 1 / FRAMES_A_SECOND)
        self._due = max(self._due, now - MOST_BEHIND) + seconds
        if wait.cut or seconds > WORTH_SAYING:
            await self._say(wait)
        return await self._rest(max(self._due - now, 1 / FRAMES_A_SECOND))

    async def _rest(self, seconds: float) -> bool:
        """Sleep, and look every 15 s whether the socket may stay open."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(
                min(left, max(0.0, self._checked + GRANTS_EVERY - time.monotonic()))
            )
            if time.monotonic() - self._checked >= GRANTS_EVERY and not await self._may_stay():
                return False
        return True

    async def _may_stay(self) -> bool:
        self._checked = time.monotonic()
        if not await _away(_valid, self.grant):
            await self.socket.end(WITHDRAWN if self.grant.kind == "watch" else GONE)
            return False
        if self._checked > self._until:
            await self.socket.end(GOING_AWAY)
            return False
        return True

    async def _say(self, wait: Wait, *, over: bool = False) -> None:
        clock = frames.clock(self.recording, wait, self.speed, self.shape, over=over)
        await self.socket.send_text(clock)


def _standing(at: datetime) -> Wait:
    return Wait(at, at, NOTHING)


async def _away(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call what reads the database in the thread that may."""
    found: T = await database_sync_to_async(function)(*args, **kwargs)
    return found


def _position(recording: Recording, at: datetime, after: int) -> tuple[int, Pace]:
    """The seq up to which the page is to be brought, and where in the recording it then is.

    A page that comes back has come further than to where it first began.
    """
    pace = Pace(max(at, recording.reached(after)))
    pace.told_until = recording.told_until(pace.at)
    return recording.before(pace.at), pace


def _valid(grant: Grant) -> bool:
    return grant in grants.still_valid([grant])
