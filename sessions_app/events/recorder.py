"""Writes a session's events together with their sequence numbers and counters, and publishes them.

No other module writes these rows. ``record`` is called last in a transaction: it locks the row of
counters, so that commit order is the order of ``seq``, and the lock is held only until the commit.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NotRequired
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import context, statements
from sessions_app.events import statistics
from sessions_app.events.statistics import NOTHING, Extra, Share
from sessions_app.hooks import Topic
from sessions_app.models import Message, Session, SessionEvent, SessionStats

if TYPE_CHECKING:
    import redis

log = structlog.get_logger(__name__)

OWNER = "owner"
PUBLIC = "public"
CHANNEL = "smnb:look"
DUE_CHANNEL = "smnb:due"

timestamp, figures = context.timestamp, statistics.figures

# The topic of each event type that has subscribers. It is sent before the counters are locked, so
# that a subscriber may lock rows that come before them, and record an event of its own.
_topics: dict[str, Topic[[Session, Mapping[str, Any]]]] = {}

# Types that the audience sees too: its frames hold the payload's "public" part and nothing else.
_public_types: set[str] = set()
_types: dict[str, str] = {}
_payload_types: dict[str, type] = {}


def declare(type_: str, meaning: str, payload: type | None = None, *, public: bool = False) -> str:
    """Declares an event type with its meaning and the TypedDict of its payload; returns the type."""
    _types[type_] = meaning
    if payload is not None:
        _payload_types[type_] = payload
    if public:
        _public_types.add(type_)
    return type_


def on(type_: str) -> Topic[[Session, Mapping[str, Any]]]:
    """Returns the topic of a declared event type.

    Its subscribers get ``(session, payload)`` in the transaction of each event, before the event
    takes its seq.
    """
    if type_ not in _types:
        raise ValueError(f"undeclared event type: {type_}")
    return _topics.setdefault(type_, Topic(type_, _types[type_]))


def types() -> dict[str, str]:
    """Returns the meaning of each event type."""
    return dict(sorted(_types.items()))


def set_payload_type(type_: str, payload: type) -> None:
    """Sets the payload of an event type that a lower module has declared."""
    _payload_types[type_] = payload


def payload_types() -> dict[str, type]:
    """Returns the TypedDict of each event type that declares its payload."""
    return dict(sorted(_payload_types.items()))


def public_types() -> frozenset[str]:
    """Returns the event types that the audience sees too."""
    return frozenset(_public_types)


class PlannedCommandPayload(TypedDict):
    """One command of a plan."""

    command: Annotated[str, Field(description="Name of the command.")]
    payload: Annotated[Mapping[str, object], Field(description="Payload of the command.")]
    sentence: Annotated[str, Field(description="What the command does, as a sentence.")]


class PlanPayload(TypedDict):
    """Commands that the producer proposes and a person applies or dismisses as a whole."""

    commands: Annotated[list[PlannedCommandPayload], Field(description="In the order of use.")]
    outcome: Annotated[str, Field(description='"" while open, then "applied" or "dismissed".')]


class MessagePayload(TypedDict):
    """A message as pages, frames and the API show it."""

    id: Annotated[int, Field(description="Id of the message.")]
    role: Annotated[str, Field(description="Who wrote it: human, host, producer or system.")]
    code: Annotated[str, Field(description='What it is about, for programs; "" for free text.')]
    text: Annotated[str, Field(description="At most 2,000 characters.")]
    at: Annotated[str, Field(description="When it was written.")]
    reply_to: Annotated[int | None, Field(description="Id of the message that it answers.")]
    about: Annotated[str, Field(description="The first 160 characters of that message.")]
    plan: Annotated[PlanPayload | None, Field(description="The plan that it proposes.")]
    settled_at: Annotated[str | None, Field(description="When the plan was applied or dismissed.")]


class MessageEvent(TypedDict):
    """The payload of ``message.added``."""

    message: Annotated[MessagePayload, Field(description="The message.")]
    answering: NotRequired[
        Annotated[bool, Field(description="True if the producer will answer it.")]
    ]


MESSAGE_ADDED = declare(
    "message.added", "The host, the producer or the system wrote a message.", MessageEvent
)
SESSION_CHANGED = declare("session.changed", "Name, settings, visibility or status changed.")


def _add_to_counters(
    session_id: UUID, counters: Mapping[str, int], story_at: datetime | None, events: int
) -> SessionStats:
    """Adds to the counters and takes a seq for each event; returns the row after one statement."""
    unknown = set(counters) - statistics.COUNTERS
    if unknown:
        raise ValueError(f"unknown counters: {sorted(unknown)}")
    # Raw SQL for RETURNING: one round trip while the row is locked.
    table = SessionStats._meta.db_table
    names = sorted(counters)
    # The names are columns of COUNTERS, so only the values need to be parameters.
    changes, values = ["last_seq = last_seq + %s"], list[Any]([events])
    for name in names:
        sign, most = (">", statistics.HIGHEST) if counters[name] > 0 else ("<", -statistics.HIGHEST)
        # Compared before adding: a sum that overflowed would fail every later booking.
        changes.append(f"{name} = CASE WHEN {name} {sign} %s THEN %s ELSE {name} + %s END")
        values += [most - counters[name], most, counters[name]]
    if story_at is not None:
        # An import brings stories older than the latest one, so the later time wins.
        changes.append(
            "last_story_at = CASE WHEN last_story_at > %s THEN last_story_at ELSE %s END"
        )
        values += [connection.ops.adapt_datetimefield_value(story_at)] * 2
    key = SessionStats._meta.pk.get_db_prep_value(session_id, connection)
    rows = statements.instances(
        SessionStats,
        f"UPDATE {table} SET {', '.join(changes)} WHERE session_id = %s "  # noqa: S608
        f"RETURNING {statements.columns_of(SessionStats)}",
        [*values, key],
    )
    if len(rows) != 1:
        raise SessionStats.DoesNotExist(f"session {session_id} has no counters")
    return rows[0]


def record(
    session: Session,
    type_: str,
    payload: Mapping[str, Any],
    story_at: datetime | None = None,
    extra: Extra = NOTHING,
    /,
    **counters: int,
) -> SessionEvent:
    """Changes the counters, takes the next seq and writes the event; publishes it after the commit.

    ``payload`` is JSON; the figures after the change are added to it. ``story_at`` becomes the time
    of the last story, unless a later one is known. Counters that are columns of Bucket too are added
    to the buckets; ``extra`` is added to buckets and tallies alone. Runs inside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("record() must run in a transaction")
    if type_ not in _types:
        raise ValueError(f"undeclared event type: {type_}")
    if type_ in _topics:
        _topics[type_].send(session, payload)
    event = SessionEvent(session=session, type=type_, payload=payload)
    entry = _Entry(event, counters, story_at, extra)
    gathered = _gathered.get()
    if gathered is None or gathered.session.pk != session.pk:
        _write(session, [entry])
    elif gathered.savepoints == _savepoints():
        gathered.entries.append(entry)
    else:
        # What a savepoint undoes would be written all the same.
        raise transaction.TransactionManagementError("record() in a savepoint within together()")
    return event


@dataclass(frozen=True, slots=True)
class _Entry:
    """An event that is not written yet, and what it adds to the figures."""

    event: SessionEvent
    counters: Mapping[str, int]
    story_at: datetime | None
    extra: Extra


@dataclass(frozen=True, slots=True)
class _Gathered:
    """The events of one session that a transaction writes together."""

    session: Session
    savepoints: int
    entries: list[_Entry] = field(default_factory=list)


_gathered: ContextVar[_Gathered | None] = ContextVar("gathered_events", default=None)


def _savepoints() -> int:
    """Returns how many savepoints the current transaction has open."""
    return sum(each is not None for each in connection.savepoint_ids)


@contextmanager
def together(session: Session) -> Iterator[None]:
    """Writes the events that the block records for ``session`` at its end, in their order.

    They share one change of the counters, which are locked for a shorter time. Their ``seq`` is not
    known within the block. Opened inside a transaction, which ends with it.
    """
    gathered = _Gathered(session, _savepoints())
    before = _gathered.get()
    _gathered.set(gathered)
    try:
        yield
    finally:
        _gathered.set(before)
    if gathered.entries:
        _write(session, gathered.entries)


def _write(session: Session, entries: Sequence[_Entry]) -> None:
    """Changes the counters, takes the next seqs and writes the events."""
    counters, measures = Counter[str](), Counter[str]()
    shares: list[Share] = []
    for entry in entries:
        counters.update(entry.counters)
        shares += entry.extra.shares
        if entry.extra.moments is None:
            timed = {name: n for name, n in entry.counters.items() if name in statistics.MEASURES}
            measures.update(timed | dict(entry.extra.measures))
    story_at = max((each.story_at for each in entries if each.story_at), default=None)
    # From here to the commit this transaction holds the lock on the session's counters, so no other
    # one can take these seqs.
    stats = _add_to_counters(session.pk, counters, story_at, len(entries))
    last_seq, at = stats.last_seq, timezone.now()
    for entry in entries:
        if entry.extra.moments is not None:
            statistics.add_past(session.pk, entry.extra.moments, ())
    statistics.add(session.pk, at, measures, shares)
    events = [entry.event for entry in entries]
    # From the last one back, as the row has the figures after all of them.
    for back, entry in enumerate(reversed(entries)):
        event = entry.event
        event.seq, event.at = last_seq - back, at
        event.payload = {**event.payload, "figures": figures(stats)}
        for name, number in entry.counters.items():
            setattr(stats, name, getattr(stats, name) - number)
    if len(events) == 1:
        statements.insert(events[0])
    else:
        SessionEvent.objects.bulk_create(events)
    # None stands for a block without a savepoint.
    own = (session.pk, {*connection.savepoint_ids, None})
    for registered in reversed(connection.run_on_commit):
        savepoints, committed = registered[0], getattr(registered[1], "__self__", None)
        # One message for all events of a transaction, but for those that a savepoint undoes alone.
        if isinstance(committed, _Committed) and (committed.session.pk, {*savepoints, None}) == own:
            committed.events.extend(events)
            return
    # robust: the transaction is committed, so an error while publishing must not reach the caller.
    transaction.on_commit(_Committed(session, events).announce, robust=True)


@dataclass(frozen=True, slots=True)
class _Committed:
    """Committed events of a session."""

    session: Session
    events: list[SessionEvent]

    def announce(self) -> None:
        """Publishes the events, and logs each with the ids of its rows."""
        # A method, as Django names what failed by a __qualname__, which an object has not.
        publish(self.session.pk, self.events[-1].seq)
        fields = context.session_fields(self.session)
        for event in self.events:
            log.info(event.type, seq=event.seq, **{**fields, **_ids(event)})


def _ids(event: SessionEvent) -> dict[str, object]:
    ids: dict[str, object] = {}
    for name, part in event.payload.items():
        if isinstance(part, dict) and isinstance(part.get("id"), int):
            ids[name] = part["id"]
            post = part.get("post")
            if isinstance(post, dict):
                ids["post"] = post["id"]
        elif name in {"post", "story"} and isinstance(part, int):
            ids[name] = part
        elif name == "air":
            ids["run"] = part["run"]
    return ids


def add_message(session: Session, role: str, text: str, code: str = "") -> Message:
    """Writes a message to the owner, with its event."""
    # Without a savepoint, as a caller's transaction has no use for half of it.
    with transaction.atomic(savepoint=False):
        message = Message(session=session, role=role, text=text[:2000], code=code)
        statements.insert(message)
        record(session, MESSAGE_ADDED, {"message": message_payload(message)}, messages=1)
    return message


def message_payload(message: Message) -> MessagePayload:
    """Returns a message as pages, frames and the API show it."""
    return {
        "id": message.pk,
        "role": message.role,
        "code": message.code,
        "text": message.text,
        "at": timestamp(message.created_at),
        "reply_to": message.reply_to_id,
        "about": message.reply_to.text[:160] if message.reply_to else "",
        "plan": message.plan,
        "settled_at": timestamp(message.applied_at),
    }


# Short time-outs, because the caller's request waits for the publication.
@cache
def redis_client() -> redis.Redis:
    """Returns the client of this process; its pool gives each thread and each fork connections."""
    import redis

    return redis.Redis.from_url(settings.REDIS.hub, socket_timeout=2, socket_connect_timeout=1)


def send(channel: str, body: object) -> None:
    """Publishes a message as JSON; one that cannot be sent is only logged."""
    import redis

    try:
        redis_client().publish(channel, json.dumps(body))
    except redis.RedisError as error:
        # Not retried: a hub or sweeper that missed it reads the database within seconds.
        log.warning("publish_failed", error=type(error).__name__)


def publish(session_id: UUID, seq: int) -> None:
    """Makes every hub read the session's new events; a lost call delays them by 2 s."""
    send(CHANNEL, {"session": str(session_id), "seq": seq})


def publish_ephemeral(session_id: UUID, type_: str, payload: Mapping[str, Any]) -> None:
    """Sends a frame that is never stored to the owner's pages."""
    send(CHANNEL, {"session": str(session_id), "type": type_, "data": dict(payload)})
