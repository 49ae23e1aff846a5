"""The player: one task per socket that sends the frames of one replay at its pace."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async

from broadcast.replay import frames
from broadcast.replay.frames import NOTHING, Pace, Shape, Wait
from broadcast.replay.runs import Recording
from sessions_app.models import SessionEvent
from sessions_app.realtime import grants
from sessions_app.realtime.close_codes import GOING_AWAY, NO_SESSION, SIGN_IN
from sessions_app.realtime.grants import Grant
from sessions_app.realtime.hub import GRANTS_EVERY
from sessions_app.realtime.presence import LIFETIME, Socket

P = ParamSpec("P")
T = TypeVar("T")

OVER = 1000
LINGER = 60.0
PIECE = 50
FRAMES_A_SECOND = 40
# Shorter waits are not announced by a frame of their own.
SHORTEST_ANNOUNCED = 0.1
# A replay that falls further behind continues from there instead of sending everything at once.
MOST_BEHIND = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """The speed of a replay (1 to 60 times) and its start in milliseconds since the run began."""

    speed: int = 1
    at: int = 0


class Player:
    """One replay on one socket; ``play`` returns when it is over or access was withdrawn."""

    def __init__(
        self, socket: Socket, recording: Recording, shape: Shape, grant: Grant, options: Options
    ) -> None:
        self.socket, self.recording, self.shape = socket, recording, shape
        self.grant, self.speed = grant, options.speed
        self.pace = Pace(recording.moment(options.at))
        self.seq = 0
        self._checked = time.monotonic()
        self._until = self._checked + LIFETIME[0]
        self._due = self._checked

    async def play(self, after: int) -> None:
        """Brings a page that shows ``after`` to the start of the replay, then plays from there."""
        reached = await self._open(after)
        events_to_come = frames.coming(self.recording, self.shape, reached)
        self._due = time.monotonic()
        while events := await _in_thread(frames.take, events_to_come, 1):
            if not await self._come_to(events[0]):
                return
            await self._show(events)
        ended = self.recording.ended
        await self._send_clock(Wait(ended, ended, NOTHING), over=True)
        # A slow page still has frames to read; it closes the socket itself after the last one.
        if await self._rest(LINGER):
            await self.socket.end(OVER)

    async def _open(self, after: int) -> int:
        """Sends the events before the start of the replay at once; returns the seq reached."""
        before, self.pace = await _in_thread(position, self.recording, self.pace.at, after)
        until = max(after, before)
        self.seq = after
        earlier_events = frames.opening(self.recording, self.shape, after, until)
        while events := await _in_thread(frames.take, earlier_events, PIECE):
            await self._show(events)
        await self._send_clock(Wait(self.pace.at, self.pace.at, NOTHING))
        return until

    async def _show(self, events: list[SessionEvent]) -> None:
        for event, text in await _in_thread(frames.frames, events, self.seq, self.shape):
            await self.socket.send_text(text, wait=True)
            self.seq = event.seq
            self.pace.note(event.type, event.payload)
        self.pace.reach(events[-1].at)

    async def _come_to(self, event: SessionEvent) -> bool:
        """Waits until the event is due; returns False when the socket was closed meanwhile."""
        wait, now = self.pace.wait(event.at), time.monotonic()
        seconds = max(wait.seconds(self.speed), 1 / FRAMES_A_SECOND)
        self._due = max(self._due, now - MOST_BEHIND) + seconds
        if wait.cut or seconds > SHORTEST_ANNOUNCED:
            await self._send_clock(wait)
        return await self._rest(max(self._due - now, 1 / FRAMES_A_SECOND))

    async def _rest(self, seconds: float) -> bool:
        """Sleeps; returns False when a check of the grant, every 15 s, closed the socket."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            until_check = max(0.0, self._checked + GRANTS_EVERY - time.monotonic())
            await asyncio.sleep(min(left, until_check))
            if time.monotonic() - self._checked >= GRANTS_EVERY and not await self._may_stay():
                return False
        return True

    async def _may_stay(self) -> bool:
        self._checked = time.monotonic()
        if not await _in_thread(still_valid, self.grant):
            await self.socket.end(NO_SESSION if self.grant.kind == "watch" else SIGN_IN)
            return False
        if self._checked > self._until:
            await self.socket.end(GOING_AWAY)
            return False
        return True

    async def _send_clock(self, wait: Wait, *, over: bool = False) -> None:
        clock = frames.clock(self.recording, wait, self.speed, self.shape, over=over)
        await self.socket.send_text(clock, wait=True)


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a function that reads the database in the thread that may do so."""
    result: T = await database_sync_to_async(function)(*args, **kwargs)
    return result


def position(recording: Recording, at: datetime, after: int) -> tuple[int, Pace]:
    """Returns the seq up to which the page is brought, and the pace at that point.

    A page that reconnects continues from the event it shows, not from where it first started.
    """
    pace = Pace(max(at, recording.reached(after)))
    pace.on_air_until = recording.on_air_until(pace.at)
    return recording.before(pace.at), pace


def still_valid(grant: Grant) -> bool:
    return grant in grants.still_valid([grant])
