"""The hub: reads new events and sends them to all sockets of this web process.

A Redis subscription says which session has new events. The hub also reads all watched sessions every
2 s and after a Redis error, so that a lost message only delays events by 2 s. An event is rendered
and encoded once for each audience and format.

A viewer whose server offers it (smnb/server.py) gets the encoded frame written to its connection at
once, without a task or a queue. For any other server each viewer has a bounded queue of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from secrets import token_hex
from typing import Any
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
from sessions_app.realtime import frames, grants, presence
from sessions_app.realtime.batching import Batcher, one_by_one
from sessions_app.realtime.frames import Missed
from sessions_app.realtime.grants import Credential, Grant
from sessions_app.realtime.presence import Room, Viewer

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0
GRANTS_EVERY = 15.0
# For servers that do not write frames at once: characters of frames that wait for one viewer, and
# seconds that closing one may take.
MOST_WAITING, LONGEST_CLOSE = 262_144, 2.0


class Hub:
    """All sockets of this process; created by ``get_hub`` in the event loop that serves them."""

    def __init__(self) -> None:
        self.rooms: dict[UUID, Room] = {}
        self.frames_sent = 0
        self._changed: set[UUID] = set()
        self._wake = asyncio.Event()
        self._joining = asyncio.Lock()
        self._addresses: Counter[str] = Counter()  # of the public viewers
        # Under this name the sessions that had viewers at the last count are counted.
        self._name, self._counted = token_hex(8), set[UUID]()
        self._cut: set[asyncio.Task[None]] = set()
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
        viewers = (viewer for room in self.rooms.values() for viewer in room.viewers)
        senders = (viewer.sender for viewer in viewers if viewer.sender is not None)
        tasks = [*self._tasks, *self._cut, *senders]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        if viewer.anonymous:
            self._addresses[viewer.address] += 1
        self._note_change(viewer.session_id)

    def leave(self, viewer: Viewer) -> None:
        """Stops sending to the viewer."""
        viewer.waiting.clear()
        if viewer.sender is not None:
            viewer.sender.cancel()
        room = self.rooms.get(viewer.session_id)
        if room is not None and viewer in room.viewers:
            room.viewers.remove(viewer)
            if viewer.anonymous:
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
            if viewer.sender is not None:
                # Not awaited itself: that would raise its cancellation here.
                await asyncio.wait([viewer.sender])
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
        """Has the events of a session read at once, if it has viewers here."""
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
        room = self.rooms.get(session_id)
        if room is None:
            return
        if "seq" in body:
            # Of many events of one transaction, the first message has all of them read.
            if body["seq"] > room.last:
                self._note_change(session_id)
            return
        frame = frames.ephemeral(session_id, body["type"], body["data"])
        for audience, format_ in room.shapes():
            if audience == recorder.OWNER:
                text = frames.text_of(frame, audience, format_)
                self._send(room.of(audience, format_), [text])

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
        """Sends the events of one session, or makes its pages load again if there are too many."""
        with context.scope(
            session=session_id, _folder=room.folder, environment="server", operation="hub"
        ):
            if isinstance(events, int):
                await self._reload(session_id, room, events)
                return
            for group in frames.groups(events):
                await self._send_events(room, group)

    async def _reload(self, session_id: UUID, room: Room, seq: int) -> None:
        """Makes every page load again instead of sending the events up to ``seq``."""
        room.last = seq
        room.prev = dict.fromkeys(room.prev, seq)
        for audience, format_ in room.shapes():
            text = frames.reload_text(session_id, seq, format_)
            self._send_once(room.of(audience, format_), [(seq, text)])
        await self._close_invalid(v for v in room.viewers if v.audience == recorder.PUBLIC)

    async def _send_events(self, room: Room, events: Sequence[SessionEvent]) -> None:
        """Renders events and sends them to the viewers of the room."""
        news = [event for event in events if event.seq > room.last]
        if not news:
            return
        shapes = room.shapes()
        # Before rendering: an event that cannot be rendered must not block those after it.
        room.last = news[-1].seq
        texts, room.prev = await frames.rendered(news, room.prev, shapes)
        for audience, format_ in shapes:
            shown = texts[audience, format_]
            if shown:
                self._send_once(room.of(audience, format_), shown)
        if news[-1].type == recorder.SESSION_CHANGED:
            # A public page that was hidden is closed at once.
            await self._close_invalid(v for v in room.viewers if v.audience == recorder.PUBLIC)

    def _send_once(self, viewers: Iterable[Viewer], shown: Sequence[tuple[int, str]]) -> None:
        """Sends frames, each with its seq, to those who have not got them and are not catching up."""
        last, _ = shown[-1]
        behind: dict[int, list[Viewer]] = {}
        for viewer in viewers:
            if viewer.sent < last and not viewer.catching_up:
                behind.setdefault(viewer.sent, []).append(viewer)
                viewer.sent = last
        for sent, group in behind.items():
            self._send(group, [text for seq, text in shown if seq > sent])

    def _send(self, viewers: Iterable[Viewer], texts: Sequence[str]) -> None:
        """Sends frames to these viewers and waits for none of them."""
        pieces = frames.encoded(texts)
        for viewer in viewers:
            self.frames_sent += len(texts)
            if viewer.write is not None:
                try:
                    for piece in pieces:
                        viewer.write(piece)
                except Exception as error:  # noqa: BLE001 - the others must get the frames
                    log.warning("viewer_failed", error=type(error).__name__)
                    self.leave(viewer)
                continue
            viewer.waiting += texts
            if viewer.sender is None or viewer.sender.done():
                viewer.sender = asyncio.create_task(self._send_waiting(viewer), name="viewer")
            elif sum(map(len, viewer.waiting)) > MOST_WAITING:
                self.leave(viewer)
                task = asyncio.create_task(self._end(viewer, grants.TRY_LATER), name="cut")
                self._cut.add(task)
                task.add_done_callback(self._cut.discard)

    async def _send_waiting(self, viewer: Viewer) -> None:
        """Sends what waits for a viewer, in a task of its own: a slow client holds up no other."""
        try:
            while viewer.waiting:
                await viewer.socket.send_text(viewer.waiting.pop(0))
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
            await self._guarded("audience", self._count_audience())

    async def _count_audience(self) -> None:
        """Stores how many viewers each session has here; 0 once for those that have none any more."""
        found = {
            session_id: sum(viewer.anonymous for viewer in room.viewers)
            for session_id, room in self.rooms.items()
        }
        counts = {**dict.fromkeys(self._counted, 0), **found}
        self._counted = {session_id for session_id, count in counts.items() if count}
        if counts:
            await database_sync_to_async(presence.note_viewers)(self._name, counts)

    async def _close_invalid(self, viewers: Iterable[Viewer]) -> None:
        viewers = list(viewers)
        if not viewers:
            return
        # Many sockets share a grant, e.g. the tabs of one user, and it is checked once.
        checked = {viewer.grant for viewer in viewers}
        valid: set[Grant] = await database_sync_to_async(grants.still_valid)(checked)
        ended: list[Coroutine[Any, Any, None]] = []
        for viewer in viewers:
            if viewer.grant not in valid:
                code = grants.NO_SESSION if viewer.anonymous else grants.SIGN_IN
                ended.append(self._end(viewer, code))
            elif viewer.until < time.monotonic():
                ended.append(self._end(viewer, grants.GOING_AWAY))
        await asyncio.gather(*ended)

    async def _end(self, viewer: Viewer, code: int) -> None:
        self.leave(viewer)
        # A server may wait for a client that reads nothing.
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(LONGEST_CLOSE):
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
                counts[recorder.PUBLIC if viewer.anonymous else recorder.OWNER] += 1
    return counts


def frames_sent() -> int:
    """Returns how many frames this process has sent."""
    return sum(each.frames_sent for each in list(_hubs.values()))
