"""Reference tables of the docs, generated from the code: variables, commands, endpoints, events."""

from __future__ import annotations

from argparse import Action
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sessions_app import audits, commands, hooks
from sessions_app.events import recorder
from smnb.api import api
from smnb.env import ROOT, Environment

# A JSON schema, as pydantic generates it.
Schema: TypeAlias = Mapping[str, Any]

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a command's payload; ``type`` is a description in words."""

    name: str
    type: str
    required: bool


def fields_of(schema: Schema) -> list[Field]:
    """Returns the fields of an object's JSON schema."""
    required = schema.get("required", ())
    return [
        Field(name, _type(one, schema.get("$defs", {})), name in required)
        for name, one in schema.get("properties", {}).items()
    ]


def _type(schema: Schema, defs: Schema) -> str:
    """Describes a JSON schema in words, with its bounds or its choices."""
    if "$ref" in schema:
        return _type(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        # Null means that the field is absent. A number sent as text has a pattern; it is the same
        # field as the number.
        shown = [s for s in schema["anyOf"] if s.get("type") != "null" and "pattern" not in s]
        return " or ".join(dict.fromkeys(_type(option, defs) for option in shown))
    if "enum" in schema or "const" in schema:
        return ", ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), defs)}"
    if "properties" in schema:
        fields = (f"{name}: {_type(one, defs)}" for name, one in schema["properties"].items())
        return f"{{{', '.join(fields)}}}"
    least = schema.get("minimum", schema.get("minLength"))
    most = schema.get("maximum", schema.get("maxLength"))
    unit = " characters" if "maxLength" in schema or "minLength" in schema else ""
    if least is not None and most is not None:
        bounds = f", {least:,} to {most:,}{unit}"
    elif least is not None:
        bounds = f", at least {least:,}{unit}"
    else:
        bounds = "" if most is None else f", at most {most:,}{unit}"
    return _WORDS.get(schema.get("type", ""), "anything") + bounds


OURS = ("sessions_app", "stories", "broadcast", "smnb")

UNSET = "unset"


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable; ``default`` is never a secret or a path of the machine."""

    name: str
    default: str
    allowed: str
    meaning: str


def variables() -> list[Variable]:
    """Returns the environment variables in the order of their definition."""
    return [
        Variable(
            name=str(field.alias),
            default=_default(field.default),
            allowed=_allowed(field),
            meaning=field.description or "",
        )
        for field in Environment.model_fields.values()
    ]


def _default(value: object) -> str:
    """Returns a default as a user writes it in the environment."""
    if isinstance(value, SecretStr) or value == "":
        return UNSET
    if isinstance(value, Path):
        # The absolute path would show where this installation lives.
        return str(value.relative_to(ROOT))
    return f"{value:g}" if isinstance(value, (bool, int, float)) else str(value)


def _allowed(field: FieldInfo) -> str:
    """Returns the bounds of a field in words; "0 or 1" for a boolean."""
    if field.annotation is bool:
        return "0 or 1"
    words = {"ge": "at least {:,}", "gt": "more than {:,}", "le": "at most {:,}"}
    return ", ".join(
        words[name].format(getattr(mark, name))
        for mark in field.metadata
        for name in words
        if getattr(mark, name, None) is not None
    )


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the registry with the fields of its payload."""

    name: str
    fields: list[Field]
    meaning: str


def registry() -> list[Command]:
    """Returns the commands that forms, API and command line share."""
    return [
        Command(command.name, fields_of(command.payload.model_json_schema()), command.meaning)
        for command in commands.all_commands()
    ]


@dataclass(frozen=True, slots=True)
class Management:
    """A command of ``manage.py`` with its usage and its help text."""

    name: str
    usage: str
    meaning: str


@cache
def management() -> tuple[Management, ...]:
    """Returns our management commands; cached, as loading their modules is slow."""
    rows = []
    for name, app in sorted(get_commands().items()):
        if app in OURS:
            command = load_command_class(str(app), name)
            # The options that every command of Django has are left out.
            common = {action.dest for action in BaseCommand().create_parser("", name)._actions}
            parser = command.create_parser("", name)
            own = [_argument(action) for action in parser._actions if action.dest not in common]
            rows.append(Management(name, " ".join([name, *own]), str(command.help)))
    return tuple(rows)


def _argument(action: Action) -> str:
    """Returns an argument as usage lines show it, in brackets when it is optional."""
    metavar = str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper())
    if not action.option_strings:
        return f"[{metavar}]" if action.nargs in {"?", "*"} else metavar
    option = action.option_strings[-1]
    usage = option if action.nargs == 0 else f"{option} {metavar}"
    return usage if action.required else f"[{usage}]"


@dataclass(frozen=True, slots=True)
class EventType:
    """An event type; ``public`` when the audience gets it too."""

    type: str
    meaning: str
    public: bool


def event_types() -> list[EventType]:
    """Returns the declared event types."""
    public = recorder.public_types()
    return [
        EventType(type_, meaning, type_ in public) for type_, meaning in recorder.types().items()
    ]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method of a path of the API."""

    method: str
    path: str
    summary: str


def endpoints() -> list[Endpoint]:
    """Returns the endpoints in /api/openapi.json, one row for each method of each path."""
    # From the schema and not from the router, so that the docs list what clients see.
    return [
        Endpoint(method.upper(), path, operation["description"].partition("\n")[0])
        for path, methods in api.get_openapi_schema()["paths"].items()
        for method, operation in methods.items()
    ]


def topics() -> list[tuple[str, str, list[str]]]:
    """Returns the name, the meaning and the subscribing modules of each hook."""
    return [(topic.name, topic.meaning, topic.subscribers()) for topic in hooks.topics()]


def audit_names() -> list[tuple[str, str]]:
    """Returns each audit with the invariant that it checks."""
    return [(name, audits.meaning_of(name)) for name in audits.names()]
