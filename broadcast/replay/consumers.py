"""WebSocket consumers of replays: the same frames as the live ones, made from a recording.

``?speed=1..60`` and ``?at=<ms since the run began>`` set speed and start; ``{"after": seq}`` plays. One
task per socket, the player, sends the frames at their pace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from broadcast.replay import frames, runs
from broadcast.replay.frames import FASTEST, NOTHING, Pace, Shape, Wait
from broadcast.replay.runs import Recording
from sessions_app import context
from sessions_app.errors import NotFound, SmnbError
from sessions_app.models import Session, SessionEvent
from sessions_app.realtime import grants
from sessions_app.realtime.consumers import LiveConsumer, OwnerConsumer, WatchConsumer
from sessions_app.realtime.grants import (
    GOING_AWAY,
    NO_SESSION,
    NOT_UNDERSTOOD,
    SIGN_IN,
    TRY_LATER,
    Grant,
)
from sessions_app.realtime.hub import GRANTS_EVERY, get_hub
from sessions_app.realtime.presence import Socket, end_of_life

log = structlog.get_logger(__name__)

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
        self._checked, self._until = time.monotonic(), end_of_life()
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


# All replays of this process, for the limits.
_playing: set[Replaying] = set()


class Replaying(LiveConsumer):
    """One replay of one run; subclasses check the access."""

    recording: Recording
    granted: Grant
    options: Options
    task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.leave()

    async def enter(self, grant: Grant) -> None:
        options = options_of(self.query())
        if options is None:
            await self.close(code=NOT_UNDERSTOOD)
            return
        if self.is_too_many(grant):
            await self.close(code=TRY_LATER)
            return
        number = self.scope["url_route"]["kwargs"]["run_number"]
        try:
            self.recording = await _find(grant, number, self.audience)
        except NotFound:
            await self.close(code=NO_SESSION)
            return
        self.granted, self.options, self.request_times = grant, options, []
        _playing.add(self)

    def is_too_many(self, grant: Grant) -> bool:
        """Returns whether the process, or a public address, has as many replays as allowed."""
        most = settings.SMNB.limit_replays
        most_of_address = settings.SMNB.limit_public_sockets
        if most and len(_playing) >= most:
            return True
        if not most_of_address or grant.user_id is not None:
            return False
        address = self.address()
        replays = sum(
            replay.granted.user_id is None and replay.address() == address for replay in _playing
        )
        return replays + get_hub().open_from(address) >= most_of_address

    async def answer(self, after: int) -> None:
        if self.task is not None:
            self.task.cancel()
        shape = Shape(self.audience, self.format())
        player = Player(self, self.recording, shape, self.granted, self.options)
        self.task = asyncio.create_task(self.play(player, after), name="replay")

    async def play(self, player: Player, after: int) -> None:
        try:
            with context.span("replay"):
                await player.play(max(after, 0))
        except DatabaseError as error:
            log.warning("replay_lost_database", error=type(error).__name__)
            await self.close(code=TRY_LATER)
        except SmnbError as error:
            log.warning("replay_unreadable", error=error.sentence)
            await self.close(code=NO_SESSION)

    async def disconnect(self, code: int) -> None:
        self.leave()

    def leave(self) -> None:
        _playing.discard(self)
        if self.task is not None:
            self.task.cancel()


class OwnerReplay(Replaying, OwnerConsumer):
    """/ws/sessions/<uuid>/replay/<run>/: access by session cookie and origin, or by token."""


class WatchReplay(Replaying, WatchConsumer):
    """/ws/watch/<token>/replay/<run>/: access by the public address."""


def options_of(query: Mapping[str, Sequence[str]]) -> Options | None:
    """Reads the options from a query string; returns None when they are invalid."""
    speed, at = query.get("speed", ["1"])[0], query.get("at", ["0"])[0]
    if not all(text.isdecimal() and text.isascii() and len(text) < 13 for text in (speed, at)):
        return None
    options = Options(int(speed), int(at))
    return options if 1 <= options.speed <= FASTEST else None


@database_sync_to_async
def _find(grant: Grant, number: int, audience: str) -> Recording:
    session = Session.objects.get(pk=grant.session_id)
    return runs.find(session, number, audience)
