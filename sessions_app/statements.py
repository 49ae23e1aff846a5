"""Statements that query sets lack, or that Django would compile again for each use.

An upsert, an insert that may find its row, an update that returns its rows, and for the few
statements of every story and booking: look-ups, updates and inserts whose SQL is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, models
from django.db.models import QuerySet
from django.db.models.expressions import Expression
from django.db.models.query import get_related_populators
from django.db.models.sql import UpdateQuery

from sessions_app.models import Session

Row = TypeVar("Row", bound=models.Model)
Result = TypeVar("Result")
populators_of: Any = get_related_populators  # type stubs have those of a later version

# Sums end here instead of overflowing a column of 64 bits: no single amount comes near it, and an
# overflow would make every later booking of the session fail.
HIGHEST = 9 * 10**18

# Rows up to which one statement is faster; parsing a longer one takes more time than single inserts.
_FEW = 20


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
    names = (columns, unique, summed, earliest, latest, returning)
    head, one_row, tail = _upsert(model, *map(tuple, names))
    with connection.cursor() as cursor:
        if returning or len(rows) <= _FEW:
            all_rows = ", ".join([one_row] * len(rows))
            cursor.execute(head + all_rows + tail, [value for row in rows for value in row])
        else:
            cursor.executemany(head + one_row + tail, rows)
        return cursor.fetchall() if returning else []


@cache
def _upsert(
    model: type[models.Model],
    columns: tuple[str, ...],
    unique: tuple[str, ...],
    summed: tuple[str, ...],
    earliest: tuple[str, ...],
    latest: tuple[str, ...],
    returning: tuple[str, ...],
) -> tuple[str, str, str]:
    """Returns the SQL of an upsert: its head, the parameters of one row, and its tail."""
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    changes = [
        f"{name} = {capped_sum(f'{table}.{name}', f'excluded.{name}')}"
        for name in map(quote, summed)
    ]
    changes += [
        f"{name} = CASE WHEN excluded.{name} {sign} {table}.{name} "
        f"THEN excluded.{name} ELSE {table}.{name} END"
        for sign, names in (("<", earliest), (">", latest))
        for name in map(quote, names)
    ]
    head = f"INSERT INTO {table} ({', '.join(map(quote, columns))}) VALUES "  # noqa: S608
    # Both databases call the row that could not be inserted "excluded".
    tail = f" ON CONFLICT ({', '.join(map(quote, unique))}) DO UPDATE SET {', '.join(changes)}"
    if returning:
        tail += f" RETURNING {', '.join(map(quote, returning))}"
    return head, f"({', '.join(['%s'] * len(columns))})", tail


def insert(row: models.Model, conflict: str = "") -> bool:
    """Inserts ``row`` and sets its id; returns False where ``conflict`` lets nothing be inserted."""
    fields, text, key = _insert(type(row), conflict)
    values = [each.get_db_prep_save(each.pre_save(row, add=True), connection) for each in fields]
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        found = cursor.fetchone()
    if found is None:
        return False
    setattr(row, key, found[0])
    row._state.adding, row._state.db = False, connection.alias
    return True


@cache
def _insert(model: type[models.Model], conflict: str) -> tuple[list[Any], str, str]:
    """Returns the columns of an insert, its SQL, and the name of the id."""
    quote = connection.ops.quote_name
    columns = [each for each in model._meta.concrete_fields if not each.primary_key]
    names = ", ".join(quote(str(each.column)) for each in columns)
    key = model._meta.pk
    text = (
        f"INSERT INTO {quote(model._meta.db_table)} ({names}) "  # noqa: S608
        f"VALUES ({', '.join(['%s'] * len(columns))}){conflict} RETURNING {quote(str(key.column))}"
    )
    return columns, text, key.attname


def insert_if_new(row: models.Model) -> bool:
    """Inserts ``row`` and sets its id; returns False where a unique constraint refuses it."""
    # One statement, where a look-up and a savepoint around the insert would be four.
    return insert(row, " ON CONFLICT DO NOTHING")


def columns_of(model: type[models.Model]) -> str:
    """Returns the quoted columns of a model, in the order in which ``instances`` expects them."""
    return ", ".join(
        connection.ops.quote_name(str(each.column)) for each in model._meta.concrete_fields
    )


def instances(model: type[Row], sql: str, values: Sequence[Any]) -> list[Row]:
    """Executes a statement that returns ``columns_of`` a model, and returns the rows as instances."""
    # A raw query set finds out the columns and their conversions for each statement.
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        make = _maker(model)
        return [make(row) for row in cursor.fetchall()]


@cache
def _maker(model: type[Row]) -> Callable[[Sequence[Any]], Row]:
    converted = _conversion(
        [each.get_col(model._meta.db_table) for each in model._meta.concrete_fields]
    )
    names = [each.attname for each in model._meta.concrete_fields]
    return lambda row: model.from_db(DEFAULT_DB_ALIAS, names, converted(row))


def _conversion(columns: Sequence[Any]) -> Callable[[Sequence[Any]], list[Any]]:
    """Returns the function that converts what the database stores in ``columns`` to Python."""
    steps = [
        (at, function, column)
        for at, column in enumerate(columns)
        for function in (
            *connection.ops.get_db_converters(column),
            *column.get_db_converters(connection),
        )
    ]

    def converted(row: Sequence[Any]) -> list[Any]:
        values = list(row)
        for at, function, column in steps:
            values[at] = function(values[at], column, connection)
        return values

    return converted


def update_returning(
    rows: QuerySet[Row], session: Session | None = None, /, **changes: object
) -> list[Row]:
    """Updates rows as ``rows.update`` does, and returns them as they are after it.

    ``session`` is theirs, where it is known: it is not read again.
    """
    query: Any = rows.query.chain(UpdateQuery)
    query.add_update_values(changes)
    sql, values = query.get_compiler(connection=connection).as_sql()
    found = instances(rows.model, f"{sql} RETURNING {columns_of(rows.model)}", values)
    for row in found if session else ():
        row.session = session  # type: ignore[attr-defined]
    return found


def update_row(rows: QuerySet[Row], row: Row, **changes: object) -> bool:
    """Updates ``rows``, which has at most one, and sets all columns of ``row`` as they are then."""
    found = update_returning(rows, **changes)
    for one in found:
        for column in row._meta.concrete_fields:
            setattr(row, column.attname, getattr(one, column.attname))
    return bool(found)


class Given(Expression):
    """A text, number, id or time in a ``Prepared`` that is given with each use, and not None."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def as_sql(self, _compiler: Any, _connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        return "%s", [self]


@dataclass
class Prepared(Generic[Result]):
    """A query set whose SQL is compiled once, as that takes longer than a look-up by key.

    With ``changes`` it updates its rows and returns them as they are after it. Each use is one
    statement: nothing of a row is remembered.
    """

    build: Callable[[], QuerySet[Any, Result]]
    changes: dict[str, object] = field(default_factory=dict)

    @cached_property
    def _compiled(self) -> tuple[str, list[Any], Callable[[Sequence[Any]], Any]]:
        rows: Any = self.build()
        if self.changes:
            query: Any = rows.query.chain(UpdateQuery)
            query.add_update_values(self.changes)
            sql, values = query.get_compiler(connection=connection).as_sql()
            model = rows.model
            return f"{sql} RETURNING {columns_of(model)}", list(values), _maker(model)
        compiler: Any = rows.query.get_compiler(connection=connection)
        sql, values = compiler.as_sql()
        converted = _conversion([column for column, _, _ in compiler.select])
        if rows._fields is not None:
            return sql, list(values), lambda row: tuple(converted(row))
        info = compiler.klass_info
        begin, end = info["select_fields"][0], info["select_fields"][-1] + 1
        names = [column.target.attname for column, _, _ in compiler.select[begin:end]]
        related = populators_of(info, compiler.select, DEFAULT_DB_ALIAS)

        def make(row: Sequence[Any]) -> Any:
            found = converted(row)
            made = info["model"].from_db(DEFAULT_DB_ALIAS, names, found[begin:end])
            for populator in related:
                populator.populate(found, made)
            return made

        return sql, list(values), make

    def all(self, **values: object) -> list[Result]:
        """Executes the statement with these values."""
        sql, parameters, make = self._compiled
        given = [
            _stored(values[each.name]) if isinstance(each, Given) else each for each in parameters
        ]
        with connection.cursor() as cursor:
            cursor.execute(sql, given)
            return [make(row) for row in cursor.fetchall()]

    def first(self, **values: object) -> Result | None:
        """Executes the statement with these values; returns the first row, or None."""
        return next(iter(self.all(**values)), None)


def _stored(value: object) -> Any:
    """Returns a value as a parameter."""
    if isinstance(value, UUID):
        return Session._meta.pk.get_db_prep_value(value, connection)
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
