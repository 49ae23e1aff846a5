"""Adds what an event counts to the buckets (figures over time) and tallies (figures by kind).

Only ``recorder.record`` calls ``add``, in its transaction and after it locked the counters' row, so
that a session's buckets and tallies have one writer at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, models

from sessions_app.models import Bucket, Session, SessionStats, Tally

SIZES = (1, 5, 15, 60)  # minutes of a bucket
COARSE = (15, 60)  # sizes that retention never deletes
MEASURES = frozenset(field.name for field in Bucket._meta.concrete_fields) - {
    "id",
    "session",
    "size",
    "start",
}
# Sums end here instead of overflowing a column of 64 bits: no single amount comes near it, and an
# overflow would make every later booking of the session fail.
HIGHEST = 9 * 10**18
SUMS = frozenset(
    {"count", "words", "input_tokens", "output_tokens", "cost_lower", "cost_upper", "bounded"}
)
MAX_KEY_LENGTH = 200

# Rows up to which one statement is faster; parsing a longer one takes more time than single inserts.
_FEW = 20


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
    upsert(Bucket, (*unique, *names, *others), values, unique, names)


def _add_to_tallies(session_id: UUID, shares: Iterable[Share]) -> None:
    # One statement for each set of columns.
    grouped: dict[tuple[str, ...], list[Share]] = {}
    for share in shares:
        grouped.setdefault(tuple(sorted(share.sums)), []).append(share)
    for names, group in grouped.items():
        others = sorted(SUMS - set(names))
        values = [
            (
                session_key(session_id),
                share.dimension,
                share.key[:MAX_KEY_LENGTH],
                *(share.sums[name] for name in names),
                *[0] * len(others),
            )
            for share in group
        ]
        unique = ("session_id", "dimension", "key")
        upsert(Tally, (*unique, *names, *others), values, unique, names)


def session_key(session_id: UUID) -> Any:
    """Returns a session's id as a parameter of a raw query."""
    return Session._meta.pk.get_db_prep_value(session_id, connection)


def database_time(at: datetime) -> Any:
    """Returns a time as a parameter of a raw query."""
    return connection.ops.adapt_datetimefield_value(at)


def capped_sum(total: str, amount: str) -> str:
    """Returns SQL for ``total + amount``, between the lowest and the highest sum."""
    # Compared before adding, because the addition itself fails on PostgreSQL and becomes a float
    # on SQLite. A nested CASE, because AND may evaluate both sides.
    return (
        f"CASE WHEN {amount} > 0 "
        f"THEN CASE WHEN {total} > {HIGHEST} - {amount} THEN {HIGHEST} ELSE {total} + {amount} END "
        f"ELSE CASE WHEN {total} < -{HIGHEST} - {amount} THEN -{HIGHEST} "
        f"ELSE {total} + {amount} END END"
    )


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
    """Inserts ``rows``, or adds their ``summed`` columns to existing rows with equal ``unique`` ones.

    Of the ``earliest`` columns the smaller value is stored, of the ``latest`` ones the greater.
    Returns the ``returning`` columns of all rows.
    """
    table = connection.ops.quote_name(model._meta.db_table)
    quoted = [connection.ops.quote_name(name) for name in columns]
    keys = ", ".join(connection.ops.quote_name(name) for name in unique)
    changes = [
        f"{name} = {capped_sum(f'{table}.{name}', f'excluded.{name}')}"
        for name in map(connection.ops.quote_name, summed)
    ]
    changes += [
        f"{name} = CASE WHEN excluded.{name} {sign} {table}.{name} "
        f"THEN excluded.{name} ELSE {table}.{name} END"
        for sign, names in (("<", earliest), (">", latest))
        for name in map(connection.ops.quote_name, names)
    ]
    one_row = f"({', '.join(['%s'] * len(columns))})"
    head = f"INSERT INTO {table} ({', '.join(quoted)}) VALUES "  # noqa: S608
    # Both databases call the row that could not be inserted "excluded".
    tail = f" ON CONFLICT ({keys}) DO UPDATE SET {', '.join(changes)}"
    with connection.cursor() as cursor:
        if returning or len(rows) <= _FEW:
            if returning:
                tail += f" RETURNING {', '.join(map(connection.ops.quote_name, returning))}"
            all_rows = ", ".join([one_row] * len(rows))
            cursor.execute(head + all_rows + tail, [value for row in rows for value in row])
        else:
            cursor.executemany(head + one_row + tail, rows)
        return cursor.fetchall() if returning else []


def set_counters(session: Session, sums: Mapping[str, int]) -> None:
    """Sets counters that were found to be wrong; call it before ``record``, in its transaction."""
    SessionStats.objects.filter(session=session).update(**sums)
