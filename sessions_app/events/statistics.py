"""Figures over time and by kind: what an event adds to the buckets and tallies of its session.

Only ``events.record`` calls ``add``, inside its transaction and after it took the counters' row, so
that buckets and tallies are summed by one writer of a session at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, models

from sessions_app.models import Bucket, Session, Tally

SIZES = (1, 5, 15, 60)
_KEYS = ("id", "session", "size", "start")
MEASURES = frozenset(each.name for each in Bucket._meta.concrete_fields) - set(_KEYS)
SUMS = frozenset(
    {"count", "words", "input_tokens", "output_tokens", "cost_lower", "cost_upper", "bounded"}
)
MOST_KEY = 200
_FEW = 20  # rows of one statement: many are quicker one by one than to be parsed together


@dataclass(frozen=True, slots=True)
class Share:
    """What an event adds to one key of one dimension; ``sums`` are columns of Tally."""

    dimension: str
    key: str
    sums: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extra:
    """What an event adds beside the counters: ``measures`` are columns of Bucket.

    Where ``moments`` are given, all that is summed over time belongs to them in the stead of the
    event's own moment: each with its measures, of which the counters must be the sum.
    """

    measures: Mapping[str, int] = field(default_factory=dict)
    shares: Sequence[Share] = ()
    moments: Sequence[tuple[datetime, Mapping[str, int]]] | None = None


NOTHING = Extra()
COARSE = (15, 60)


def start_of(at: datetime, size: int) -> datetime:
    """The start of the bucket of ``size`` minutes that ``at`` falls into."""
    seconds = int(at.timestamp())
    return datetime.fromtimestamp(seconds - seconds % (size * 60), UTC)


def add(
    session_id: UUID, at: datetime, measures: Mapping[str, int], shares: Iterable[Share]
) -> None:
    """Add to the buckets of all sizes and to the tallies; what is zero writes nothing."""
    _add_measures(session_id, at, {name: each for name, each in measures.items() if each})
    _add_all_shares(session_id, shares)


def add_past(
    session_id: UUID, moments: Iterable[tuple[datetime, Mapping[str, int]]], shares: Iterable[Share]
) -> None:
    """Add what happened at many moments long ago: to the buckets that are kept for good alone."""
    finest, *coarser = COARSE
    sums = {finest: _summed(moments, finest)}
    for size in coarser:
        sums[size] = _summed(sums[finest].items(), size)
    names = sorted({name for each in sums[finest].values() for name in each})
    zeros = _zeros(MEASURES, names)
    key, fit = session_key(session_id), connection.ops.adapt_datetimefield_value
    rows = [
        (key, size, fit(start), *(each.get(name, 0) for name in names), *zeros)
        for size, buckets in sums.items()
        for start, each in sorted(buckets.items())
    ]
    columns = ("session_id", "size", "start", *names, *_others(MEASURES, names))
    if names:
        upsert(Bucket, columns, rows, ("session_id", "size", "start"), names)
    _add_all_shares(session_id, shares)


def _summed(
    moments: Iterable[tuple[datetime, Mapping[str, int]]], size: int
) -> dict[datetime, dict[str, int]]:
    """What each bucket of ``size`` minutes gets, without what is zero or counted elsewhere."""
    found: dict[datetime, dict[str, int]] = {}
    for at, measures in moments:
        bucket = found.setdefault(start_of(at, size), {})
        for name, each in measures.items():
            if each and name in MEASURES:
                bucket[name] = bucket.get(name, 0) + each
    return found


def _add_all_shares(session_id: UUID, shares: Iterable[Share]) -> None:
    grouped: dict[tuple[str, ...], list[Share]] = {}
    for share in shares:
        grouped.setdefault(tuple(sorted(share.sums)), []).append(share)
    for names, alike in grouped.items():
        _add_shares(session_id, names, alike)


def _add_measures(session_id: UUID, at: datetime, measures: Mapping[str, int]) -> None:
    if not measures:
        return
    names = sorted(measures)
    amounts = [measures[name] for name in names]
    rows = [
        (
            session_key(session_id),
            size,
            moment(start_of(at, size)),
            *amounts,
            *_zeros(MEASURES, names),
        )
        for size in SIZES
    ]
    columns = ("session_id", "size", "start", *names, *_others(MEASURES, names))
    upsert(Bucket, columns, rows, ("session_id", "size", "start"), names)


def _add_shares(session_id: UUID, names: tuple[str, ...], shares: Iterable[Share]) -> None:
    rows = [
        (
            session_key(session_id), share.dimension, share.key[:MOST_KEY],
            *(share.sums[name] for name in names), *_zeros(SUMS, names),
        )
        for share in shares
    ]  # fmt: skip
    columns = ("session_id", "dimension", "key", *names, *_others(SUMS, names))
    upsert(Tally, columns, rows, ("session_id", "dimension", "key"), names)


def _others(all_: frozenset[str], names: Sequence[str]) -> list[str]:
    return sorted(all_ - set(names))


def _zeros(all_: frozenset[str], names: Sequence[str]) -> list[int]:
    return [0] * len(all_ - set(names))


def session_key(session_id: UUID) -> Any:
    """A session's id as the database takes it."""
    return Session._meta.pk.get_db_prep_value(session_id, connection)


def moment(at: datetime) -> Any:
    """A moment as the database takes it."""
    return connection.ops.adapt_datetimefield_value(at)


def upsert(
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    unique: Sequence[str],
    summed: Sequence[str],
    earliest: Sequence[str] = (),
    latest: Sequence[str] = (),
    returning: Sequence[str] = (),
) -> list[tuple[Any, ...]]:
    """Insert ``rows``, or add their ``summed`` columns to the rows that are there already.

    Of the ``earliest`` columns the lesser value stays, of the ``latest`` ones the greater. Returns
    the ``returning`` columns of all.
    """
    table = connection.ops.quote_name(model._meta.db_table)
    quoted = [connection.ops.quote_name(name) for name in columns]
    keys = ", ".join(connection.ops.quote_name(name) for name in unique)
    changes = [
        f"{name} = {table}.{name} + excluded.{name}"
        for name in map(connection.ops.quote_name, summed)
    ]
    changes += [
        f"{name} = CASE WHEN excluded.{name} {sign} {table}.{name} "
        f"THEN excluded.{name} ELSE {table}.{name} END"
        for sign, names in (("<", earliest), (">", latest))
        for name in map(connection.ops.quote_name, names)
    ]
    asked = f" RETURNING {', '.join(map(connection.ops.quote_name, returning))}"
    mark = f"({', '.join(['%s'] * len(columns))})"
    head = f"INSERT INTO {table} ({', '.join(quoted)}) VALUES "  # noqa: S608
    tail = f" ON CONFLICT ({keys}) DO UPDATE SET {', '.join(changes)}"
    with connection.cursor() as cursor:
        if returning or len(rows) <= _FEW:
            marks = ", ".join([mark] * len(rows))
            values = [value for row in rows for value in row]
            cursor.execute(head + marks + tail + (asked if returning else ""), values)
        else:
            cursor.executemany(head + mark + tail, rows)
        return cursor.fetchall() if returning else []
