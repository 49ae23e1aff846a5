"""How the rows of a test that really committed are taken away again.

Django empties every table and then makes all permissions and content types anew, which costs more
than most tests do. Here only tables that have rows are emptied, and what the migrations wrote stays.
"""

from __future__ import annotations

from functools import cache

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

from sessions_app import constraints
from stories.search import index

# Written by the migrations: no test writes them.
KEPT = {"auth_permission", "django_content_type"}

# Schemas from which nothing was missing.
_whole: set[tuple[int, int] | None] = set()

flush_everything = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]


def empty_after_a_test(case: TransactionTestCase) -> None:
    """In place of ``TransactionTestCase._fixture_teardown``."""
    connection = connections["default"]
    schema = schema_version(connection)
    if schema is None or schema not in _whole:
        if constraints.missing() or index.missing(connection):
            flush_everything(case)  # which restores what the test took from the schema
            return
        _whole.add(schema)
    _empty(connection, tables_with_rows(connection))


def schema_version(connection: BaseDatabaseWrapper) -> tuple[int, int] | None:
    """What differs after a change of the schema; None on PostgreSQL, which counts no changes."""
    if connection.vendor != "sqlite":
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT schema_version, (SELECT COUNT(*) FROM sqlite_master) FROM pragma_schema_version"
        )
        found: tuple[int, int] = cursor.fetchone()
    return found


@cache
def _tables() -> tuple[str, ...]:
    names = connections["default"].introspection.django_table_names(True, include_views=False)
    return tuple(sorted(set(names) - KEPT))


def tables_with_rows(connection: BaseDatabaseWrapper) -> list[str]:
    parts = [f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\")" for name in _tables()]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return [row[0] for row in cursor.fetchall()]


def _empty(connection: BaseDatabaseWrapper, tables: list[str]) -> None:
    """The text indexes follow by their triggers on SQLite; foreign keys wait until all is gone."""
    if not tables:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL session_replication_role = replica")
        for name in tables:
            cursor.execute(f'DELETE FROM "{name}"')
