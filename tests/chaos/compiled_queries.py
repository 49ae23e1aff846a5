"""Compiles each query of the ORM once: a simulation asks the same few thousands of times.

A chain such as ``Step.objects.filter(…).update(…)`` is recorded instead of built. Chains that differ
in their values alone have the same key, for which Django compiles the SQL once, with values that are
recognised among its parameters. The SQL for a new key is compared with what Django makes of the
actual values; where it differs, or something in the chain is not known here, Django does it as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connection, models
from django.db.backends.sqlite3.base import FORMAT_QMARK_REGEX
from django.db.models import F, Q, sql
from django.db.models.expressions import CombinedExpression, RawSQL, Value
from django.db.models.functions import Now
from django.db.models.manager import BaseManager
from django.db.models.query import get_related_populators
from django.utils.duration import duration_microseconds

from sessions_app import statements

Pause = Callable[..., Any]


class Unknown(Exception):
    """Something in a chain is not known here."""


def stored(value: Any) -> Any:
    """A value as SQLite gets it from Django."""
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, timedelta):
        return duration_microseconds(value)
    return str(value) if isinstance(value, str) else value


def as_text(value: Any) -> Any:
    """A value as Django stores it in a column of text."""
    return str(value)


KINDS = (str, int, UUID, datetime, timedelta)


def shape(value: Any, values: list[Any]) -> Any:
    """The structure of an argument, as a key; its values are appended to ``values``."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, models.Model):
        if value.pk is None:
            raise Unknown
        value = value.pk
    if isinstance(value, KINDS):
        values.append(value)
        # A member of TextChoices is a text like any other.
        return next(kind for kind in KINDS if isinstance(value, kind))
    if isinstance(value, Q):
        parts = tuple(
            (part[0], shape(part[1], values)) if isinstance(part, tuple) else shape(part, values)
            for part in value.children
        )
        return Q, value.connector, value.negated, parts
    if isinstance(value, F):
        return F, repr(value)
    if isinstance(value, Now):
        return Now
    if isinstance(value, CombinedExpression):
        return value.connector, shape(value.lhs, values), shape(value.rhs, values)
    if isinstance(value, Value):
        return Value, shape(value.value, values)
    if isinstance(value, RawSQL):
        return RawSQL, value.sql, tuple(value.params)
    if isinstance(value, list | tuple):
        return tuple, *(shape(part, values) for part in value)
    raise Unknown


def with_values(value: Any, replaced: Iterator[Any]) -> Any:
    """The argument with other values, in the order of ``shape``."""
    if isinstance(value, models.Model) or (
        isinstance(value, KINDS) and not isinstance(value, bool)
    ):
        return next(replaced)
    if isinstance(value, Value):
        return Value(with_values(value.value, replaced))
    if isinstance(value, Q):
        parts = [
            (part[0], with_values(part[1], replaced))
            if isinstance(part, tuple)
            else with_values(part, replaced)
            for part in value.children
        ]
        return Q.create(parts, connector=value.connector, negated=value.negated)
    if isinstance(value, CombinedExpression):
        lhs, rhs = (with_values(side, replaced) for side in (value.lhs, value.rhs))
        return CombinedExpression(lhs, value.connector, rhs)
    if isinstance(value, list | tuple):
        return [with_values(part, replaced) for part in value]
    return value


def markers(values: list[Any]) -> list[Any]:
    """Values of the same types that are found nowhere else in a query."""
    made: list[Any] = []
    for number, value in enumerate(values):
        if isinstance(value, int):
            made.append(7_000_000_000_000 + number)
        elif isinstance(value, timedelta):
            made.append(timedelta(microseconds=8_000_000_000_000 + number))
        elif isinstance(value, UUID):
            made.append(UUID(int=(0xABCDEF << 100) + number))
        elif isinstance(value, datetime):
            made.append(datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=number))
        else:
            made.append(f"\u00a7{number}\u00a7")
    return made


@dataclass(slots=True)
class Compiled:
    """A statement whose parameters are constants, or values by their place, with their form."""

    text: str
    parameters: list[tuple[int, Any]]
    make: Callable[[tuple[Any, ...]], Any] | None = None

    def run(self, pause: Pause, values: list[Any]) -> Any:
        given = [form if at < 0 else form(values[at]) for at, form in self.parameters]
        with connection.wrap_database_errors:
            return pause(connection.connection.execute, self.text, given)


def compiled(as_sql: Callable[[list[Any]], tuple[str, Any]], values: list[Any]) -> Compiled:
    """Compiles with markers, and proves that the actual values give the same statement."""
    marked = markers(values)
    text, parameters = as_sql(marked)
    places: dict[Any, tuple[int, Any]] = {}
    for at, marker in enumerate(marked):
        for form in (stored, as_text):
            places.setdefault((type(form(marker)), form(marker)), (at, form))
    own = [places.get((type(each), each), (-1, each)) for each in parameters]
    if {at for at, _ in own} - {-1} != set(range(len(values))):
        raise Unknown
    expected_text, expected = as_sql(values)
    given = [form if at < 0 else form(values[at]) for at, form in own]
    if (text, given) != (expected_text, list(expected)):
        raise Unknown
    return Compiled(in_sqlite(text), own)


def in_sqlite(text: str) -> str:
    return FORMAT_QMARK_REGEX.sub("?", text).replace("%%", "%")


Step = tuple[str, tuple[Any, ...], dict[str, Any]]
OF_A_CHAIN = frozenset(
    {"filter", "exclude", "order_by", "select_related", "select_for_update", "only", "values_list"}
)
# Their arguments are names and options, which are part of the structure.
OF_NAMES = frozenset({"order_by", "select_related", "select_for_update", "only", "values_list"})


@dataclass(slots=True)
class Chain:
    """A recorded chain: what is asked of it is compiled once, and all else is left to Django."""

    manager: Any
    model: type[models.Model]
    pause: Pause
    known: dict[Any, Compiled | None]
    steps: tuple[Step, ...] = ()
    first_only: int = 0
    _whole: Any = None
    _found: list[Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name in OF_A_CHAIN:
            return lambda *args, **kwargs: self._then(name, args, kwargs)
        return getattr(self.whole, name)

    @property
    def whole(self) -> Any:
        """Django's own query set of this chain."""
        if self._whole is None:
            self._whole = self.built(self.steps)
        return self._whole

    def _then(self, name: str, args: Any, kwargs: Any) -> Any:
        if self.first_only:
            return getattr(self.whole, name)(*args, **kwargs)
        steps = (*self.steps, (name, args, kwargs))
        return Chain(self.manager, self.model, self.pause, self.known, steps)

    def built(self, steps: tuple[Step, ...]) -> Any:
        rows = get_queryset(self.manager)
        for name, args, kwargs in steps:
            rows = getattr(rows, name)(*args, **kwargs)
        return rows[: self.first_only] if self.first_only else rows

    def all(self) -> Any:
        return self

    def __getitem__(self, at: Any) -> Any:
        plain = isinstance(at, slice) and at.start is None and at.step is None and at.stop
        if not plain or self.first_only:
            return self.whole[at]
        return Chain(self.manager, self.model, self.pause, self.known, self.steps, at.stop)

    def asked(
        self, what: str, steps: tuple[Step, ...], build: Callable[[tuple[Step, ...]], Any]
    ) -> tuple[Compiled | None, list[Any]]:
        """Returns the compiled statement and its values; None for what is left to Django."""
        values: list[Any] = []
        key: list[Any] = [self.model, what, self.first_only]
        try:
            for name, args, kwargs in steps:
                if name in OF_NAMES:
                    key.append((name, args, tuple(kwargs.items())))
                    continue
                key += (name, *(shape(arg, values) for arg in args))
                key += ((each, shape(value, values)) for each, value in kwargs.items())
            whole = tuple(key)
            if whole not in self.known:
                self.known[whole] = self._compiled(steps, build, values)
        except Unknown:
            return None, values
        return self.known[whole], values

    def _compiled(
        self, steps: tuple[Step, ...], build: Callable[[tuple[Step, ...]], Any], values: list[Any]
    ) -> Compiled | None:
        makers: list[Any] = []

        def as_sql(given: list[Any]) -> tuple[str, Any]:
            replaced = iter(given)
            changed = tuple(
                (name, args, kwargs)
                if name in OF_NAMES
                else (
                    name,
                    tuple(with_values(arg, replaced) for arg in args),
                    {each: with_values(value, replaced) for each, value in kwargs.items()},
                )
                for name, args, kwargs in steps
            )
            compiler, make = build(changed)
            makers[:] = [make]
            text, parameters = compiler.as_sql()
            return text, parameters

        try:
            found = compiled(as_sql, values)
            found.make = makers[0] and makers[0]()
        except (Unknown, EmptyResultSet, FullResultSet):
            return None
        return found

    # What is asked of a chain.

    def raw(self, text: str, parameters: list[Any]) -> list[Any]:
        """The rows of a statement that was written by hand."""
        with connection.wrap_database_errors:
            cursor = self.pause(connection.connection.execute, in_sqlite(text), parameters)
        names = tuple(column[0] for column in cursor.description)
        key = (self.model, names)
        if key not in self.known:
            self.known[key] = Compiled("", [], instances_of(self.model, names))
        make = self.known[key].make  # type: ignore[union-attr]
        return [make(row) for row in cursor.fetchall()]  # type: ignore[misc]

    def bulk_create(self, rows: list[Any], *more: Any, **options: Any) -> list[Any]:
        if more or options:
            return list(self.whole.bulk_create(rows, *more, **options))
        for row in rows:
            row.save(force_insert=True)
        return rows

    def _read(self, what: str, steps: tuple[Step, ...], limit: int = 0) -> list[Any] | None:
        """The rows of a chain; None for what is left to Django."""

        def build(changed: tuple[Step, ...]) -> Any:
            rows = self.built(changed)
            if what == "first" and not rows.ordered:
                rows = rows.order_by("pk")
            if what == "exists":
                return rows.query.exists().get_compiler("default"), None
            if limit:
                rows.query.set_limits(high=limit)
            compiler = rows.query.get_compiler("default")
            return compiler, lambda: maker_of(rows, compiler)

        statement, values = self.asked(what, steps, build)
        if statement is None:
            return None
        rows = statement.run(self.pause, values).fetchall()
        return [statement.make(row) for row in rows] if statement.make else rows

    def get(self, *args: Any, **kwargs: Any) -> Any:
        steps = (*self.steps, ("filter", args, kwargs)) if args or kwargs else self.steps
        found = self._read("get", steps, 21)
        if found is None or len(found) != 1:
            # Without a row, or with several of them, it raises.
            return self.whole.get(*args, **kwargs)
        return found[0]

    def first(self) -> Any:
        found = None if self.first_only else self._read("first", self.steps, 1)
        return self.whole.first() if found is None else next(iter(found), None)

    def exists(self) -> bool:
        found = self._read("exists", self.steps)
        return bool(self.whole.exists() if found is None else found)

    def _all(self) -> list[Any]:
        if self._found is None:
            found = self._read("all", self.steps)
            self._found = list(self.whole) if found is None else found
        return self._found

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __bool__(self) -> bool:
        return bool(self._all())

    def _changed(self, changes: dict[str, Any], returning: str = "") -> Any:
        def build(changed: tuple[Step, ...]) -> Any:
            *chain, (_, _, values) = changed
            query = self.built(tuple(chain)).query.chain(sql.UpdateQuery)
            query.add_update_values(values)
            query.clear_select_clause()
            return query.get_compiler("default"), None

        steps = (*self.steps, ("update", (), changes))
        statement, values = self.asked("update", steps, build)
        if statement is None or not returning:
            return statement and statement.run(self.pause, values)
        whole = Compiled(f"{statement.text} RETURNING {returning}", statement.parameters)
        return whole.run(self.pause, values)

    def update(self, **changes: Any) -> int:
        cursor = None if self.first_only else self._changed(changes)
        return int(self.whole.update(**changes) if cursor is None else cursor.rowcount)


Converters = list[tuple[int, list[Any], Any]]


def conversion(converters: Converters) -> Callable[[tuple[Any, ...]], list[Any]]:
    """Returns the function that converts the values of a row from what the database stores."""

    def converted(row: tuple[Any, ...]) -> list[Any]:
        values = list(row)
        for at, functions, column in converters:
            for function in functions:
                values[at] = function(values[at], column, connection)
        return values

    return converted


def maker_of(rows: Any, compiler: Any) -> Callable[[tuple[Any, ...]], Any]:
    """Returns the function that makes of a row what Django's query set would."""
    expressions = [column for column, _, _ in compiler.select]
    found = compiler.get_converters(expressions).items()
    converted = conversion([(at, *functions_and_column) for at, functions_and_column in found])
    if rows._fields is not None:
        if rows.query.annotations or rows.query.extra_select:
            raise Unknown
        flat = rows._iterable_class.__name__ == "FlatValuesListIterable"
        return (lambda row: converted(row)[0]) if flat else (lambda row: tuple(converted(row)))
    info = compiler.klass_info
    begin, end = info["select_fields"][0], info["select_fields"][-1] + 1
    names = [column.target.attname for column, _, _ in compiler.select[begin:end]]
    populators = populators_of(info, compiler.select, "default")

    def instance(row: tuple[Any, ...]) -> Any:
        values = converted(row)
        made = info["model"].from_db("default", names, values[begin:end])
        for populator in populators:
            populator.populate(values, made)
        return made

    return instance


def instances_of(
    model: type[models.Model], columns: tuple[str, ...]
) -> Callable[[tuple[Any, ...]], Any]:
    """Returns the function that makes a row of these columns an instance."""
    by_column = {field.column: field for field in model._meta.concrete_fields}
    fields = [by_column[name] for name in columns]
    names = [field.attname for field in fields]
    converters: Converters = []
    for at, each in enumerate(fields):
        column = each.get_col(model._meta.db_table)
        functions = [
            *connection.ops.get_db_converters(column),
            *column.get_db_converters(connection),
        ]
        if functions:
            converters.append((at, functions, column))

    converted = conversion(converters)
    return lambda row: model.from_db("default", names, converted(row))


# Some of Django that its type stubs do not have, or have otherwise.
model_class: Any = models.Model
populators_of: Any = get_related_populators
get_queryset, do_insert = BaseManager.get_queryset, model_class._do_insert
update_returning = statements.update_returning


@contextmanager
def compiled_once(pause: Pause) -> Iterator[None]:
    """Records the chains of all managers; ``pause`` calls ``execute`` with statement and values."""
    known: dict[Any, Compiled | None] = {}
    inserts: dict[Any, str] = {}

    def recorded(manager: Any) -> Any:
        return Chain(manager, manager.model, pause, known)

    def insert(row: Any, manager: Any, using: Any, fields: Any, returning: Any, raw: Any) -> Any:
        values = [
            each.get_db_prep_save(each.pre_save(row, add=True), connection) for each in fields
        ]
        if raw or any(hasattr(value, "resolve_expression") for value in values):
            return do_insert(row, manager, using, fields, returning, raw)
        key = (type(row), tuple(each.column for each in fields))
        if key not in inserts:
            names = ", ".join(f'"{name}"' for name in key[1])
            more = ", ".join(f'"{each.column}"' for each in returning)
            inserts[key] = (
                f'INSERT INTO "{row._meta.db_table}" ({names}) '
                f"VALUES ({', '.join('?' * len(fields))}){' RETURNING ' if more else ''}{more}"
            )
        with connection.wrap_database_errors:
            return pause(connection.connection.execute, inserts[key], values).fetchall()

    def returned(rows: Any, session: Any = None, /, **changes: Any) -> list[Any]:
        columns = tuple(str(each.column) for each in rows.model._meta.concrete_fields)
        cursor = None
        if isinstance(rows, Chain):
            cursor = rows._changed(changes, ", ".join(f'"{name}"' for name in columns))
        if cursor is None:
            return list(update_returning(rows, session, **changes))
        key = (rows.model, columns)
        if key not in known:
            known[key] = Compiled("", [], instances_of(rows.model, columns))
        found = [known[key].make(row) for row in cursor.fetchall()]  # type: ignore[misc, union-attr]
        for row in found if session else ():
            row.session = session
        return found

    with (
        patch.object(BaseManager, "get_queryset", recorded),
        patch.object(models.Model, "_do_insert", insert),
        patch.object(statements, "update_returning", returned),
    ):
        yield
