"""Validates the rows of an import archive against the columns of their tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from datetime import time as clock
from functools import cache
from typing import Annotated, Any, Literal, Optional, TypeAlias, TypeVar
from uuid import UUID

from django.contrib.auth.models import User
from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    create_model,
)

from broadcast.session_commands import SettingsChange
from broadcast.transfer.archive import Archive
from broadcast.transfer.tables import BY_MODEL, EVENTS, Table
from sessions_app.commands import validation_sentence
from sessions_app.errors import Invalid, refuse_constant
from sessions_app.events import recorder

Row: TypeAlias = dict[str, Any]  # a validated row of any table by column name
T = TypeVar("T")
_MOST_TEXT = 1_000_000
_LARGEST_SUM = 2**62
# Escapes of NUL and of surrogates: only lines with one of them need the slower check of all texts.
_ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def _text(value: object) -> object:
    """Accepts only a text as a time: pydantic reads a number as seconds."""
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - pydantic takes no other
    return value


def _in_range(at: datetime) -> datetime:
    if not 1970 <= at.year <= 9000:
        raise ValueError("is not a time between the years 1970 and 9000")
    return at


Moment = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_in_range)]
Clock = Annotated[clock, BeforeValidator(_text)]
Id = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]


class Head(BaseModel):
    """The content of ``session.json``: the session's own fields."""

    model_config = ConfigDict(extra="forbid")
    id: UUID
    name: Annotated[StrictStr, Field(min_length=1, max_length=120)]
    type: StrictStr
    status: Literal["active", "paused", "archived"]
    settings: SettingsChange
    budget: Annotated[StrictInt, Field(ge=0, le=2**63 - 1)] | None
    created_at: Moment
    expires_at: Moment | None
    figures: dict[str, object]


def head_of(archive: Archive) -> Head:
    """Returns the session's own fields. Raises Invalid."""
    try:
        return Head.model_validate(_parsed(archive.head()))
    except ValidationError as error:
        raise Invalid(f"session.json: {validation_sentence(error)}") from None
    except ValueError as error:
        raise Invalid(f"session.json: {error}") from None


def rows(archive: Archive, table: Table) -> Iterator[Row]:
    """Yields the table's rows with values of the columns' types; Invalid names the wrong line."""
    schema, number, last = _schema(table), 0, 0
    totals = dict.fromkeys(_summed(table), 0)
    for part in archive.parts(table.name):
        for line_number, line in enumerate(archive.lines(part), start=1):
            try:
                row = schema.model_validate(_parsed(line)).__dict__
            except ValidationError as error:
                raise Invalid(f"{part}, line {line_number}: {validation_sentence(error)}") from None
            except ValueError as error:
                raise Invalid(f"{part}, line {line_number}: {error}") from None
            if row[table.key] <= last:
                raise Invalid(f"{part}, line {line_number}: {table.key} does not rise.")
            number, last = number + 1, row[table.key]
            for name in totals:
                totals[name] += abs(row[name] or 0)
                # Figures are sums over all rows, which must fit a column too.
                if totals[name] > _LARGEST_SUM:
                    raise Invalid(f"{part}, line {line_number}: the sum of {name} is too large.")
            yield row
    if number != archive.rows(table.name):
        raise Invalid(f"{table.name}: {number:,} rows, but the manifest says otherwise.")


def _parsed(line: bytes) -> Any:
    """Parses JSON that both databases can store: no NaN, no NUL, no surrogates, no deep nesting."""
    try:
        value = json.loads(line.decode(), parse_constant=refuse_constant)
        if _ESCAPED.search(line):
            _check_texts(value)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except UnicodeError:
        raise ValueError("holds a character that cannot be stored") from None
    return value


def _check_texts(value: object) -> None:
    if isinstance(value, str):
        # Fails for a surrogate without its other half, which PostgreSQL refuses.
        value.encode()
        if "\x00" in value:
            raise ValueError("holds a character that cannot be stored (NUL)")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


_PLAIN: dict[type[models.Field[Any, Any]], Any] = {
    models.DateTimeField: Moment,
    models.TimeField: Clock,
    models.BooleanField: StrictBool,
    models.FloatField: Annotated[StrictFloat | StrictInt, Field(allow_inf_nan=False)],
    models.UUIDField: UUID,
}


@cache
def _summed(table: Table) -> tuple[str, ...]:
    """Returns the names of the table's columns with large numbers, such as costs."""
    return tuple(
        column.name
        for column in table.columns
        if column.get_internal_type() == "BigIntegerField" and not column.primary_key
    )


@cache
def _schema(table: Table) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for column in table.columns:
        type_ = _type(column)
        if column.null:
            type_ = Optional[type_]  # noqa: UP045 - made at run time
        # An archive that was made before a column was added has the column's default.
        may_miss = column.has_default() or column.null or column.blank
        default: Any = ...
        if may_miss and not column.primary_key:
            default = Field(default_factory=column.get_default)
        fields["id" if column.primary_key else column.name] = (type_, default)
    if "topics" in fields:
        # Pages and feeds show them as texts; the column itself takes any JSON.
        fields["topics"] = (list[StrictStr], fields["topics"][1])
    if table.name == EVENTS:
        # An unknown type or another kind of payload would break the pages that show the event.
        fields["type"] = (Annotated[StrictStr, AfterValidator(_known_type)], ...)
        fields["payload"] = (dict[str, object], ...)
    return create_model(table.name, __config__=ConfigDict(extra="forbid"), **fields)


def _known_type(name: str) -> str:
    if name not in recorder.types():
        raise ValueError("is not a known type of event")
    return name


def _type(column: models.Field[Any, Any]) -> Any:
    """Returns the pydantic type of a column's values other than null."""
    if column.related_model is User:
        return Annotated[StrictStr, Field(max_length=150)]
    if column.primary_key or column.related_model in BY_MODEL:
        return Id
    if isinstance(column, models.JSONField):
        return {list: list[object], dict: dict[str, object]}.get(column.default, Any)
    if column.choices:
        # Blank is stored as an empty text, which is not among the choices.
        empty = column.blank and not isinstance(column, models.IntegerField)
        return Literal[tuple([value for value, _ in column.flatchoices] + [""] * empty)]
    if isinstance(column, models.IntegerField):
        # The ranges that all databases share: SQLite stores larger numbers, PostgreSQL fails.
        low, high = BaseDatabaseOperations.integer_field_ranges[column.get_internal_type()]
        return Annotated[StrictInt, Field(ge=low, le=high)]
    for kind, type_ in _PLAIN.items():
        if isinstance(column, kind):
            return type_
    return Annotated[StrictStr, Field(max_length=column.max_length or _MOST_TEXT)]


_MOMENT: TypeAdapter[datetime | None] = TypeAdapter(Moment | None)
_SECONDS: TypeAdapter[int] = TypeAdapter(Annotated[StrictInt, Field(ge=0, le=2**40)])


def moment(value: object) -> datetime | None:
    """Returns a time among the figures. Raises Invalid."""
    return _figure(_MOMENT, value)


def whole(value: object) -> int:
    """Returns a number of seconds among the figures. Raises Invalid."""
    return _figure(_SECONDS, value)


def _figure(adapter: TypeAdapter[T], value: object) -> T:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise Invalid(f"session.json, figures: {validation_sentence(error)}") from None
