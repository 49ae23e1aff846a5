"""The hub: reads new events and sends them to all sockets of this web process.

A Redis subscription says which session has new events. The hub also reads all watched sessions every
2 s and after a Redis error, so that a lost message only delays events by 2 s. An event is rendered
once for each audience and format.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import time
from collections import Counter
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
from sessions_app.realtime import close_codes, frames, grants, presence
from sessions_app.realtime.batching import Batcher, one_by_one
from sessions_app.realtime.frames import Missed
from sessions_app.realtime.grants import Credential, Grant

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0
GRANTS_EVERY = 15.0
LIFETIME = (6 * 3600, 12 * 3600)  # seconds; random, so that pages do not all reconnect at once


class Socket(Protocol):
    """The methods of a consumer that the hub calls."""

    async def send_text(self, text: str, *, wait: bool = False) -> None: ...

    async def end(self, code: int) -> None: ...


@dataclass(eq=False, slots=True)
class Viewer:
    """An open socket: its grant and format, and the last seq that it was sent."""

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
    """The viewers of a session, and the last seq that was sent to each audience."""

    last: int
    prev: dict[str, int]
    folder: str  # of the session, for log lines
    viewers: set[Viewer] = field(default_factory=set)

    def shapes(self) -> set[tuple[str, str]]:
        """Returns the (audience, format) pairs of the viewers."""
        return {(viewer.audience, viewer.format) for viewer in self.viewers}


class Hub:
    """All sockets of this process; created by ``get_hub`` in the event loop that serves them."""

    def __init__(self) -> None:
        self.rooms: dict[UUID, Room] = {}
        self.frames_sent = 0
        self._changed: set[UUID] = set()
        self._wake = asyncio.Event()
        self._joining = asyncio.Lock()
        self._addresses: Counter[str] = Counter()  # of the public viewers
        # In a scope of their own, not in that of the socket that happened to be the first.
        with context.scope(environment="server", operation="hub"):
            self.grants: Batcher[Credential, Grant | int] = Batcher(grants.check)
            self.opened = Batcher(one_by_one(presence.opened))
            self.closed = Batcher(one_by_one(presence.closed))
            self._since = Batcher(one_by_one(frames.since))
            self._streams = Batcher(one_by_one(frames.streams))
            self._tasks = [
                asyncio.create_task(task, name=f"hub-{name}")
                for name, task in (
                    ("listen", self._listen()),
                    ("pump", self._pump()),
                    ("grants", self._check_grants()),
                )
            ]

    async def close(self) -> None:
        """Ends the hub's tasks."""
        for batcher in (self.grants, self.opened, self.closed, self._since, self._streams):
            batcher.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def join(self, viewer: Viewer) -> None:
        """Sends the viewer all events of its session from now on."""
        # The lock makes the first two viewers of a session share one room.
        async with self._joining:
            room = self.rooms.get(viewer.session_id)
            if room is None:
                last = await frames.last_seq(viewer.session_id)
                prev = {recorder.OWNER: last, recorder.PUBLIC: last}
                room = Room(last, prev, viewer.grant.folder)
                self.rooms[viewer.session_id] = room
        # The page asks for what it missed before this seq itself, with {"after": seq}.
        viewer.sent = room.last
        room.viewers.add(viewer)
        if viewer.audience == recorder.PUBLIC:
            self._addresses[viewer.address] += 1
        self._note_change(viewer.session_id)

    def leave(self, viewer: Viewer) -> None:
        """Stops sending to the viewer."""
        room = self.rooms.get(viewer.session_id)
        if room is not None and viewer in room.viewers:
            room.viewers.remove(viewer)
            if viewer.audience == recorder.PUBLIC:
                self._addresses[viewer.address] -= 1
                # A zero would stay in memory for each address that ever connected.
                if not self._addresses[viewer.address]:
                    del self._addresses[viewer.address]
            # A session without viewers is no longer read.
            if not room.viewers:
                del self.rooms[viewer.session_id]

    def open_from(self, address: str) -> int:
        """Returns how many public sockets this address has open."""
        return self._addresses[address]

    async def catch_up(self, viewer: Viewer, after: int) -> None:
        """Sends all events since ``after`` in order, and then the text so far of streams under way.

        Live frames are withheld meanwhile: events that arrive during one round are read in the next.
        """
        room = self.rooms.get(viewer.session_id)
        if room is None:
            return
        viewer.catching_up = True
        try:
            reached, read_to = max(after, 0), -1
            while read_to != room.last:
                read_to = room.last
                # After a restart of the server many pages ask for the same.
                missed = Missed(viewer.session_id, viewer.audience, viewer.format, reached)
                texts, reached = await self._since.ask(missed)
                for text in texts:
                    await viewer.socket.send_text(text, wait=True)
                    self.frames_sent += 1
                viewer.sent = max(viewer.sent, reached)
                # In the same round: if the result of a stream arrives after its text was read, the
                # next round sends it after the text, and no page shows an old text.
                if viewer.audience == recorder.OWNER:
                    for text in await self._streams.ask((viewer.session_id, viewer.format)):
                        await viewer.socket.send_text(text, wait=True)
                        self.frames_sent += 1
        finally:
            viewer.catching_up = False

    def _note_change(self, session_id: UUID) -> None:
        if session_id in self.rooms:
            self._changed.add(session_id)
            self._wake.set()

    async def _listen(self) -> None:
        """Receives messages from Redis; after an error reconnects and reads all sessions."""
        while True:
            try:
                client = redis.asyncio.Redis.from_url(
                    settings.REDIS.hub, socket_timeout=None, socket_connect_timeout=5
                )
                async with client, client.pubsub() as pubsub:
                    await pubsub.subscribe(recorder.CHANNEL)
                    # Messages that Redis sent before the subscription are lost, so all sessions are
                    # read once.
                    self._changed.update(self.rooms)
                    self._wake.set()
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            await self._guarded("listen", self._receive(message["data"]))
            except (RedisError, OSError) as error:
                log.warning("hub_lost_redis", error=type(error).__name__)
                await asyncio.sleep(1)

    async def _receive(self, data: bytes) -> None:
        """Notes that a session has new events, or sends an ephemeral frame to its owner's pages."""
        body = json.loads(data)
        session_id = UUID(body["session"])
        if "seq" in body:
            self._note_change(session_id)
            return
        room = self.rooms.get(session_id)
        if room is not None:
            frame = frames.ephemeral(session_id, body["type"], body["data"])
            owners = [v for v in room.viewers if v.audience == recorder.OWNER]
            texts = {
                format_: frames.text_of(frame, recorder.OWNER, format_)
                for format_ in {viewer.format for viewer in owners}
            }
            for viewer in owners:
                await self._send(viewer, texts[viewer.format])

    async def _pump(self) -> None:
        """Sends new events whenever a session has changed, and from all sessions every 2 s."""
        read_all_at = time.monotonic()
        while True:
            # Not wait_for: before Python 3.12 it can lose a cancellation, and close() would hang.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wake.wait()
            # Cleared before reading: a change that arrives during the round starts another one.
            self._wake.clear()
            session_ids = self._changed & set(self.rooms)
            self._changed.clear()
            # By the clock and not on a time-out: one busy session must not delay the others.
            if time.monotonic() - read_all_at >= LOOK_EVERY:
                read_all_at = time.monotonic()
                session_ids = set(self.rooms)
            await self._guarded("pump", self._deliver(session_ids))

    async def _guarded(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Does one round of a task; logs an error, so that the task continues with the next round."""
        try:
            await work
        except DatabaseError as error:
            log.warning("hub_lost_database", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY)
        except Exception:
            log.exception("hub_round_failed", round=name)
            await asyncio.sleep(1)

    async def _deliver(self, session_ids: set[UUID]) -> None:
        """Reads the new events of these sessions and sends them to their viewers."""
        if not session_ids:
            return
        news = await frames.after({key: self.rooms[key].last for key in session_ids})
        # Each session alone: an error in one must not keep the others from their events.
        await asyncio.gather(
            *(
                self._guarded("session", self._deliver_to(session_id, room, news[session_id]))
                for session_id in news
                if (room := self.rooms.get(session_id)) is not None
            )
        )

    async def _deliver_to(
        self, session_id: UUID, room: Room, events: list[SessionEvent] | int
    ) -> None:
        with context.scope(
            session=session_id, _folder=room.folder, environment="server", operation="hub"
        ):
            if isinstance(events, int):
                await self._reload(session_id, room, events)
                return
            for event in events:
                await self._send_event(room, event)

    async def _reload(self, session_id: UUID, room: Room, seq: int) -> None:
        """Makes every page load again instead of sending the events up to ``seq``."""
        room.last = seq
        room.prev = dict.fromkeys(room.prev, seq)
        for viewer in list(room.viewers):
            if viewer.sent < seq and not viewer.catching_up:
                viewer.sent = seq
                await self._send(viewer, frames.reload_text(session_id, seq, viewer.format))
        await self._close_invalid(v for v in room.viewers if v.audience == recorder.PUBLIC)

    async def _send_event(self, room: Room, event: SessionEvent) -> None:
        """Renders the event and sends it to the viewers of the room."""
        if event.seq <= room.last:
            return
        shapes = {shape for shape in room.shapes() if frames.visible(event.type, shape[0])}
        # Before rendering: an event that cannot be rendered must not block those after it.
        room.last = event.seq
        texts = await frames.rendered(event, dict(room.prev), shapes)
        failed = {audience for audience, format_ in shapes if (audience, format_) not in texts}
        for audience in room.prev.keys() - failed:
            if frames.visible(event.type, audience):
                room.prev[audience] = event.seq
        # A copy, because a viewer whose socket fails leaves the room.
        for viewer in list(room.viewers):
            text = texts.get((viewer.audience, viewer.format))
            if text is not None and viewer.sent < event.seq and not viewer.catching_up:
                viewer.sent = event.seq
                await self._send(viewer, text)
        if event.type == recorder.SESSION_CHANGED:
            # A public page that was hidden is closed at once.
            await self._close_invalid(v for v in room.viewers if v.audience == recorder.PUBLIC)

    async def _send(self, viewer: Viewer, text: str) -> None:
        try:
            await viewer.socket.send_text(text)
            self.frames_sent += 1
        # The browser closed the socket while a frame was being sent.
        except (OSError, RuntimeError) as error:
            log.info("viewer_gone", error=type(error).__name__)
            self.leave(viewer)

    async def _check_grants(self) -> None:
        """Closes sockets whose grant is no longer valid, or that have been open for long enough."""
        while True:
            await asyncio.sleep(GRANTS_EVERY)
            viewers = [viewer for room in self.rooms.values() for viewer in room.viewers]
            await self._guarded("grants", self._close_invalid(viewers))

    async def _close_invalid(self, viewers: Iterable[Viewer]) -> None:
        viewers = list(viewers)
        if not viewers:
            return
        # Many sockets share a grant, e.g. the tabs of one user, and it is checked once.
        checked = {viewer.grant for viewer in viewers}
        valid: set[Grant] = await database_sync_to_async(grants.still_valid)(checked)
        for viewer in viewers:
            if viewer.grant not in valid:
                public = viewer.audience == recorder.PUBLIC
                await self._end(viewer, close_codes.NO_SESSION if public else close_codes.SIGN_IN)
            elif viewer.until < time.monotonic():
                await self._end(viewer, close_codes.GOING_AWAY)

    async def _end(self, viewer: Viewer, code: int) -> None:
        self.leave(viewer)
        with contextlib.suppress(OSError, RuntimeError):
            await viewer.socket.end(code)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def get_hub() -> Hub:
    """Returns the hub of the running event loop."""
    # An asyncio object works only in the loop that created it, and tests use several loops.
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        # Objects made at startup are never freed: without them, garbage collection pauses less.
        gc.collect()
        gc.freeze()
        _hubs[loop] = Hub()
    return _hubs[loop]


def open_sockets() -> dict[str, int]:
    """Returns how many sockets this process has open, by audience; callable from any thread."""
    counts = {recorder.OWNER: 0, recorder.PUBLIC: 0}
    # Copies: the loops of the hubs add and remove rooms and viewers meanwhile.
    for each in list(_hubs.values()):
        for room in list(each.rooms.values()):
            for viewer in list(room.viewers):
                counts[viewer.audience] += 1
    return counts


def frames_sent() -> int:
    """Returns how many frames this process has sent."""
    return sum(each.frames_sent for each in list(_hubs.values()))
