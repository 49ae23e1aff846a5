"""The full-text indexes over stories and posts; the database itself updates them.

SQLite: one FTS5 table per model that stores no text of its own, filled by triggers. Its first column
is the session's id, so that a query reads only the entries of one session. PostgreSQL: a GIN index
over an expression. All are created again after each migration, because SQLite rebuilds tables and
drops their triggers with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.apps import AppConfig
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app import constraints
from stories.models import SourcePost, Story


@dataclass(frozen=True, slots=True)
class Index:
    """The indexed columns of one table; all are text."""

    table: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.table}_text"

    @property
    def document(self) -> str:
        """Returns the expression that PostgreSQL indexes; a query must repeat it exactly."""
        text = " || ' ' || ".join(f'"{self.table}"."{name}"' for name in self.columns)
        return f"to_tsvector('simple', {text})"


STORIES = Index(Story._meta.db_table, ("title", "narrative"))
POSTS = Index(SourcePost._meta.db_table, ("title", "body", "author"))
INDEXES = (STORIES, POSTS)


def triggers(index: Index) -> Iterator[tuple[str, str]]:
    """Yields name and statement of each trigger that updates an FTS5 table."""
    columns = ("session_id", *index.columns)
    listed = ", ".join(columns)

    def values(row: str) -> str:
        return ", ".join(f'{row}."{name}"' for name in ("id", *columns))

    insert = f'INSERT INTO "{index.name}" (rowid, {listed}) VALUES ({values("NEW")});'
    # An FTS5 table without text of its own can only delete a row when it gets the row's old text.
    delete = (
        f'INSERT INTO "{index.name}" ("{index.name}", rowid, {listed}) '
        f"VALUES ('delete', {values('OLD')});"
    )
    update_event = f"UPDATE OF {', '.join(index.columns)}"
    for suffix, event, body in (
        ("insert", "INSERT", insert),
        ("update", update_event, delete + insert),
        ("delete", "DELETE", delete),
    ):
        name = f"{index.name}_{suffix}"
        # The index changes in the transaction of its row, so a search never misses a committed row.
        yield name, f'CREATE TRIGGER "{name}" AFTER {event} ON "{index.table}" BEGIN {body} END'


def missing(connection: BaseDatabaseWrapper) -> list[str]:
    """Returns the names of the indexes and triggers that the database lacks."""
    names = {index.name for index in INDEXES}
    if connection.vendor == "sqlite":
        names |= {name for index in INDEXES for name, _ in triggers(index)}
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'trigger')"
    else:
        query = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
    with connection.cursor() as cursor:
        cursor.execute(query)
        return sorted(names - {row[0] for row in cursor.fetchall()})


def drop_before_migrate(plan: Sequence[object], using: str, **_: object) -> None:
    """Drops the triggers on SQLite, which cannot rename a table while a trigger names it."""
    connection = connections[using]
    if not plan or connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        for index in INDEXES:
            for name, _statement in triggers(index):
                cursor.execute(f'DROP TRIGGER IF EXISTS "{name}"')


def restore_after_migrate(sender: AppConfig, using: str, **_: object) -> None:
    """Creates missing indexes and triggers after the migrations of this app."""
    if sender.name == "stories":
        restore(using)


def restore(using: str) -> None:
    """Creates what is missing; an index that could have missed a change is built again."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    absent = set(missing(connection))
    for index in INDEXES:
        # An app can be migrated before the table exists.
        if index.table not in tables or not any(name.startswith(index.name) for name in absent):
            continue
        with transaction.atomic(using=using), connection.cursor() as cursor:
            constraints.lift_statement_timeout(connection)
            if connection.vendor != "sqlite":
                # "simple" stems no words, as sessions have any language.
                cursor.execute(
                    f'CREATE INDEX IF NOT EXISTS "{index.name}" ON "{index.table}" '
                    f"USING gin ({index.document})"
                )
                continue
            columns = ", ".join(("session_id", *index.columns))
            cursor.execute(
                f'CREATE VIRTUAL TABLE IF NOT EXISTS "{index.name}" USING fts5({columns}, '
                f"content='{index.table}', content_rowid='id', "
                "tokenize='unicode61 remove_diacritics 2')"
            )
            for name, statement in triggers(index):
                if name in absent:
                    cursor.execute(statement)
            # Rows may have changed while the triggers were missing, so the index is read from the
            # table again.
            cursor.execute(f"""INSERT INTO "{index.name}" ("{index.name}") VALUES ('rebuild')""")
