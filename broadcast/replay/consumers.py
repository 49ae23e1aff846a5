"""WebSocket consumers of replays: the same frames as the live ones, made from a recording.

``?speed=1..60`` and ``?at=<ms since the run began>`` set speed and start; ``{"after": seq}`` plays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from broadcast.replay import runs
from broadcast.replay.frames import FASTEST, Shape
from broadcast.replay.player import Options, Player
from broadcast.replay.runs import Recording
from sessions_app import context
from sessions_app.errors import NotFound, SmnbError
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime import close_codes
from sessions_app.realtime.consumers import LiveConsumer, OwnerConsumer, WatchConsumer
from sessions_app.realtime.grants import Grant
from sessions_app.realtime.hub import get_hub

log = structlog.get_logger(__name__)

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
            await self.close(code=close_codes.NOT_UNDERSTOOD)
            return
        if self.is_too_many():
            await self.close(code=close_codes.TRY_LATER)
            return
        number = self.scope["url_route"]["kwargs"]["run_number"]
        try:
            self.recording = await _find(grant, number, self.audience)
        except NotFound:
            await self.close(code=close_codes.NO_SESSION)
            return
        self.granted, self.options, self.request_times = grant, options, []
        _playing.add(self)

    def is_too_many(self) -> bool:
        """Returns whether the process, or a public address, has as many replays as allowed."""
        most = settings.SMNB.limit_replays
        most_of_address = settings.SMNB.limit_public_sockets
        if most and len(_playing) >= most:
            return True
        if not most_of_address or self.audience != recorder.PUBLIC:
            return False
        address = self.address()
        replays = sum(
            replay.audience == recorder.PUBLIC and replay.address() == address
            for replay in _playing
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
            await self.close(code=close_codes.TRY_LATER)
        except SmnbError as error:
            log.warning("replay_unreadable", error=error.sentence)
            await self.close(code=close_codes.NO_SESSION)

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
