"""Database constraints that keep every row in the session of the rows it refers to, and system checks.

For each model with a ``session`` and each foreign key from it to another such model, the database
refuses a row whose parent belongs to another session: by a composite foreign key on PostgreSQL, by
triggers on SQLite. On both, ``session_id`` cannot be changed. Django rebuilds SQLite tables during
migrations and drops their triggers, so everything is restored after each migration; a system check
and the audit compare the live schema with ``expected()``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, F, Q
from django.db.models.lookups import Exact

from sessions_app.models import Session, Workspace

OURS = ("sessions_app", "stories", "broadcast")


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


@dataclass(frozen=True, slots=True)
class Definition:
    """A trigger or constraint: the tables that it needs, and the statements that create it."""

    name: str
    tables: set[str]
    statements: list[str]


_required: list[tuple[type[models.Model], str, type[models.Model], str]] = []


def require_same_session(
    child: type[models.Model], column: str, parent: type[models.Model], key: str
) -> None:
    """Requires that ``child.column`` is the ``key`` of a row of ``parent`` of the same session.

    For a parent of a higher app, to which no foreign key may point. ``(session, key)`` must be
    unique in ``parent``.
    """
    _required.append((child, column, parent, key))


def session_models() -> list[type[models.Model]]:
    """Returns every concrete model with a required session, by table name."""
    candidates = [
        model
        for model in apps.get_models()
        if not model._meta.proxy
        and any(
            field.name == "session" and field.related_model is Session
            for field in model._meta.concrete_fields
        )
    ]
    # A stable order, so that statements run in the same order everywhere.
    return sorted(candidates, key=lambda model: model._meta.db_table)


def with_rows(candidates: Iterable[type[models.Model]]) -> list[type[models.Model]]:
    """Returns the models whose tables have rows, by one statement, for what looks at every table."""
    by_table = {model._meta.db_table: model for model in candidates}
    parts = [f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\")" for name in by_table]
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return [by_table[name] for (name,) in cursor.fetchall()]


def same_session_rules() -> Iterator[SameSessionRule]:
    """Yields the rules: one for each foreign key between session models, then the required ones."""
    tables = {model: model._meta.db_table for model in session_models()}
    for model, table in tables.items():
        for field in model._meta.concrete_fields:
            parent = field.related_model
            if field.name != "session" and isinstance(parent, type) and parent in tables:
                yield SameSessionRule(table, str(field.column), tables[parent])
    for child, column, parent_model, key in _required:
        yield SameSessionRule(child._meta.db_table, column, parent_model._meta.db_table, key)


def _definitions(connection: BaseDatabaseWrapper) -> Iterator[Definition]:
    return _sqlite() if connection.vendor == "sqlite" else _postgresql()


def expected(connection: BaseDatabaseWrapper) -> set[str]:
    """Returns the names of all triggers and constraints that the live schema must have."""
    return {definition.name for definition in _definitions(connection)}


def present(connection: BaseDatabaseWrapper) -> set[str]:
    """Returns the names of the triggers and constraints that the live schema has."""
    if connection.vendor == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        # A disabled trigger counts as missing.
        query = (
            "SELECT conname FROM pg_constraint WHERE contype = 'f' UNION "
            "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
        )
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {row[0] for row in cursor.fetchall()}


def missing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Returns the names of the triggers and constraints that the live schema lacks."""
    connection = connections[using]
    return sorted(expected(connection) - present(connection))


def restore(using: str = DEFAULT_DB_ALIAS) -> None:
    """Creates the missing triggers and constraints of all tables that exist already."""
    connection = connections[using]
    tables = set(connection.introspection.table_names())
    absent = set(missing(using))
    # Both databases undo DDL with the transaction, so a failure leaves no half of the constraints.
    with transaction.atomic(using=using), connection.cursor() as cursor:
        lift_statement_timeout(connection)
        for definition in _definitions(connection):
            # A table of a later migration does not exist yet.
            if definition.name in absent and definition.tables <= tables:
                for statement in definition.statements:
                    cursor.execute(statement)


def lift_statement_timeout(connection: BaseDatabaseWrapper) -> None:
    """Lifts PostgreSQL's statement timeout until the commit, as a large table is read as a whole."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 0")


def drop_before_migrate(plan: list[Any], using: str, **_: Any) -> None:
    """Drops SQLite's triggers before a migration; a ``pre_migrate`` receiver.

    While a table is rebuilt, a trigger that refers to the missing table makes its renaming fail. The
    triggers are restored after the migration; until then the check and the audit report them.
    """
    connection = connections[using]
    if not plan or connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        for name in sorted(expected(connection) & present(connection)):
            # The names come from our models, and DDL accepts no parameters.
            cursor.execute(f'DROP TRIGGER "{name}"')


def restore_after_migrate(sender: AppConfig, using: str, **_: Any) -> None:
    """Restores triggers and constraints after a migration; a ``post_migrate`` receiver."""
    if sender.name in {"sessions_app", "stories", "broadcast"}:
        restore(using)


def _sqlite() -> Iterator[Definition]:
    for model in session_models():
        table = model._meta.db_table
        name = f"fixed_{table}"
        statements = [
            f'DROP TRIGGER IF EXISTS "{name}"',
            f'CREATE TRIGGER "{name}" BEFORE UPDATE OF session_id ON "{table}" '
            f"WHEN NEW.session_id IS NOT OLD.session_id "
            f"BEGIN SELECT RAISE(ABORT, '{table}.session_id is immutable'); END",
        ]
        yield Definition(name, {table}, statements)
    for rule in same_session_rules():
        # SQLite has no trigger for both events, and OF limits updates to those of this column.
        for when, event in (("insert", "INSERT"), ("update", f'UPDATE OF "{rule.column}"')):
            name = f"{rule.name}_{when}"
            statements = [
                f'DROP TRIGGER IF EXISTS "{name}"',
                f'CREATE TRIGGER "{name}" BEFORE {event} ON "{rule.child}" '
                f'WHEN NEW."{rule.column}" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM '
                f'"{rule.parent}" p WHERE p."{rule.key}" = NEW."{rule.column}" '
                f"AND p.session_id = NEW.session_id) "
                f"BEGIN SELECT RAISE(ABORT, '{rule.child}.{rule.column} is of another session'); END",
            ]
            yield Definition(name, {rule.child, rule.parent}, statements)


def _postgresql() -> Iterator[Definition]:
    for model in session_models():
        table = model._meta.db_table
        name = f"fixed_{table}"
        statements = [
            # A function without the table's name, so that one serves the triggers of all tables.
            "CREATE OR REPLACE FUNCTION smnb_session_is_fixed() RETURNS trigger AS $$ BEGIN "
            "RAISE EXCEPTION '%.session_id is immutable', TG_TABLE_NAME "
            "USING ERRCODE = 'integrity_constraint_violation'; END $$ LANGUAGE plpgsql",
            f'DROP TRIGGER IF EXISTS "{name}" ON "{table}"',
            f'CREATE TRIGGER "{name}" BEFORE UPDATE OF session_id ON "{table}" FOR EACH ROW '
            f"WHEN (NEW.session_id IS DISTINCT FROM OLD.session_id) "
            f"EXECUTE FUNCTION smnb_session_is_fixed()",
        ]
        yield Definition(name, {table}, statements)
    for rule in same_session_rules():
        statements = [
            f'ALTER TABLE "{rule.child}" ADD CONSTRAINT "{rule.name}" '
            f'FOREIGN KEY ("{rule.column}", session_id) '
            f'REFERENCES "{rule.parent}" ("{rule.key}", session_id)'
        ]
        # Any other key is already unique within its session by a constraint of its model.
        if rule.key == "id":
            index = f'"own_{rule.parent}" ON "{rule.parent}" (id, session_id)'
            statements.insert(0, f"CREATE UNIQUE INDEX IF NOT EXISTS {index}")
        yield Definition(rule.name, {rule.child, rule.parent}, statements)


def check_integrity(databases: Iterable[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """smnb.E001: a session trigger or constraint is missing from the live schema."""
    errors: list[checks.CheckMessage] = []
    for alias in databases or ():
        tables = connections[alias].introspection.table_names()
        # Before the first migration nothing can be missing, and "migrate" runs this check too.
        if all(model._meta.db_table in tables for model in session_models()):
            errors += [
                checks.Error(
                    f"{name} is missing from the live schema of '{alias}'.",
                    hint="Run manage.py migrate: it restores triggers and constraints.",
                    id="smnb.E001",
                )
                for name in missing(alias)
            ]
    return errors


def check_no_channel_layer(**_: Any) -> list[checks.CheckMessage]:
    """smnb.E002: a channel layer is configured, although the hub delivers all live frames."""
    if settings.CHANNEL_LAYERS:
        return [checks.Error("CHANNEL_LAYERS must be empty: the hub delivers.", id="smnb.E002")]
    return []


def register_all() -> None:
    """Registers the system checks."""
    checks.register(check_integrity, checks.Tags.database)
    checks.register(check_no_channel_layer)


class JsonKind(models.Func):
    """The kind of a JSON value, such as object; "" where SQLite holds something else than JSON."""

    template = "CASE WHEN JSON_VALID(%(expressions)s) THEN JSON_TYPE(%(expressions)s) ELSE '' END"
    output_field = models.TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        return self.as_sql(compiler, connection, template="JSONB_TYPEOF(%(expressions)s)", **more)


JSON_KINDS = {dict: "object", list: "array"}  # by the default of a column


def our_models() -> list[type[models.Model]]:
    """Returns the models of our apps whose tables have rows."""
    return with_rows(model for label in OURS for model in apps.get_app_config(label).get_models())


def agreement() -> Iterator[tuple[object, str]]:
    """Every row has the session of each row it points to."""
    # Grouped in the database: a large table is not read into Python.
    connection = connections[DEFAULT_DB_ALIAS]
    for rule in same_session_rules():
        query = (
            f'SELECT c.session_id, COUNT(*) FROM "{rule.child}" c '
            f'WHERE c."{rule.column}" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "{rule.parent}" p '
            f'WHERE p."{rule.key}" = c."{rule.column}" AND p.session_id = c.session_id) GROUP BY 1'
        )
        what = f"rows of {rule.child}.{rule.column} are of another session"
        with connection.cursor() as cursor:
            cursor.execute(query)
            yield from ((key, f"{count} {what}") for key, count in cursor.fetchall())


def schema() -> Iterator[tuple[object, str]]:
    """Triggers and constraints are in the live schema."""
    for name in missing():
        yield "", f"{name} is missing from the live schema"


def wrong_values() -> Iterator[tuple[object, str]]:
    """Every value is one of its column's choices, within its limits, and JSON where it has to be."""
    connection = connections[DEFAULT_DB_ALIAS]
    for model in our_models():
        names, statement, parameters = _count_of_wrong_values(model, connection.vendor)
        if not names:
            continue
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            found = cursor.fetchone()
        for name, number in zip(names, found, strict=True):
            if number:
                yield "", f"{model._meta.db_table}: {name} is not allowed in {number} rows"


@cache
def _count_of_wrong_values(model: type[models.Model], vendor: str) -> tuple[list[str], str, Any]:
    """Returns the names of a model's rules and the statement that counts the rows against each.

    Made once a process and database, as it takes longer to build the SQL than to execute it.
    """
    wrong: dict[str, Q] = {}
    for field in model._meta.concrete_fields:
        if field.choices:
            allowed = [value for value, _ in field.flatchoices] + [""] * field.blank
            wrong[field.name] = ~Q(**{f"{field.name}__in": allowed})
        elif isinstance(field, models.JSONField):
            kind = JSON_KINDS.get(field.default)
            found = Q(Exact(JsonKind(F(field.name)), kind or ""))
            there = Q(**{f"{field.name}__isnull": False})
            wrong[field.name] = there & (~found if kind else found)
        elif field.get_internal_type().startswith("Positive"):
            wrong[field.name] = Q(**{f"{field.name}__lt": 0})
        for validator in field.validators if model is Workspace else ():
            if isinstance(validator, MinValueValidator | MaxValueValidator):
                sign = "lt" if isinstance(validator, MinValueValidator) else "gt"
                beyond = Q(**{f"{field.name}__{sign}": validator.limit_value})
                wrong[field.name] = wrong.get(field.name, Q()) | beyond
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.CheckConstraint):
            wrong[constraint.name] = ~Q(constraint.condition)
    # All conditions in one scan of the table.
    counts = {f"wrong_{name}": Count("pk", filter=rule) for name, rule in wrong.items()}
    rows = model._base_manager.order_by().annotate(one=models.Value(1)).values("one")
    rows = rows.annotate(**counts)
    statement, parameters = rows.values_list(*counts).query.sql_with_params()
    return list(wrong), statement, parameters
