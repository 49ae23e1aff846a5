"""Reference tables generated from the code: variables, commands, endpoints, events."""

from __future__ import annotations

from argparse import Action
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sessions_app import audits, bus, commands, events
from smnb.api import api
from smnb.docs.schema import Field, fields_of
from smnb.env import ROOT, Environment

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
    public = events.public_types()
    return [EventType(type_, meaning, type_ in public) for type_, meaning in events.types().items()]


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
    return [(topic.name, topic.meaning, topic.listeners()) for topic in bus.topics()]


def audit_names() -> list[tuple[str, str]]:
    """Returns each audit with the invariant that it checks."""
    return [(name, audits.meaning_of(name)) for name in audits.names()]
