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
from django.db import connection as default_connection
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app import audits, constraints
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
TOKENIZER = "tokenize='unicode61 remove_diacritics 2'"
COMPARED_AT_ONCE = 500


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
                f"content='{index.table}', content_rowid='id', {TOKENIZER})"
            )
            for name, statement in triggers(index):
                if name in absent:
                    cursor.execute(statement)
            # Rows may have changed while the triggers were missing, so the index is read from the
            # table again.
            cursor.execute(f"""INSERT INTO "{index.name}" ("{index.name}") VALUES ('rebuild')""")


def rebuild() -> None:
    """Reads the indexes from the tables again; SQLite's alone can differ from them."""
    restore(default_connection.alias)
    if default_connection.vendor == "sqlite":
        with default_connection.cursor() as cursor:
            for index in INDEXES:
                cursor.execute(
                    f"""INSERT INTO "{index.name}" ("{index.name}") VALUES ('rebuild')"""
                )


def differing(index: Index) -> list[int]:
    """Returns the ids of rows whose text is not in the index as it is; PostgreSQL's always is.

    Only reads: FTS5's own integrity check would lock the database against all writers meanwhile.
    """
    found: list[int] = []
    if default_connection.vendor != "sqlite":
        return found
    columns = ("session_id", *index.columns)
    listed = ", ".join(columns)
    sizes, table = f'"{index.name}_docsize"', f'"{index.table}"'
    with default_connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM {table} WHERE id NOT IN (SELECT id FROM {sizes}) "
            f"UNION SELECT id FROM {sizes} WHERE id NOT IN (SELECT id FROM {table})"
        )
        found += [row[0] for row in cursor.fetchall()]
        cursor.execute("DROP TABLE IF EXISTS temp.probe")
        # Without text, in this connection only: the same tokens, to count and to look up.
        cursor.execute(
            f"CREATE VIRTUAL TABLE temp.probe USING fts5({listed}, content='', {TOKENIZER})"
        )
        last = 0
        while True:
            cursor.execute(
                f"SELECT t.id, s.sz, {', '.join(f't.{name}' for name in columns)} FROM {table} t "
                f"JOIN {sizes} s ON s.id = t.id WHERE t.id > %s ORDER BY t.id LIMIT %s",
                [last, COMPARED_AT_ONCE],
            )
            rows = cursor.fetchall()
            if not rows:
                break
            cursor.execute("INSERT INTO temp.probe (probe) VALUES ('delete-all')")
            cursor.executemany(
                f"INSERT INTO temp.probe (rowid, {listed}) "
                f"VALUES ({', '.join(['%s'] * (len(columns) + 1))})",
                [(row[0], *row[2:]) for row in rows],
            )
            cursor.execute("SELECT id, sz FROM temp.probe_docsize")
            counted = dict(cursor.fetchall())
            for key, size, *texts in rows:
                # As many tokens, and all of them in a row: then they are the same.
                phrases = [
                    f'{name} : "{text.replace(chr(34), chr(34) * 2)}"'
                    for name, text, tokens in zip(columns, texts, _varints(size), strict=True)
                    if tokens
                ]
                cursor.execute(
                    f'SELECT 1 FROM "{index.name}" WHERE "{index.name}" MATCH %s AND rowid = %s',
                    [" AND ".join(phrases), key],
                )
                if size != counted[key] or cursor.fetchone() is None:
                    found.append(key)
            last = rows[-1][0]
        cursor.execute("DROP TABLE temp.probe")
    return found


def _varints(data: bytes) -> list[int]:
    """Returns the numbers that FTS5 stores as SQLite's integers of variable length."""
    numbers, number = [], 0
    for byte in data:
        number = number << 7 | byte & 127
        if byte < 128:
            numbers.append(number)
            number = 0
    return numbers


def search_index() -> Iterator[tuple[object, str]]:
    """Every story and post is in the search index, with its whole text."""
    for model, one in ((Story, STORIES), (SourcePost, POSTS)):
        for key in differing(one):
            session_id = model._base_manager.filter(pk=key).values_list("session", flat=True)
            what = f"{model._meta.verbose_name} {key} is not in the search index as it is"
            yield session_id.first() or "", what


def search_schema() -> Iterator[tuple[object, str]]:
    """The search indexes and their triggers are in the live schema."""
    for name in missing(default_connection):
        yield "", f"{name} is missing from the live schema"


def register() -> None:
    """Registers the audits of the indexes, and the repair of what they find."""
    audits.register("search-index", search_index)
    audits.register("search-schema", search_schema)
    for name in ("search-index", "search-schema"):
        audits.register_repair(
            name, "read the search indexes from the tables again", lambda _: rebuild()
        )
