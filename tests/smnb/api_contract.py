"""Calls of the API that are generated from its OpenAPI document, and answers compared with it."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings, strategies
from hypothesis.strategies import DataObject, SearchStrategy
from jsonschema_rs import Draft202012Validator

from broadcast.models import Slot
from sessions_app import api_tokens
from sessions_app.models import Artifact, Message, Session
from smnb.api import api
from stories.models import Draft, Source, SourcePost, Story

Schema = dict[str, Any]
# A value for each type of a parameter and of a field that no caller has thought of.
ODD: list[Any] = [
    None,
    True,
    -1,
    2**70,
    1.5e308,
    "",
    "\x00",
    "²",
    "x" * 5000,
    "../..",
    [],
    [[]],
    {},
    {"a": {}},
]
NEVER = "00000000-0000-4000-8000-000000000000"
SIMPLE: dict[str, SearchStrategy[Any]] = {
    "boolean": strategies.booleans(),
    "null": strategies.none(),
    "number": strategies.floats(allow_nan=False, allow_infinity=False),
}


@cache
def document() -> Schema:
    """The document as a client receives it."""
    made: Schema = json.loads(json.dumps(api.get_openapi_schema(path_prefix="/api/"), default=str))
    return made


@cache
def operations() -> list[tuple[str, str]]:
    found = ((path, method) for path, methods in document()["paths"].items() for method in methods)
    return sorted(found)


@cache
def validator(path: str, method: str, status: str) -> Draft202012Validator | None:
    """Returns what judges the body of this response; None for the bytes of a file."""
    content = document()["paths"][path][method]["responses"][status].get("content", {})
    if "application/json" not in content:
        return None
    schema = content["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": document()["components"]})


def values(schema: Schema) -> SearchStrategy[Any]:
    """Generates what the schema describes."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        return values(document()["components"]["schemas"][name])
    if choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return strategies.one_of([values(each) for each in choices])
    if "enum" in schema:
        return strategies.sampled_from(schema["enum"])
    kind = schema.get("type", "string")
    if kind == "object":
        required, fields = set(schema.get("required", ())), schema.get("properties", {})
        made = {name: values(inner) for name, inner in fields.items()}
        return strategies.fixed_dictionaries(
            {name: made[name] for name in made if name in required},
            optional={name: made[name] for name in made if name not in required},
        )
    if kind == "array":
        return strategies.lists(values(schema.get("items", {})), max_size=3)
    if kind == "integer":
        low, high = schema.get("minimum", -3), schema.get("maximum", 600)
        return strategies.integers(min(low, high), high)
    if kind == "string":
        if schema.get("format") == "uuid":
            return strategies.uuids().map(str)
        usual = ["demo", "09:00", "tides", "2026-11-02T09:00:00Z", "1.50", "mon", "en"]
        text = strategies.text(max_size=min(schema.get("maxLength", 40), 40))
        return strategies.sampled_from(usual) | text
    return SIMPLE[kind]


def call_and_compare(user: User | None, session: Session, examples: int) -> None:
    """Calls operations by a program of the user; each answer must be one that is declared.

    Nobody but the owner of the session gets anything of it, and without a token nothing is done.
    """
    client = Client()
    if user is not None:
        client = Client(headers={"Authorization": f"Bearer {api_tokens.make(user)}"})
    known: dict[str, list[Any]] = {
        "session_id": [session.pk],
        "draft_id": list(Draft.objects.values_list("pk", flat=True)),
        "story_id": list(Story.objects.values_list("pk", flat=True)[:5]),
        "post_id": list(SourcePost.objects.values_list("pk", flat=True)[:5]),
        "source_id": list(Source.objects.values_list("pk", flat=True)),
        "artifact_id": list(Artifact.objects.values_list("pk", flat=True)[:5]),
        "message_id": list(Message.objects.values_list("pk", flat=True)[:5]),
        "slot_id": list(Slot.objects.values_list("pk", flat=True)),
    }
    odd = strategies.sampled_from(ODD)

    def part(data: DataObject, parameter: Schema) -> str:
        usual = [*known.get(parameter["name"], []), NEVER, 0, 2**70]
        if parameter["schema"].get("enum") or "$ref" in parameter["schema"]:
            usual = [data.draw(values(parameter["schema"]))]
        return quote(str(data.draw(strategies.sampled_from(usual))), safe="")

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=strategies.data())
    def call(data: DataObject) -> None:
        path, method = data.draw(strategies.sampled_from(operations()))
        operation = document()["paths"][path][method]
        given_: list[Schema] = operation.get("parameters", [])
        parts = {each["name"]: part(data, each) for each in given_ if each["in"] == "path"}
        query = {
            each["name"]: str(data.draw(values(each["schema"]) | odd))
            for each in given_
            if each["in"] == "query" and data.draw(strategies.booleans())
        }
        content = operation.get("requestBody", {}).get("content", {})
        body: Any = None
        if schema := content.get("application/json", {}).get("schema"):
            body = data.draw(values(schema))
            if isinstance(body, dict) and body and data.draw(strategies.booleans()):
                body[data.draw(strategies.sampled_from(sorted(body)))] = data.draw(odd)
        address = re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], path)
        with transaction.atomic():
            answer = client.generic(
                method.upper(),
                f"{address}?{urlencode(query)}",
                "" if body is None else json.dumps(body),
                content_type="application/json",
            )
            transaction.set_rollback(True)
        status = str(answer.status_code)
        assert status in operation["responses"], (method, address, body, status)
        if answer["Content-Type"].startswith("application/json"):
            judge = validator(path, method, status)
            assert judge is not None, (method, address, status)
            judge.validate(answer.json())
        if user is None:
            # 404 for an id that no route has, such as a text in place of a number.
            assert status in {"401", "403", "404"}, (method, address, status)
        elif user != session.owner and {"session_id", "draft_id"} & parts.keys():
            assert status in {"404", "422", "400"}, (method, address, status)

    call()
