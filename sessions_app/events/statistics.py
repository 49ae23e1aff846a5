"""Adds what an event counts to the buckets (figures over time) and tallies (figures by kind).

Only ``recorder.record`` calls ``add``, in its transaction and after it locked the counters' row, so
that a session's buckets and tallies have one writer at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from django.db import connection
from django.db.models import F
from pydantic import Field
from typing_extensions import TypedDict

from sessions_app import context, statements
from sessions_app.models import Bucket, Session, SessionStats, Tally
from sessions_app.money import Amount

SIZES = (1, 5, 15, 60)  # minutes of a bucket
COARSE = (15, 60)  # sizes that retention never deletes
MEASURES = frozenset(field.name for field in Bucket._meta.concrete_fields) - {
    "id",
    "session",
    "size",
    "start",
}
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
HIGHEST = statements.HIGHEST
SUMS = frozenset(
    {"count", "words", "input_tokens", "output_tokens", "cost_lower", "cost_upper", "bounded"}
)
MAX_KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Share:
    """What an event adds to one key of one dimension; ``sums`` are columns of Tally."""

    dimension: str
    key: str
    sums: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extra:
    """What an event adds besides the counters: ``measures`` are columns of Bucket.

    If ``moments`` are given, the figures over time belong to these times and not to that of the
    event: each time has its measures, and the counters must be the sum of them.
    """

    measures: Mapping[str, int] = field(default_factory=dict)
    shares: Sequence[Share] = ()
    moments: Sequence[tuple[datetime, Mapping[str, int]]] | None = None


NOTHING = Extra()


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
        "last_story_at": context.timestamp(stats.last_story_at),
    }


def start_of(at: datetime, size: int) -> datetime:
    """Returns the start of the bucket of ``size`` minutes that ``at`` falls into."""
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % (size * 60), UTC)


def add(
    session_id: UUID, at: datetime, measures: Mapping[str, int], shares: Iterable[Share]
) -> None:
    """Adds to the buckets of all sizes and to the tallies; zeros write nothing."""
    sums = {name: number for name, number in measures.items() if number}
    # Every size is written at once, so that a page reads one size without summing a finer one.
    _add_to_buckets(session_id, [(size, start_of(at, size), sums) for size in SIZES])
    _add_to_tallies(session_id, shares)


def add_past(
    session_id: UUID, moments: Iterable[tuple[datetime, Mapping[str, int]]], shares: Iterable[Share]
) -> None:
    """Adds figures of many past times to the coarse buckets, and the shares to the tallies."""
    finest, *coarser = COARSE
    sums = {finest: _summed(moments, finest)}
    # The coarser sizes are sums of the finer ones, so each moment is read once.
    for size in coarser:
        sums[size] = _summed(sums[finest].items(), size)
    rows = [
        (size, start, measures)
        for size, buckets in sums.items()
        for start, measures in sorted(buckets.items())
    ]
    _add_to_buckets(session_id, rows)
    _add_to_tallies(session_id, shares)


def _summed(
    moments: Iterable[tuple[datetime, Mapping[str, int]]], size: int
) -> dict[datetime, dict[str, int]]:
    """Sums the measures in buckets of ``size`` minutes, without zeros and unknown names."""
    buckets: dict[datetime, dict[str, int]] = {}
    for at, measures in moments:
        bucket = buckets.setdefault(start_of(at, size), {})
        for name, number in measures.items():
            if number and name in MEASURES:
                bucket[name] = bucket.get(name, 0) + number
    return buckets


def _add_to_buckets(
    session_id: UUID, rows: Sequence[tuple[int, datetime, Mapping[str, int]]]
) -> None:
    names = sorted({name for _, _, measures in rows for name in measures})
    if not names:
        return
    # Without database defaults, a new row needs a value for each of the other columns.
    others = sorted(MEASURES - set(names))
    values = [
        (
            session_key(session_id),
            size,
            database_time(start),
            *(measures.get(name, 0) for name in names),
            *[0] * len(others),
        )
        for size, start, measures in rows
    ]
    unique = ("session_id", "size", "start")
    statements.upsert(Bucket, (*unique, *names, *others), values, unique, names)


def _add_to_tallies(session_id: UUID, shares: Iterable[Share]) -> None:
    # One statement for each set of columns.
    grouped: dict[tuple[str, ...], dict[tuple[str, str], Counter[str]]] = {}
    for share in shares:
        group = grouped.setdefault(tuple(sorted(share.sums)), {})
        # Events of one transaction may have the same key, which a statement names only once.
        key = (share.dimension, share.key[:MAX_KEY_LENGTH])
        group.setdefault(key, Counter()).update(share.sums)
    for names, group in grouped.items():
        others = sorted(SUMS - set(names))
        values = [
            (
                session_key(session_id),
                dimension,
                key,
                *(sums[name] for name in names),
                *[0] * len(others),
            )
            for (dimension, key), sums in group.items()
        ]
        unique = ("session_id", "dimension", "key")
        statements.upsert(Tally, (*unique, *names, *others), values, unique, names)


def session_key(session_id: UUID) -> Any:
    """Returns a session's id as a parameter of a raw query."""
    return Session._meta.pk.get_db_prep_value(session_id, connection)


def database_time(at: datetime) -> Any:
    """Returns a time as a parameter of a raw query."""
    return connection.ops.adapt_datetimefield_value(at)


def set_counters(session: Session, sums: Mapping[str, int]) -> None:
    """Sets counters that were found to be wrong; call it before ``record``, in its transaction."""
    SessionStats.objects.filter(session=session).update(**sums)


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
