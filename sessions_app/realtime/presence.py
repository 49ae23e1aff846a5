"""Who watches a session in this process, and which users have its pages open or work in it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.utils import timezone

from sessions_app import commands
from sessions_app.events import recorder
from sessions_app.hooks import Topic
from sessions_app.models import Participant, Session
from sessions_app.realtime.grants import Grant

log = structlog.get_logger(__name__)

# Seconds for which a count of one web process is valid without another one, and of a piece of sound.
COUNT_LASTS, SOUND_LASTS = 45, 180

on_open: Topic[[Session, User]] = Topic("page.opened", "A user's page opened its socket.")
on_close: Topic[[Session, User]] = Topic("page.closed", "The socket of a user's page closed.")
on_count: Topic[[UUID]] = Topic("audience.counted", "The viewers of a session were counted.")


def end_of_life() -> float:
    """Returns until when a socket opened now may stay open, by the monotonic clock.

    After a random part of the second half, so that pages do not all reconnect at once.
    """
    longest = settings.SMNB.socket_seconds
    return time.monotonic() + random.uniform(longest / 2, longest)  # noqa: S311


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
    # Writes an encoded frame to the connection and returns at once, where the server offers that;
    # otherwise frames wait here, and a task sends them.
    write: Callable[[bytes], None] | None = None
    waiting: list[str] = field(default_factory=list)
    sender: asyncio.Task[None] | None = None
    sent: int = 0
    catching_up: bool = False
    until: float = field(default_factory=end_of_life)

    @property
    def session_id(self) -> UUID:
        return self.grant.session_id

    @property
    def anonymous(self) -> bool:
        """Whether it is one of the audience; users may look at what the audience sees."""
        return self.grant.user_id is None


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

    def of(self, audience: str, format_: str) -> list[Viewer]:
        """Returns the viewers of this audience and format."""
        return [v for v in self.viewers if v.audience == audience and v.format == format_]


def opened(grant: Grant) -> None:
    """Sends ``on_open`` for a user's socket."""
    _send(on_open, grant)


def closed(grant: Grant) -> None:
    """Sends ``on_close`` for a user's socket."""
    _send(on_close, grant)


def _send(topic: Topic[[Session, User]], grant: Grant) -> None:
    if grant.user_id is None:
        # The audience is anonymous.
        return
    try:
        with transaction.atomic():
            session = Session.objects.get(pk=grant.session_id)
            topic.send(session, User.objects.get(pk=grant.user_id))
    except DatabaseError as error:
        # Only logged: a failed note of presence must not close the socket.
        log.warning("connection_not_noted", error=type(error).__name__)


def note_viewers(process: str, counts: Mapping[UUID, int]) -> None:
    """Stores how many viewers each session has in a web process. Nothing is stored of a viewer."""
    from redis import RedisError

    try:
        for session_id, count in counts.items():
            _store(
                f"smnb:viewers:{session_id}", process, f"{count} {int(time.time())}", COUNT_LASTS
            )
            on_count.send(session_id)
    except (RedisError, DatabaseError) as error:
        log.warning("audience_not_counted", error=type(error).__name__)


def viewers(session_id: UUID) -> int | None:
    """Returns how many pages of the audience are open in all web processes; None without Redis."""
    from redis import RedisError

    since = int(time.time()) - COUNT_LASTS
    try:
        stored = recorder.redis_client().hvals(f"smnb:viewers:{session_id}")
    except RedisError:
        return None
    counts = (each.split() for each in stored)
    # The count of a process that died is not renewed.
    return sum(int(count) for count, at in counts if int(at) >= since)


def note_sound(session_id: UUID, piece: int, process: str = "", count: int = 1) -> None:
    """Counts one more listener who got a piece of sound; for a ``process``, sets its ``count``."""
    from redis import RedisError

    key = f"smnb:listeners:{session_id}:{piece}"
    try:
        if process:
            _store(key, process, str(count), SOUND_LASTS)
        else:
            recorder.redis_client().hincrby(key, "segments", count)
            recorder.redis_client().expire(key, SOUND_LASTS)
    except RedisError as error:
        log.warning("audience_not_counted", error=type(error).__name__)


def listeners(session_id: UUID, piece: int) -> int | None:
    """Returns how many got this piece of sound, each of them once; None without Redis."""
    from redis import RedisError

    try:
        stored = recorder.redis_client().hvals(f"smnb:listeners:{session_id}:{piece}")
    except RedisError:
        return None
    return sum(map(int, stored))


def _store(key: str, process: str, text: str, seconds: int) -> None:
    client = recorder.redis_client()
    client.hset(key, process, text)
    client.expire(key, seconds)


def record_activity(session: Session, user: User) -> None:
    """Stores that the user was active in the session just now, in the caller's transaction."""
    Participant.objects.update_or_create(
        session=session, user=user, defaults={"last_active_at": timezone.now()}
    )


def participants(session: Session) -> Sequence[Participant]:
    """Returns the users who have worked in the session, the last active one first."""
    rows = Participant.objects.filter(session=session).select_related("user")
    return list(rows.order_by("-last_active_at"))


def register() -> None:
    commands.on_done.subscribe(record_activity)
    on_open.subscribe(record_activity)
    on_close.subscribe(record_activity)
