"""What an archive says, checked row by row against the columns of the table it is meant for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from datetime import time as clock
from functools import cache
from typing import Annotated, Any, Literal, Optional, TypeVar
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
from sessions_app.errors import Invalid
from sessions_app.events import recorder

Row = dict[str, Any]
T = TypeVar("T")
_MOST_TEXT = 1_000_000
_ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def _text(value: Any) -> Any:
    """Only a text is read as a moment: a number would be taken for seconds."""
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - pydantic takes no other
    return value


def _real(at: datetime) -> datetime:
    if not 1970 <= at.year <= 9000:
        raise ValueError("is no moment that can be")
    return at


Moment = Annotated[AwareDatetime, BeforeValidator(_text), AfterValidator(_real)]
Clock = Annotated[clock, BeforeValidator(_text)]
Id = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]


class Head(BaseModel):
    """``session.json``."""

    model_config = ConfigDict(extra="forbid")
    id: UUID
    name: Annotated[StrictStr, Field(min_length=1, max_length=120)]
    type: StrictStr
    status: Literal["active", "paused", "archived"]
    settings: SettingsChange
    budget: Annotated[StrictInt, Field(ge=0, le=2**63 - 1)] | None
    created_at: Moment
    expires_at: Moment | None
    figures: dict[str, Any]


def head_of(archive: Archive) -> Head:
    try:
        return Head.model_validate(_parsed(archive.head()))
    except ValidationError as error:
        raise Invalid(f"session.json: {validation_sentence(error)}") from None
    except ValueError as error:
        raise Invalid(f"session.json: {error}") from None


def rows(archive: Archive, table: Table) -> Iterator[Row]:
    """The table's rows, each as its columns want it; Invalid names the line that is wrong."""
    schema, number, last = _schema(table), 0, 0
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
            yield row
    if number != archive.rows(table.name):
        raise Invalid(f"{table.name}: {number:,} rows, but the manifest says otherwise.")


def _parsed(line: bytes) -> Any:
    """JSON that both databases keep: no NaN, no NUL, no half of a character, nothing endless."""
    try:
        found = json.loads(line.decode(), parse_constant=_refuse)
        if _ESCAPED.search(line):
            _check_texts(found)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except UnicodeError:
        raise ValueError("holds a character that cannot be kept") from None
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
        if "\x00" in value:
            raise ValueError("holds a character that cannot be kept (NUL)")
    elif isinstance(value, dict):
        for key, each in value.items():
            _check_texts(key)
            _check_texts(each)
    elif isinstance(value, list):
        for each in value:
            _check_texts(each)


@cache
def _schema(table: Table) -> type[BaseModel]:
    found: dict[str, Any] = {
        "id" if column.primary_key else column.name: (_type(column), ...)
        for column in table.columns
    }
    if table.name == EVENTS:
        found["type"] = (Annotated[StrictStr, AfterValidator(_known_type)], ...)
        found["payload"] = (dict[str, Any], ...)
    return create_model(table.name, __config__=ConfigDict(extra="forbid"), **found)


def _known_type(name: str) -> str:
    if name not in recorder.types():
        raise ValueError("is no type of event that is known here")
    return name


def _type(column: models.Field[Any, Any]) -> Any:
    """The type of a column's values; it is pydantic that reads it."""
    found = _required(column)
    return Optional[found] if column.null else found  # noqa: UP045 - made at run time


def _required(column: models.Field[Any, Any]) -> Any:
    if column.related_model is User:
        return Annotated[StrictStr, Field(max_length=150)]
    if column.primary_key or column.related_model in BY_MODEL:
        return Id
    if isinstance(column, models.JSONField):
        return {list: list[Any], dict: dict[str, Any]}.get(column.default, Any)
    if isinstance(column, models.IntegerField):
        return _whole(column)
    for kind, type_ in _PLAIN.items():
        if isinstance(column, kind):
            return type_
    return _words(column)


_PLAIN: dict[type[models.Field[Any, Any]], Any] = {
    models.DateTimeField: Moment,
    models.TimeField: Clock,
    models.BooleanField: StrictBool,
    models.FloatField: Annotated[StrictFloat | StrictInt, Field(allow_inf_nan=False)],
    models.UUIDField: UUID,
}


def _whole(column: models.IntegerField[Any, Any]) -> Any:
    if column.choices:
        return Literal[tuple(value for value, _ in column.choices)]
    # Those of every database: SQLite alone would take more.
    low, high = BaseDatabaseOperations.integer_field_ranges[column.get_internal_type()]
    return Annotated[StrictInt, Field(ge=low, le=high)]


def _words(column: models.Field[Any, Any]) -> Any:
    if column.choices:
        values = [value for value, _ in column.flatchoices] + [""] * bool(column.blank)
        return Literal[tuple(values)]
    return Annotated[StrictStr, Field(max_length=column.max_length or _MOST_TEXT)]


_MOMENT: TypeAdapter[datetime | None] = TypeAdapter(Moment | None)
_SECONDS: TypeAdapter[int] = TypeAdapter(Annotated[StrictInt, Field(ge=0, le=2**40)])


def moment(value: Any) -> datetime | None:
    """A moment among the figures."""
    return _figure(_MOMENT, value)


def whole(value: Any) -> int:
    """A number of seconds among the figures."""
    return _figure(_SECONDS, value)


def _figure(adapter: TypeAdapter[T], value: Any) -> T:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise Invalid(f"session.json, figures: {validation_sentence(error)}") from None
