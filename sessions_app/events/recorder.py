"""What happened: the one writer of counters, sequence numbers and events, and the one publisher.

``record`` is called last in a transaction: it takes the row of counters, so that commit order is
the order of ``seq``, and its lock is held only until the commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, overload
from uuid import UUID

import redis
import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from sessions_app import context
from sessions_app.events import statistics
from sessions_app.events.statistics import NOTHING, Extra
from sessions_app.hooks import Topic
from sessions_app.models import Message, Session, SessionEvent, SessionStats

log = structlog.get_logger(__name__)

OWNER = "owner"
PUBLIC = "public"
CHANNEL = "smnb:look"

COUNTERS = frozenset(
    {
        "story_count", "words", "narration_seconds", "on_air_seconds", "input_tokens",
        "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_lower", "cost_upper",
        "cache_saved", "unpriced", "feed", "queue", "messages",
    }
)  # fmt: skip
_COLUMNS = [str(field.column) for field in SessionStats._meta.concrete_fields]

# What hears of an event, by its type. Told before the counters are taken, so that a subscriber may
# take rows that are locked before them, and record an event of its own.
_topics: dict[str, Topic[[Session, Mapping[str, Any]]]] = {}

# Types the audience may see too; its frames hold the payload's "public" part and nothing else.
_public_types: set[str] = set()
_types: dict[str, str] = {}
_payload_types: dict[str, type] = {}


def declare(type_: str, meaning: str, payload: type | None = None, *, public: bool = False) -> str:
    """Declare an event type with its meaning and the TypedDict of its payload; returns the type."""
    _types[type_] = meaning
    if payload is not None:
        _payload_types[type_] = payload
    if public:
        _public_types.add(type_)
    return type_


def on(type_: str) -> Topic[[Session, Mapping[str, Any]]]:
    """The topic of a declared type: ``on(TYPE)(function)`` has ``function(session, payload)`` called
    in the transaction of each event, before it takes its place in the record.
    """
    if type_ not in _types:
        raise ValueError(f"undeclared event type: {type_}")
    return _topics.setdefault(type_, Topic(type_, _types[type_]))


def types() -> dict[str, str]:
    return dict(sorted(_types.items()))


def payload_types() -> dict[str, type]:
    """The TypedDict of each event type's payload."""
    return dict(sorted(_payload_types.items()))


def public_types() -> frozenset[str]:
    return frozenset(_public_types)


MESSAGE_ADDED = declare("message.added", "The host, the producer or the system said something.")
SESSION_CHANGED = declare("session.changed", "Name, settings, visibility or filing changed.")


@overload
def timestamp(moment: datetime) -> str: ...
@overload
def timestamp(moment: None) -> None: ...
@overload
def timestamp(moment: datetime | None) -> str | None: ...
def timestamp(moment: datetime | None) -> str | None:
    """A moment as payloads carry it: ISO 8601 in UTC, milliseconds, ``Z``."""
    if moment is None:
        return None
    text = moment.astimezone(timezone.get_fixed_timezone(0)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def figures(stats: SessionStats) -> dict[str, Any]:
    """The session's figures as pages, frames and the API show them; money in 10⁻¹² USD."""
    return {
        "story_count": stats.story_count,
        "total_tokens": stats.input_tokens + stats.output_tokens,
        "input_tokens": stats.input_tokens,
        "output_tokens": stats.output_tokens,
        "cache_read_tokens": stats.cache_read_tokens,
        "cache_write_tokens": stats.cache_write_tokens,
        "cost": stats.cost_lower,
        "cost_lower": stats.cost_lower,
        "cost_upper": stats.cost_upper,
        "cache_saved": stats.cache_saved,
        "unpriced": stats.unpriced,
        "words": stats.words,
        "narration_seconds": stats.narration_seconds,
        "on_air_seconds": stats.on_air_seconds,
        "feed": stats.feed,
        "queue": stats.queue,
        "messages": stats.messages,
        "last_story_at": timestamp(stats.last_story_at),
    }


def _take(session_id: UUID, counters: Mapping[str, int], story_at: datetime | None) -> SessionStats:
    unknown = set(counters) - COUNTERS
    if unknown:
        raise ValueError(f"unknown counters: {sorted(unknown)}")
    table = SessionStats._meta.db_table
    names = sorted(counters)
    parts = [f"{name} = {name} + %s" for name in names] + ["last_seq = last_seq + 1"]
    values: list[Any] = [counters[name] for name in names]
    if story_at is not None:
        # Not simply the latest to come: an import brings stories from before those told since.
        parts.append("last_story_at = CASE WHEN last_story_at > %s THEN last_story_at ELSE %s END")
        values += [connection.ops.adapt_datetimefield_value(story_at)] * 2
    key = SessionStats._meta.pk.get_db_prep_value(session_id, connection)
    found = SessionStats.objects.raw(
        f"UPDATE {table} SET {', '.join(parts)} WHERE session_id = %s "  # noqa: S608
        f"RETURNING {', '.join(_COLUMNS)}",
        [*values, key],
    )
    rows = list(found)
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
    """Change the counters, take the next seq and write the event; publish after the commit.

    ``payload`` is JSON; the figures after the change join it. ``story_at`` becomes the moment of the
    last story, unless a later one is known. Counters that buckets have too are summed there as well;
    ``extra`` goes to the buckets and tallies alone. Must run inside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("record() belongs to a transaction")
    if type_ not in _types:
        raise ValueError(f"undeclared event type: {type_}")
    if type_ in _topics:
        _topics[type_].send(session, payload)
    stats = _take(session.pk, counters, story_at)
    at = timezone.now()
    if extra.moments is None:
        timed = {name: each for name, each in counters.items() if name in statistics.MEASURES}
        statistics.add(session.pk, at, timed | dict(extra.measures), extra.shares)
    else:
        statistics.add_past(session.pk, extra.moments, extra.shares)
    event = SessionEvent.objects.create(
        session=session,
        seq=stats.last_seq,
        type=type_,
        payload={**payload, "figures": figures(stats)},
        at=at,
    )
    transaction.on_commit(lambda: _out(session, event), robust=True)
    return event


def reset_last_story(session: Session, at: datetime | None) -> None:
    """Say anew when the last story was, as the one that was the last is gone; before ``record``."""
    SessionStats.objects.filter(session=session).update(last_story_at=at)


def _out(session: Session, event: SessionEvent) -> None:
    """What has happened for good is published, and leaves a line in the session's log."""
    publish(session.pk, event.seq)
    fields = {**context.session_fields(session), **ids_of(event.payload)}
    log.info(event.type, seq=event.seq, **fields)


def ids_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of the rows that a payload is about, by the names of their kinds."""
    found: dict[str, Any] = {}
    for name, part in payload.items():
        if isinstance(part, dict) and isinstance(part.get("id"), int):
            found[name] = part["id"]
            inner = part.get("post")
            if isinstance(inner, dict):
                found["post"] = inner["id"]
        elif name in {"post", "story"} and isinstance(part, int):
            found[name] = part
        elif name == "air":
            found["run"] = part["run"]
    return found


def add_imported(
    session: Session, before: int, last_seq: int, story_at: datetime | None,
    counters: Mapping[str, int],
) -> None:  # fmt: skip
    """Add what was brought in from elsewhere to the counters, and go on from ``last_seq``.

    Inside a transaction, and only while ``before`` is the last seq; raises DoesNotExist otherwise.
    The figures over time are the caller's.
    """
    sums = {name: F(name) + each for name, each in counters.items() if name in COUNTERS}
    mine = SessionStats.objects.filter(session=session, last_seq=before)
    if not mine.update(last_seq=last_seq, last_story_at=story_at, **sums):
        raise SessionStats.DoesNotExist(f"session {session.pk} has gone on")


def add_message(session: Session, role: str, text: str, code: str = "") -> Message:
    """Write a participant's message to the owner, with its event."""
    with transaction.atomic():
        message = Message.objects.create(session=session, role=role, text=text[:2000], code=code)
        record(session, MESSAGE_ADDED, {"message": message_payload(message)}, messages=1)
    return message


def message_payload(message: Message) -> dict[str, Any]:
    """A message as pages, frames and the API show it; ``about`` quotes what it answers.

    ``plan`` is None or ``{commands: [{command, payload, sentence}], outcome}``, ``outcome`` being
    "", "applied" or "dismissed".
    """
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


@cache
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS.hub, socket_timeout=2, socket_connect_timeout=1)


def _send(body: dict[str, Any]) -> None:
    try:
        _redis().publish(CHANNEL, json.dumps(body))
    except redis.RedisError as error:
        # Lost on purpose: the hub reads the database every 2 s.
        log.warning("publish_failed", error=type(error).__name__)


def publish(session_id: UUID, seq: int) -> None:
    """Tell every hub to look at the session again; a lost call costs its viewers 2 s."""
    _send({"session": str(session_id), "seq": seq})


def publish_ephemeral(session_id: UUID, type_: str, payload: Mapping[str, Any]) -> None:
    """Send a frame that is never stored, to the owner's pages only."""
    _send({"session": str(session_id), "type": type_, "data": dict(payload)})
