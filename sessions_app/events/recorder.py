"""Writes a session's events together with their sequence numbers and counters, and publishes them.

No other module writes these rows. ``record`` is called last in a transaction: it locks the row of
counters, so that commit order is the order of ``seq``, and the lock is held only until the commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, overload
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import context
from sessions_app.events import statistics
from sessions_app.events.statistics import NOTHING, Extra
from sessions_app.hooks import Topic
from sessions_app.models import Message, Session, SessionEvent, SessionStats
from sessions_app.money import Amount

if TYPE_CHECKING:
    import redis

log = structlog.get_logger(__name__)

OWNER = "owner"
PUBLIC = "public"
CHANNEL = "smnb:look"
DUE_CHANNEL = "smnb:due"

COUNTERS = frozenset(
    {
        "story_count",
        "words",
        "narration_seconds",
        "on_air_seconds",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cost_lower",
        "cost_upper",
        "cache_saved",
        "unpriced",
        "feed",
        "queue",
        "messages",
        "sentences_dropped",
        "ungrounded_aired",
    }
)
_COLUMNS = [str(field.column) for field in SessionStats._meta.concrete_fields]

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


class FiguresPayload(TypedDict):
    """The figures of a session as pages, frames and the API show them."""

    story_count: Annotated[int, Field(description="Stories written.")]
    total_tokens: Annotated[int, Field(description="Input and output tokens.")]
    input_tokens: Annotated[int, Field(description="Tokens sent to models.")]
    output_tokens: Annotated[int, Field(description="Tokens that models wrote.")]
    cache_read_tokens: Annotated[int, Field(description="Tokens read from a provider's cache.")]
    cache_write_tokens: Annotated[int, Field(description="Tokens written to a provider's cache.")]
    cost: Annotated[Amount, Field(description="In USD; the same as cost_lower.")]
    cost_lower: Annotated[Amount, Field(description="Lower bound of the cost in USD.")]
    cost_upper: Annotated[Amount, Field(description="Upper bound of the cost in USD.")]
    cache_saved: Annotated[
        Amount, Field(description="Saved by caches in USD; negative where they cost more.")
    ]
    unpriced: Annotated[int, Field(description="Model attempts without a known price.")]
    words: Annotated[int, Field(description="Words of the stories.")]
    narration_seconds: Annotated[int, Field(description="Length of the stories in seconds.")]
    on_air_seconds: Annotated[int, Field(description="Seconds on air, of finished runs.")]
    feed: Annotated[int, Field(description="Posts read.")]
    queue: Annotated[int, Field(description="Posts queued and held.")]
    messages: Annotated[int, Field(description="Messages in the session.")]
    sentences_dropped: Annotated[
        int, Field(description="Sentences that failed the check against their sources.")
    ]
    ungrounded_aired: Annotated[
        int, Field(description="Sentences aired without a passage or an editor; expected to be 0.")
    ]
    last_story_at: Annotated[str | None, Field(description="When the latest story was written.")]


MESSAGE_ADDED = declare(
    "message.added", "The host, the producer or the system wrote a message.", MessageEvent
)
SESSION_CHANGED = declare("session.changed", "Name, settings, visibility or status changed.")


@overload
def timestamp(moment: datetime) -> str: ...
@overload
def timestamp(moment: None) -> None: ...
@overload
def timestamp(moment: datetime | None) -> str | None: ...
def timestamp(moment: datetime | None) -> str | None:
    """Formats a time for a payload: ISO 8601 in UTC, with milliseconds and ``Z``."""
    if moment is None:
        return None
    text = moment.astimezone(timezone.get_fixed_timezone(0)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def figures(stats: SessionStats) -> FiguresPayload:
    """Returns the session's figures as pages, frames and the API show them."""
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
        "sentences_dropped": stats.sentences_dropped,
        "ungrounded_aired": stats.ungrounded_aired,
        "last_story_at": timestamp(stats.last_story_at),
    }


def _add_to_counters(
    session_id: UUID, counters: Mapping[str, int], story_at: datetime | None
) -> SessionStats:
    """Adds to the counters and takes the next seq in one statement; returns the changed row."""
    unknown = set(counters) - COUNTERS
    if unknown:
        raise ValueError(f"unknown counters: {sorted(unknown)}")
    # Raw SQL for RETURNING: one round trip while the row is locked.
    table = SessionStats._meta.db_table
    names = sorted(counters)
    # The names are columns of COUNTERS, so only the values need to be parameters.
    changes, values = ["last_seq = last_seq + 1"], list[Any]()
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
    rows = list(
        SessionStats.objects.raw(
            f"UPDATE {table} SET {', '.join(changes)} WHERE session_id = %s "  # noqa: S608
            f"RETURNING {', '.join(_COLUMNS)}",
            [*values, key],
        )
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
    # From here to the commit this transaction holds the lock on the session's counters.
    stats = _add_to_counters(session.pk, counters, story_at)
    at = timezone.now()
    if extra.moments is None:
        timed = {name: n for name, n in counters.items() if name in statistics.MEASURES}
        statistics.add(session.pk, at, timed | dict(extra.measures), extra.shares)
    else:
        statistics.add_past(session.pk, extra.moments, extra.shares)
    # The row of counters is locked, so no other transaction can take this seq before the commit.
    event = SessionEvent.objects.create(
        session=session,
        seq=stats.last_seq,
        type=type_,
        payload={**payload, "figures": figures(stats)},
        at=at,
    )
    # robust: the transaction is committed, so an error while publishing must not reach the caller.
    transaction.on_commit(lambda: _publish_and_log(session, event), robust=True)
    return event


def _publish_and_log(session: Session, event: SessionEvent) -> None:
    """Publishes a committed event, and logs it with the ids of the rows that it is about."""
    publish(session.pk, event.seq)
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
    log.info(event.type, seq=event.seq, **{**context.session_fields(session), **ids})


def reset_last_story(session: Session, at: datetime | None) -> None:
    """Sets the time of the last story after the last one was removed; call it before ``record``."""
    SessionStats.objects.filter(session=session).update(last_story_at=at)


def add_imported(
    session: Session,
    before: int,
    last_seq: int,
    story_at: datetime | None,
    counters: Mapping[str, int],
) -> None:
    """Adds imported rows to the counters, and continues the events after ``last_seq``.

    Runs inside a transaction, and only while ``before`` is the last seq; raises DoesNotExist
    otherwise. The caller adds to buckets and tallies.
    """
    sums = {name: F(name) + number for name, number in counters.items() if name in COUNTERS}
    # Compare and set: events recorded since the import began make it fail instead of sharing a seq.
    unchanged = SessionStats.objects.filter(session=session, last_seq=before)
    if not unchanged.update(last_seq=last_seq, last_story_at=story_at, **sums):
        raise SessionStats.DoesNotExist(f"session {session.pk} has newer events")


def add_message(session: Session, role: str, text: str, code: str = "") -> Message:
    """Writes a message to the owner, with its event."""
    with transaction.atomic():
        message = Message.objects.create(session=session, role=role, text=text[:2000], code=code)
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
def _redis() -> redis.Redis:
    import redis

    return redis.Redis.from_url(settings.REDIS.hub, socket_timeout=2, socket_connect_timeout=1)


def send(channel: str, body: object) -> None:
    """Publishes a message as JSON; one that cannot be sent is only logged."""
    import redis

    try:
        _redis().publish(channel, json.dumps(body))
    except redis.RedisError as error:
        # Not retried: a hub or sweeper that missed it reads the database within seconds.
        log.warning("publish_failed", error=type(error).__name__)


def publish(session_id: UUID, seq: int) -> None:
    """Makes every hub read the session's new events; a lost call delays them by 2 s."""
    send(CHANNEL, {"session": str(session_id), "seq": seq})


def publish_ephemeral(session_id: UUID, type_: str, payload: Mapping[str, Any]) -> None:
    """Sends a frame that is never stored to the owner's pages."""
    send(CHANNEL, {"session": str(session_id), "type": type_, "data": dict(payload)})
