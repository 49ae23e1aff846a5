"""The hub: one per web process. It reads what happened and hands the same bytes to every socket.

One Redis subscription says "look again"; every 2 s, and after any trouble with Redis, the hub looks
by itself, so a lost message costs its viewers 2 s and nothing else. An event is rendered once per
audience and format.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import redis.asyncio
import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError
from redis import RedisError

from sessions_app import context
from sessions_app.events import recorder
from sessions_app.models import SessionEvent
from sessions_app.realtime import frames, grants
from sessions_app.realtime.grants import Grant

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0
GRANTS_EVERY = 15.0
LIFETIME = (6 * 3600, 12 * 3600)  # seconds; spread, so that pages do not all return at once

# Daphne sends only 1000 and 3000 to 4999; a page comes back after all of these but the first.
GONE, WITHDRAWN, GOING_AWAY, TRY_LATER = 4401, 4404, 4012, 4013


class Socket(Protocol):
    """What the hub needs of a consumer."""

    async def send_text(self, text: str) -> None: ...

    async def end(self, code: int) -> None: ...


@dataclass(eq=False, slots=True)
class Viewer:
    """One open socket: what it may see, in which format, and how far it got."""

    socket: Socket
    grant: Grant
    audience: str
    format: str
    address: str = ""
    sent: int = 0
    catching_up: bool = False
    until: float = field(
        default_factory=lambda: time.monotonic() + random.uniform(*LIFETIME)  # noqa: S311
    )

    @property
    def session_id(self) -> UUID:
        return self.grant.session_id


@dataclass(slots=True)
class Room:
    """The viewers of one session, and the last seq handed out to each audience."""

    last: int
    prev: dict[str, int]
    folder: str  # of the session, for lines about it
    viewers: set[Viewer] = field(default_factory=set)

    def shapes(self) -> set[tuple[str, str]]:
        return {(viewer.audience, viewer.format) for viewer in self.viewers}


class Hub:
    """All sockets of this process; made by ``get_hub`` in the loop that serves them."""

    def __init__(self) -> None:
        self.rooms: dict[UUID, Room] = {}
        self._dirty: set[UUID] = set()
        self._wake = asyncio.Event()
        self._entering = asyncio.Lock()
        # In a context of their own, not in that of the socket that happened to come first.
        with context.scope(environment="server", operation="hub"):
            self._tasks = [
                asyncio.create_task(task, name=f"hub-{name}")
                for name, task in (
                    ("listen", self._listen()),
                    ("pump", self._pump()),
                    ("grants", self._check_grants()),
                )
            ]

    async def close(self) -> None:
        """End the hub's tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def join(self, viewer: Viewer) -> None:
        async with self._entering:
            room = self.rooms.get(viewer.session_id)
            if room is None:
                last = await frames.last_seq(viewer.session_id)
                prev = {recorder.OWNER: last, recorder.PUBLIC: last}
                room = Room(last, prev, viewer.grant.folder)
                self.rooms[viewer.session_id] = room
        viewer.sent = room.last
        room.viewers.add(viewer)
        self._look(viewer.session_id)

    def leave(self, viewer: Viewer) -> None:
        room = self.rooms.get(viewer.session_id)
        if room is not None:
            room.viewers.discard(viewer)
            if not room.viewers:
                del self.rooms[viewer.session_id]

    def open_from(self, address: str) -> int:
        """How many public sockets this address has open."""
        everybody = (viewer for room in self.rooms.values() for viewer in room.viewers)
        return sum(v.address == address and v.audience == recorder.PUBLIC for v in everybody)

    async def catch_up(self, viewer: Viewer, after: int) -> None:
        """Send everything since ``after``, in order, by the same function as live frames, and then
        the text so far of streams under way.

        Live frames are held back meanwhile: what is handed out as we read is read in a next round.
        """
        room = self.rooms.get(viewer.session_id)
        if room is None:
            return
        viewer.catching_up = True
        try:
            reached, handed_out = max(after, 0), -1
            while handed_out != room.last:
                handed_out = room.last
                texts, reached = await frames.since(
                    viewer.session_id, viewer.audience, viewer.format, reached
                )
                for text in texts:
                    await viewer.socket.send_text(text)
                viewer.sent = max(viewer.sent, reached)
                # In the same round: if the result of a stream is handed out after its text was
                # read, the next round sends it after the text, and no page shows an old text.
                if viewer.audience == recorder.OWNER:
                    for text in await frames.streams(viewer.session_id, viewer.format):
                        await viewer.socket.send_text(text)
        finally:
            viewer.catching_up = False

    def _look(self, session_id: UUID) -> None:
        if session_id in self.rooms:
            self._dirty.add(session_id)
            self._wake.set()

    async def _listen(self) -> None:
        """Hear "look again" and ephemeral frames; after any trouble look everywhere and reconnect."""
        while True:
            try:
                client = redis.asyncio.Redis.from_url(
                    settings.REDIS.hub, socket_timeout=None, socket_connect_timeout=5
                )
                async with client, client.pubsub() as pubsub:
                    await pubsub.subscribe(recorder.CHANNEL)
                    self._dirty.update(self.rooms)
                    self._wake.set()
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            await self._guarded("listen", self._heard(message["data"]))
            except (RedisError, OSError) as error:
                log.warning("hub_lost_redis", error=type(error).__name__)
                await asyncio.sleep(1)

    async def _heard(self, data: bytes) -> None:
        body: dict[str, Any] = json.loads(data)
        session_id = UUID(body["session"])
        if "seq" in body:
            self._look(session_id)
            return
        room = self.rooms.get(session_id)
        if room is not None:
            frame = frames.ephemeral(session_id, body["type"], body["data"])
            owners = [v for v in room.viewers if v.audience == recorder.OWNER]
            texts = {
                f: frames.text_of(frame, recorder.OWNER, f) for f in {v.format for v in owners}
            }
            for viewer in owners:
                await self._send(viewer, texts[viewer.format])

    async def _pump(self) -> None:
        looked_everywhere = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY)
            self._wake.clear()
            wanted = self._dirty & set(self.rooms)
            self._dirty.clear()
            # Also while one busy session keeps us awake, the others are looked at in time.
            if time.monotonic() - looked_everywhere >= LOOK_EVERY:
                looked_everywhere = time.monotonic()
                wanted = set(self.rooms)
            await self._guarded("pump", self._deliver(wanted))

    async def _guarded(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Do one round; whatever goes wrong is said, and the next round comes."""
        try:
            await work
        except DatabaseError as error:
            log.warning("hub_lost_database", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY)
        except Exception:
            log.exception("hub_round_failed", round=what)
            await asyncio.sleep(1)

    async def _deliver(self, wanted: set[UUID]) -> None:
        if not wanted:
            return
        for session_id, found in (
            await frames.after({s: self.rooms[s].last for s in wanted})
        ).items():
            room = self.rooms.get(session_id)
            if room is not None:
                with context.scope(
                    session=session_id, _folder=room.folder, environment="server", operation="hub"
                ):
                    if isinstance(found, int):
                        await self._pass_over(session_id, room, found)
                        continue
                    for event in found:
                        await self._hand_out(room, event)

    async def _pass_over(self, session_id: UUID, room: Room, seq: int) -> None:
        """Have every page load itself anew in the stead of all events up to ``seq``."""
        room.last = seq
        room.prev = dict.fromkeys(room.prev, seq)
        for viewer in list(room.viewers):
            if viewer.sent < seq and not viewer.catching_up:
                viewer.sent = seq
                await self._send(viewer, frames.reload_text(session_id, seq, viewer.format))
        await self._end_the_unwanted(v for v in room.viewers if v.audience == recorder.PUBLIC)

    async def _hand_out(self, room: Room, event: SessionEvent) -> None:
        if event.seq <= room.last:
            return
        shapes = {s for s in room.shapes() if frames.visible(event.type, s[0])}
        # Before rendering: an event that cannot be shown must not hold up those after it.
        room.last = event.seq
        texts = await frames.rendered(event, dict(room.prev), shapes)
        unshown = {audience for audience, format_ in shapes if (audience, format_) not in texts}
        for audience in room.prev.keys() - unshown:
            if frames.visible(event.type, audience):
                room.prev[audience] = event.seq
        for viewer in list(room.viewers):
            text = texts.get((viewer.audience, viewer.format))
            if text is not None and viewer.sent < event.seq and not viewer.catching_up:
                viewer.sent = event.seq
                await self._send(viewer, text)
        if event.type == recorder.SESSION_CHANGED:
            # A public page that was taken down closes at once.
            await self._end_the_unwanted(v for v in room.viewers if v.audience == recorder.PUBLIC)

    async def _send(self, viewer: Viewer, text: str) -> None:
        try:
            await viewer.socket.send_text(text)
        except (OSError, RuntimeError) as error:
            log.info("viewer_gone", error=type(error).__name__)
            self.leave(viewer)

    async def _check_grants(self) -> None:
        """Close what lost its right, and what has been open for long enough."""
        while True:
            await asyncio.sleep(GRANTS_EVERY)
            await self._guarded("grants", self._end_the_unwanted())

    async def _end_the_unwanted(self, asked: Iterable[Viewer] | None = None) -> None:
        everybody = (viewer for room in self.rooms.values() for viewer in room.viewers)
        viewers = list(everybody if asked is None else asked)
        valid = await _valid({viewer.grant for viewer in viewers}) if viewers else set()
        for viewer in viewers:
            if viewer.grant not in valid:
                await self._end(viewer, WITHDRAWN if viewer.audience == recorder.PUBLIC else GONE)
            elif viewer.until < time.monotonic():
                await self._end(viewer, GOING_AWAY)

    async def _end(self, viewer: Viewer, code: int) -> None:
        self.leave(viewer)
        with contextlib.suppress(OSError, RuntimeError):
            await viewer.socket.end(code)


@database_sync_to_async
def _valid(asked: set[Grant]) -> set[Grant]:
    return grants.still_valid(asked)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def get_hub() -> Hub:
    """The hub of the running loop; garbage that startup made is frozen, as it sets the tail."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        gc.collect()
        gc.freeze()
        _hubs[loop] = Hub()
    return _hubs[loop]
