"""Many new rows at once, for an import: what ``bulk_create`` does for every value costs it half its
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from operator import itemgetter
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections, models

Row = TypeVar("Row", bound=models.Model)
_AS_IT_IS = (models.CharField, models.TextField, models.IntegerField, models.BooleanField)


class Pattern(Generic[Row]):
    """Rows that are alike but for some values: a constructor would set all their fields anew."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._own = [
            (field.attname, field.get_default)
            for field in row._meta.concrete_fields
            if field.has_default() and callable(field.default)
        ]

    def row(self, **values: Any) -> Row:
        """Another one; a value is what the field's attribute holds, and is not checked."""
        made = object.__new__(type(self._row))
        made.__dict__.update(vars(self._row), _state=copy(self._row._state))
        made.__dict__.update((name, default()) for name, default in self._own)
        made.__dict__.update(values)
        return made


def insert(rows: Sequence[models.Model]) -> None:
    """Insert complete rows of one model; they do not learn their ids."""
    if not rows:
        return
    fields = [field for field in type(rows[0])._meta.concrete_fields if not field.primary_key]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    table = quote(rows[0]._meta.db_table)
    marks = ", ".join(["%s"] * len(fields))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608
            _values(rows, fields),
        )


def _values(rows: Sequence[models.Model], fields: Sequence[models.Field[Any, Any]]) -> list[Any]:
    """The rows as the database takes them, column by column where one has to be prepared."""
    take = itemgetter(*(field.attname for field in fields))
    columns: list[Sequence[Any]] = list(zip(*(take(vars(row)) for row in rows), strict=True))
    for at, field in enumerate(fields):
        if not _fit(field):
            columns[at] = _prepared(field, columns[at])
    return list(zip(*columns, strict=True))


def _fit(field: models.Field[Any, Any]) -> bool:
    """Whether the database takes a row's value as it is: text and numbers."""
    plain = type(field).get_db_prep_save is models.Field.get_db_prep_save
    return plain and isinstance(field, _AS_IT_IS)


def _prepared(field: models.Field[Any, Any], values: Sequence[Any]) -> Sequence[Any]:
    """Once for all where all are alike, as is the session of a lot."""
    prepare, base = field.get_db_prep_save, connections[DEFAULT_DB_ALIAS]
    if values.count(values[0]) == len(values):
        return [prepare(values[0], base)] * len(values)
    return [None if value is None else prepare(value, base) for value in values]
