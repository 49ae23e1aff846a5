"""The sockets of replays: as the live ones, but what they send has happened before.

``?speed=1..60`` and ``?at=<ms since the run began>`` say how to play; ``{"after": seq}`` starts it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from broadcast.replay import runs
from broadcast.replay.frames import Shape
from broadcast.replay.pacing import FASTEST
from broadcast.replay.player import Player, Wish
from broadcast.replay.runs import Recording
from sessions_app import context
from sessions_app.errors import NotFound, SmnbError
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime.consumers import (
    NO_SESSION,
    NOT_UNDERSTOOD,
    LiveConsumer,
    OwnerConsumer,
    WatchConsumer,
)
from sessions_app.realtime.grants import Grant
from sessions_app.realtime.hub import TRY_LATER, get_hub

log = structlog.get_logger(__name__)

# All that play in this process.
_playing: set[Replaying] = set()


class Replaying(LiveConsumer):
    """One replay of one run; subclasses say by what right."""

    recording: Recording
    right: Grant
    wish: Wish
    task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.leave()

    async def enter(self, grant: Grant) -> None:
        wish = wished(self.query())
        if wish is None:
            await self.close(code=NOT_UNDERSTOOD)
            return
        if self.is_too_many():
            await self.close(code=TRY_LATER)
            return
        number = self.scope["url_route"]["kwargs"]["run_number"]
        try:
            self.recording = await _find(grant, number, self.audience)
        except NotFound:
            await self.close(code=NO_SESSION)
            return
        self.right, self.wish, self.request_times = grant, wish, []
        _playing.add(self)

    def is_too_many(self) -> bool:
        """Whether this process, or for the public this address, has as many as it may have."""
        most, each = settings.SMNB.limit_replays, settings.SMNB.limit_public_sockets
        if most and len(_playing) >= most:
            return True
        if not each or self.audience != recorder.PUBLIC:
            return False
        address = self.address()
        same = sum(one.audience == recorder.PUBLIC and one.address() == address for one in _playing)
        return same + get_hub().open_from(address) >= each

    async def answer(self, after: int) -> None:
        if self.task is not None:
            self.task.cancel()
        shape = Shape(self.audience, self.format())
        player = Player(self, self.recording, shape, self.right, self.wish)
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
    """/ws/sessions/<uuid>/replay/<run>/: by the login's cookie and our origin, or by a token."""


class WatchReplay(Replaying, WatchConsumer):
    """/ws/watch/<token>/replay/<run>/: by the public address."""


def wished(query: dict[str, list[str]]) -> Wish | None:
    """How the page wants it played; None when that cannot be understood."""
    found = {name: query.get(name, [default])[0] for name, default in (("speed", "1"), ("at", "0"))}
    if not all(text.isdecimal() and text.isascii() and len(text) < 13 for text in found.values()):
        return None
    wish = Wish(int(found["speed"]), int(found["at"]))
    return wish if 1 <= wish.speed <= FASTEST else None


@database_sync_to_async
def _find(grant: Grant, number: int, audience: str) -> Recording:
    session = Session.objects.get(pk=grant.session_id)
    return runs.find(session, number, audience)
