"""The full-text indexes over stories and posts, kept by the database itself.

SQLite: one FTS5 table per model that stores no text of its own, fed by triggers. Its first column is
the session's id, so that a query walks only the entries of one session. PostgreSQL: a GIN index over
an expression. Like the guards of the tunnel they are restored after each migration, because SQLite
rebuilds tables and drops their triggers on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app import constraints
from stories.models import SourcePost, Story


@dataclass(frozen=True, slots=True)
class Index:
    """What is searched of one table; ``columns`` are text."""

    table: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.table}_text"

    @property
    def document(self) -> str:
        """The expression that PostgreSQL indexes; a query must repeat it to the letter."""
        text = " || ' ' || ".join(f'"{self.table}"."{name}"' for name in self.columns)
        return f"to_tsvector('simple', {text})"


STORIES = Index(Story._meta.db_table, ("title", "narrative"))
POSTS = Index(SourcePost._meta.db_table, ("title", "body", "author"))
INDEXES = (STORIES, POSTS)


def triggers(index: Index) -> Iterator[tuple[str, str]]:
    """Name and statement of each trigger that keeps an FTS5 table in step."""
    columns = ("session_id", *index.columns)
    listed = ", ".join(columns)

    def values(row: str) -> str:
        return ", ".join(f'{row}."{name}"' for name in ("id", *columns))

    put = f'INSERT INTO "{index.name}" (rowid, {listed}) VALUES ({values("NEW")});'
    take = (
        f'INSERT INTO "{index.name}" ("{index.name}", rowid, {listed}) '
        f"VALUES ('delete', {values('OLD')});"
    )
    changed = f"UPDATE OF {', '.join(index.columns)}"
    for suffix, event, body in (
        ("insert", "INSERT", put), ("update", changed, take + put), ("delete", "DELETE", take),
    ):  # fmt: skip
        name = f"{index.name}_{suffix}"
        yield name, f'CREATE TRIGGER "{name}" AFTER {event} ON "{index.table}" BEGIN {body} END'


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of what the live schema lacks."""
    if connection.vendor == "sqlite":
        wanted = {index.name for index in INDEXES}
        wanted |= {name for index in INDEXES for name, _ in triggers(index)}
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'trigger')"
    else:
        wanted = {index.name for index in INDEXES}
        query = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
    with connection.cursor() as cursor:
        cursor.execute(query)
        return sorted(wanted - {row[0] for row in cursor.fetchall()})


def drop_before_migrate(plan: list[Any], using: str, **_: Any) -> None:
    """SQLite cannot rename a table while a trigger names it."""
    connection = connections[using]
    if not plan or connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        for index in INDEXES:
            for name, _statement in triggers(index):
                cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"')


def restore_after_migrate(sender: Any, using: str, **_: Any) -> None:
    if sender.name == "stories":
        restore(using)


def restore(using: str) -> None:
    """Create what is missing; an index that could have missed a change is built anew."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    absent = set(missing(connection))
    for index in INDEXES:
        if index.table in tables and any(name.startswith(index.name) for name in absent):
            with transaction.atomic(using=using), connection.cursor() as cursor:
                constraints.lift_statement_timeout(connection)
                for statement in _statements(index, connection.vendor, absent):
                    cursor.execute(statement)


def _statements(index: Index, vendor: str, absent: set[str]) -> Iterator[str]:
    if vendor != "sqlite":
        yield f'CREATE INDEX IF NOT EXISTS "{index.name}" ON "{index.table}" USING gin ({index.document})'
        return
    columns = ", ".join(("session_id", *index.columns))
    yield (
        f'CREATE VIRTUAL TABLE IF NOT EXISTS "{index.name}" USING fts5({columns}, '
        f"content='{index.table}', content_rowid='id', tokenize='unicode61 remove_diacritics 2')"
    )
    for name, statement in triggers(index):
        if name in absent:
            yield statement
    yield f"""INSERT INTO "{index.name}" ("{index.name}") VALUES ('rebuild')"""
