"""Reference tables generated from the code: variables, commands, endpoints, events.

Describes JSON schemas of command payloads in words.
"""

from __future__ import annotations

from argparse import Action
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sessions_app import audits, commands, hooks
from sessions_app.events import recorder
from smnb.api import api
from smnb.env import ROOT, Environment

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


def fields_of(schema: dict[str, Any]) -> list[Field]:
    required = schema.get("required", ())
    return [
        Field(name, _type(one, schema.get("$defs", {})), name in required)
        for name, one in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    """Describes a JSON schema with its bounds or its choices."""
    if "$ref" in schema:
        return _object(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        kinds = dict.fromkeys(_type(one, defs) for one in schema["anyOf"] if _is_shown(one))
        return " or ".join(kinds)
    if "enum" in schema or "const" in schema:
        return ", ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), defs)}"
    if schema.get("type") == "object" and "properties" in schema:
        return _object(schema, defs)
    return _WORDS.get(schema.get("type", ""), "anything") + _bounds(schema)


def _is_shown(one: dict[str, Any]) -> bool:
    """Hides null, which means that the field is absent, and the pattern of a number sent as text."""
    return one.get("type") != "null" and "pattern" not in one


def _object(schema: dict[str, Any], defs: dict[str, Any]) -> str:
    names = ", ".join(
        f"{name}: {_type(one, defs)}" for name, one in schema.get("properties", {}).items()
    )
    return f"{{{names}}}"


def _bounds(schema: dict[str, Any]) -> str:
    least = schema.get("minimum", schema.get("minLength"))
    most = schema.get("maximum", schema.get("maxLength"))
    unit = " characters" if "maxLength" in schema or "minLength" in schema else ""
    if most is None:
        return "" if least is None else f", at least {least:,}{unit}"
    return f", {least:,} to {most:,}{unit}" if least is not None else f", at most {most:,}{unit}"


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
    return [
        Variable(
            str(field.alias), _default(field.default), _allowed(field), field.description or ""
        )
        for field in Environment.model_fields.values()
    ]


def _default(value: object) -> str:
    if isinstance(value, SecretStr) or value == "":
        return UNSET
    if isinstance(value, Path):
        return str(value.relative_to(ROOT))
    return f"{value:g}" if isinstance(value, (bool, int, float)) else str(value)


def _allowed(field: FieldInfo) -> str:
    """Returns the allowed values of a field in words: its type and its bounds."""
    if field.annotation is bool:
        return "0 or 1"
    bounds = {
        name: getattr(mark, name)
        for mark in field.metadata
        for name in ("ge", "gt", "le")
        if getattr(mark, name, None) is not None
    }
    words = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}"}
    return ", ".join(words[name].format(f"{bound:,}") for name, bound in bounds.items())


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    fields: list[Field]
    meaning: str


def registry() -> list[Command]:
    """Returns the commands that forms, API and command line share."""
    return [
        Command(each.name, fields_of(each.payload.model_json_schema()), each.meaning)
        for each in commands.all_commands()
    ]


@dataclass(frozen=True, slots=True)
class Management:
    """A command of ``manage.py`` with its usage and its help text."""

    name: str
    usage: str
    meaning: str


@cache
def management() -> tuple[Management, ...]:
    """Returns our management commands; each module is loaded once."""
    ours = sorted((name, app) for name, app in get_commands().items() if app in OURS)
    loaded = [(name, load_command_class(str(app), name)) for name, app in ours]
    return tuple(
        Management(name, " ".join([name, *_arguments(name, command)]), str(command.help))
        for name, command in loaded
    )


def _arguments(name: str, command: BaseCommand) -> Iterator[str]:
    usual = {each.dest for each in BaseCommand().create_parser("manage.py", name)._actions}
    for action in command.create_parser("manage.py", name)._actions:
        if action.dest not in usual:
            yield _argument(action)


def _argument(action: Action) -> str:
    metavar = str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper())
    if not action.option_strings:
        return f"[{metavar}]" if action.nargs in {"?", "*"} else metavar
    option = action.option_strings[-1]
    words = option if action.nargs == 0 else f"{option} {metavar}"
    return words if action.required else f"[{words}]"


@dataclass(frozen=True, slots=True)
class EventType:
    type: str
    meaning: str
    public: bool


def event_types() -> list[EventType]:
    public = recorder.public_types()
    return [
        EventType(type_, meaning, type_ in public) for type_, meaning in recorder.types().items()
    ]


@dataclass(frozen=True, slots=True)
class Endpoint:
    method: str
    path: str
    summary: str


def endpoints() -> list[Endpoint]:
    """Returns the endpoints in /api/openapi.json, one row for each method of each path."""
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
