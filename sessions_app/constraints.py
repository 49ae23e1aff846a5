"""Agreement of sessions, enforced by the database itself.

For every model with a ``session`` and every foreign key from it to another such model, a row is
refused whose parent belongs to another session: by a composite foreign key on PostgreSQL, by
triggers on SQLite. On both, ``session_id`` cannot be changed. Django rebuilds SQLite tables and
drops their triggers on the way, so everything is restored after each migration; a system check and
the audit compare the live schema with ``expected()``.

System checks: misconfiguration speaks at start-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from sessions_app.models import Session


@dataclass(frozen=True, slots=True)
class SameSessionRule:
    """``child.column`` must be the ``key`` of a row of ``parent`` that has the child's session."""

    child: str
    column: str
    parent: str
    key: str = "id"

    @property
    def name(self) -> str:
        return f"agree_{self.child}_{self.column}"


_agreed: list[tuple[type[models.Model], str, type[models.Model], str]] = []


def require_same_session(
    child: type[models.Model], column: str, parent: type[models.Model], key: str
) -> None:
    """Have ``child.column`` name a row of ``parent`` by ``(session, key)``, which must be unique.

    For what belongs to a higher app, to which no foreign key may point.
    """
    _agreed.append((child, column, parent, key))


def session_models() -> list[type[models.Model]]:
    """Every concrete model with a required session, in a stable order."""
    found = [
        model
        for model in apps.get_models()
        if not model._meta.proxy and _session_field(model) is not None
    ]
    return sorted(found, key=lambda model: model._meta.db_table)


def _session_field(model: type[models.Model]) -> models.ForeignKey[Any, Any] | None:
    for field in model._meta.concrete_fields:
        if field.name == "session" and field.related_model is Session:
            return field  # type: ignore[return-value]
    return None


def same_session_rules() -> Iterator[SameSessionRule]:
    having = {model: model._meta.db_table for model in session_models()}
    for model, table in having.items():
        for field in model._meta.concrete_fields:
            parent = field.related_model
            if field.name != "session" and isinstance(parent, type) and parent in having:
                yield SameSessionRule(table, str(field.column), having[parent])
    for child, column, named, key in _agreed:
        yield SameSessionRule(child._meta.db_table, column, named._meta.db_table, key)


def expected(connection: BaseDatabaseWrapper) -> set[str]:
    """Names of all triggers and constraints that the live schema must have."""
    names = {f"fixed_{model._meta.db_table}" for model in session_models()}
    for agreement in same_session_rules():
        if connection.vendor == "sqlite":
            names |= {f"{agreement.name}_insert", f"{agreement.name}_update"}
        else:
            names.add(agreement.name)
    return names


def present(connection: BaseDatabaseWrapper) -> set[str]:
    """Names of the triggers and constraints that the live schema has."""
    if connection.vendor == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = (
            "SELECT conname FROM pg_constraint WHERE contype = 'f' UNION "
            "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
        )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {row[0] for row in cursor.fetchall()}


def missing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    connection = connections[using]
    return sorted(expected(connection) - present(connection))


def restore(using: str = DEFAULT_DB_ALIAS) -> None:
    """Create whatever is missing; tables that do not exist yet are passed over."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    statements = _sqlite if connection.vendor == "sqlite" else _postgresql
    absent = set(missing(using))
    with transaction.atomic(using=using), connection.cursor() as cursor:
        lift_statement_timeout(connection)
        for names, needs, sql in statements():
            if names & absent and needs <= tables:
                for statement in sql:
                    cursor.execute(statement)


def lift_statement_timeout(connection: BaseDatabaseWrapper) -> None:
    """Lift PostgreSQL's limit for a statement until the commit: a large table is read as a whole."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")


def drop_before_migrate(plan: list[Any], using: str, **_: Any) -> None:
    """Take SQLite's triggers away while tables are rebuilt: a trigger whose table is gone for that
    moment makes the renaming fail. They come back after the migration; until then the check and
    the audit name them.
    """
    connection = connections[using]
    if not plan or connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        for name in sorted(expected(connection) & present(connection)):
            cursor.execute(f'DROP TRIGGER "{name}"')


def restore_after_migrate(sender: AppConfig, using: str, **_: Any) -> None:
    if sender.name in {"sessions_app", "stories", "broadcast"}:
        restore(using)


Statements = Iterator[tuple[set[str], set[str], list[str]]]


def _sqlite() -> Statements:
    for model in session_models():
        table = model._meta.db_table
        name = f"fixed_{table}"
        yield (
            {name},
            {table},
            [
                f'DROP TRIGGER IF EXISTS "{name}"',
                f'CREATE TRIGGER "{name}" BEFORE UPDATE OF session_id ON "{table}" '
                f"WHEN NEW.session_id IS NOT OLD.session_id "
                f"BEGIN SELECT RAISE(ABORT, '{table}.session_id is immutable'); END",
            ],
        )
    for one in same_session_rules():
        for when, event in (("insert", "INSERT"), ("update", f'UPDATE OF "{one.column}"')):
            name = f"{one.name}_{when}"
            yield (
                {name},
                {one.child, one.parent},
                [
                    f'DROP TRIGGER IF EXISTS "{name}"',
                    f'CREATE TRIGGER "{name}" BEFORE {event} ON "{one.child}" '
                    f'WHEN NEW."{one.column}" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM '
                    f'"{one.parent}" p WHERE p."{one.key}" = NEW."{one.column}" '
                    f"AND p.session_id = NEW.session_id) "
                    f"BEGIN SELECT RAISE(ABORT, '{one.child}.{one.column} is of another session'); END",
                ],
            )


def _postgresql() -> Statements:
    for model in session_models():
        table = model._meta.db_table
        name = f"fixed_{table}"
        yield (
            {name},
            {table},
            [
                "CREATE OR REPLACE FUNCTION smnb_session_is_fixed() RETURNS trigger AS $$ BEGIN "
                "RAISE EXCEPTION '%.session_id is immutable', TG_TABLE_NAME "
                "USING ERRCODE = 'integrity_constraint_violation'; END $$ LANGUAGE plpgsql",
                f'DROP TRIGGER IF EXISTS "{name}" ON "{table}"',
                f'CREATE TRIGGER "{name}" BEFORE UPDATE OF session_id ON "{table}" FOR EACH ROW '
                f"WHEN (NEW.session_id IS DISTINCT FROM OLD.session_id) "
                f"EXECUTE FUNCTION smnb_session_is_fixed()",
            ],
        )
    for one in same_session_rules():
        # A key of another name is unique by its model's own constraint.
        index = (
            [
                f'CREATE UNIQUE INDEX IF NOT EXISTS "own_{one.parent}" '
                f'ON "{one.parent}" (id, session_id)'
            ]
            if one.key == "id"
            else []
        )
        yield (
            {one.name},
            {one.child, one.parent},
            [
                *index,
                f'ALTER TABLE "{one.child}" ADD CONSTRAINT "{one.name}" '
                f'FOREIGN KEY ("{one.column}", session_id) '
                f'REFERENCES "{one.parent}" ("{one.key}", session_id)',
            ],
        )


def check_integrity(databases: Iterable[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """smnb.E001: a trigger or constraint that guards the sessions is gone from the live schema."""
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        tables = connections[alias].introspection.table_names()
        if all(model._meta.db_table in tables for model in session_models()):
            found += [
                checks.Error(
                    f"{name} is missing from the live schema of '{alias}'.",
                    hint="Run manage.py migrate: it restores triggers and constraints.",
                    id="smnb.E001",
                )
                for name in missing(alias)
            ]
    return found


def check_no_channel_layer(**_: Any) -> list[checks.CheckMessage]:
    """smnb.E002: a channel layer beside the hub would be a second road for live frames."""
    if settings.CHANNEL_LAYERS:
        return [checks.Error("CHANNEL_LAYERS must be empty: the hub delivers.", id="smnb.E002")]
    return []


def register_all() -> None:
    checks.register(check_integrity, checks.Tags.database)
    checks.register(check_no_channel_layer)
