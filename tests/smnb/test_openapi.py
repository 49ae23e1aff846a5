"""The OpenAPI document describes every field of requests, responses and event payloads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from ninja.responses import NinjaJSONEncoder
from pydantic import TypeAdapter, ValidationError

from broadcast.studio.artifacts import bundle
from sessions_app.events import recorder, statistics
from sessions_app.models import Session, SessionEvent
from sessions_app.realtime import frames
from smnb.api import api
from tests.broadcast.session_with_history import exported
from tests.broadcast.speech.recorded_session import press

Schema = Mapping[str, Any]

# Objects whose fields depend on another field of the same payload, as their descriptions say.
OPEN_OBJECTS = {"ApiEvent.data", "DraftMessagePayload.payload", "PlannedCommandPayload.payload"}
# The names of amounts of money.
MONEY = {"lower", "upper", "budget", "budget_usd", "total_cost", "cost_lower", "cost_upper"}
# With those that are also the names of objects.
AMOUNTS = MONEY | {"cost", "cache_saved", "reported_cost", "left"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(api.get_openapi_schema(path_prefix="/api/"))


def parts(schema: Schema, name: str) -> Iterator[tuple[str, Schema]]:
    """The schema and all schemas within it, by their path."""
    yield name, schema
    for field, inner in schema.get("properties", {}).items():
        yield from parts(inner, f"{name}.{field}")
    for keyword in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(keyword, ()):
            yield from parts(inner, name)
    for keyword, suffix in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(keyword), dict):
            yield from parts(schema[keyword], name + suffix)


def is_untyped(schema: Schema) -> bool:
    """Whether the schema allows anything, or an object with any fields."""
    if not schema.keys() & {"$ref", "type", "anyOf", "oneOf", "allOf", "enum", "const"}:
        return True
    fields_known = schema.get("properties") or isinstance(schema.get("additionalProperties"), dict)
    return schema.get("type") == "object" and not fields_known


def without_description(schemas: Schema) -> list[str]:
    return [
        f"{name}.{field}"
        for top, whole in schemas.items()
        for name, schema in parts(whole, top)
        for field, inner in schema.get("properties", {}).items()
        if not inner.get("description", "").strip()
    ]


def untyped(schemas: Schema) -> set[str]:
    return {
        name
        for top, whole in schemas.items()
        for name, schema in parts(whole, top)
        if is_untyped(schema)
    }


def test_every_field_has_a_description(document: dict[str, Any]) -> None:
    assert without_description(document["components"]["schemas"]) == []


def test_every_field_has_a_type(document: dict[str, Any]) -> None:
    assert untyped(document["components"]["schemas"]) == OPEN_OBJECTS


def test_the_document_is_made_once() -> None:
    assert api.get_openapi_schema() is api.get_openapi_schema(path_params={})
    assert "/api/sessions" in api.get_openapi_schema()["paths"]
    assert "/elsewhere/sessions" in api.get_openapi_schema(path_prefix="/elsewhere/")["paths"]


def test_the_document_is_written_once_and_not_sent_to_who_has_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get("/api/openapi.json")
    assert json.loads(first.content)["info"]["title"] == "SMNB"
    assert first.headers["Content-Type"] == "application/json"
    monkeypatch.setattr(NinjaJSONEncoder, "encode", None)
    again = client.get("/api/openapi.json", {"other": "address"})
    assert (again.status_code, again.content) == (200, first.content)
    tag = first.headers["ETag"]
    for given in (tag, f"W/{tag}", "*"):
        unchanged = client.get("/api/openapi.json", headers={"If-None-Match": given})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["ETag"] == tag
    changed = client.get("/api/openapi.json", headers={"If-None-Match": '"earlier"'})
    assert (changed.status_code, changed.content) == (200, first.content)


def test_a_field_without_type_or_description_is_found() -> None:
    schemas = {"Box": {"type": "object", "properties": {"lid": {}, "size": {"type": "integer"}}}}
    assert without_description(schemas) == ["Box.lid", "Box.size"]
    assert untyped(schemas) == {"Box.lid"}
    listed = {"Rows": {"type": "array", "items": {"type": "object"}}}
    assert untyped(listed) == {"Rows[]"}


def test_every_response_has_a_declared_schema(document: dict[str, Any]) -> None:
    """A download has no schema: it is the bytes of a file."""
    bare = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                contents = list(response.get("content", {}).values())
                declared = [c for c in contents if c["schema"].keys() & {"$ref", "anyOf"}]
                if not contents or declared != contents:
                    bare.add(f"{method} {path} {status}")
    assert bare == {"get /api/sessions/{session_id}/artifacts/{artifact_id} 200"}


def test_every_post_takes_an_idempotency_key_and_every_limit_is_described(
    document: dict[str, Any],
) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            headers = [p for p in operation.get("parameters", ()) if p["in"] == "header"]
            names = [header["name"] for header in headers]
            assert names == (["Idempotency-Key"] if method == "post" else []), path
            limited = operation["responses"][429]
            assert limited["headers"].keys() == {"Retry-After"}, path
            assert limited["description"].startswith("Too many requests of this user ("), path
    start = document["paths"]["/api/sessions/{session_id}/broadcast"]["post"]
    assert "Answers are stored" in start["parameters"][-1]["description"]


def test_money_is_a_decimal_string_in_every_answer(document: dict[str, Any]) -> None:
    """In the payloads of all events too, although they are stored as integers of 10⁻¹² USD."""
    schemas = document["components"]["schemas"]
    answered: set[str] = set()

    def follow(node: Any) -> None:
        if isinstance(node, list):
            for inner in node:
                follow(inner)
        elif isinstance(node, dict):
            name = node.get("$ref", "").rpartition("/")[2]
            if name and name not in answered:
                answered.add(name)
                follow(schemas[name])
            follow(list(node.values()))

    for methods in document["paths"].values():
        follow([operation["responses"] for operation in methods.values()])
    raw = [
        f"{name}.{field}"
        for name in sorted(answered)
        for field, inner in schemas[name].get("properties", {}).items()
        if "10⁻¹²" in inner.get("description", "")
        or (field in MONEY and "string" not in json.dumps(inner))
    ]
    assert (raw, {"ApiDraftCost", "DraftCost", "FiguresPayload"} <= answered) == ([], True)
    upper = schemas["FiguresPayload"]["properties"]["cost_upper"]
    assert (upper["type"], upper["pattern"]) == ("string", r"^-?\d+(\.\d{1,12})?$")


def test_every_operation_is_named_by_its_function(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/sessions/{session_id}/usage"]["get"]
    assert operation["operationId"] == "list_usage"


def test_every_event_type_has_a_declared_payload(document: dict[str, Any]) -> None:
    assert recorder.payload_types().keys() == recorder.types().keys()
    data = document["components"]["schemas"]["ApiEvent"]["properties"]["data"]
    assert data["x-payloads"].keys() == recorder.types().keys()
    assert data["x-payloads"]["story.aired"] == {"$ref": "#/components/schemas/AiringEvent"}


@pytest.mark.django_db(transaction=True)
def test_recorded_events_have_exactly_the_declared_fields(harbour_news: Session) -> None:
    adapters: dict[str, TypeAdapter[Any]] = {
        name: TypeAdapter(type_) for name, type_ in recorder.payload_types().items()
    }
    figures = TypeAdapter(statistics.FiguresPayload)
    events = list(SessionEvent.objects.filter(session=harbour_news))
    assert len({event.type for event in events}) > 15
    wrong = set()
    for event in events:
        payload = dict(event.payload)
        wrong |= differences(event.type, figures, payload.pop("figures"))
        wrong |= differences(event.type, adapters[event.type], payload)
    assert sorted(wrong) == []


def amounts(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Every amount of money in JSON, with its name."""
    if isinstance(value, list):
        for item in value:
            yield from amounts(item, name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from amounts(item, key)
    elif name in AMOUNTS and value is not None:
        yield name, value


@pytest.mark.django_db(transaction=True)
def test_amounts_are_decimal_strings_in_frames_exports_and_answers(
    harbour_news: Session, client_of: Any
) -> None:
    session = harbour_news
    press(session, "session.change", budget_usd="2.5")
    found: list[tuple[str, object]] = []
    events = list(SessionEvent.objects.filter(session=session))
    for event in events:
        frame = frames.frame_of(event, 0, recorder.OWNER)
        found += amounts(json.loads(frames.text_of(frame, recorder.OWNER, frames.JSON, 10**6)))
    page = client_of(session.owner).get(f"/api/sessions/{session.pk}/events?limit=500").json()
    found += amounts(page)
    found += amounts(json.loads(exported(session, "json")))
    found += amounts(bundle.collect(session))
    assert {name for name, _ in found} >= {"lower", "upper", "budget", "cost", "cache_saved"}
    assert [item for item in found if not re.fullmatch(r"-?\d+(\.\d{1,12})?", str(item[1]))] == []
    assert {type(value) for _, value in found} == {str}
    assert ("budget", "2.5") in found
    # What is stored stays an integer, as it is in events of earlier versions.
    closed = next(event.payload for event in events if event.type == "usage.closed")
    lower = closed["usage"]["lower"]
    assert type(lower) is int
    written = frames.published("usage.closed", closed)
    assert written["usage"]["lower"] == f"{Decimal(lower) / 10**12:f}"


def differences(name: str, adapter: TypeAdapter[Any], value: object) -> set[str]:
    """Fields of the value that its declared type does not have or that differ from it."""
    try:
        adapter.validate_python(value, strict=True, extra="forbid")
    except ValidationError as error:
        return {f"{name} {item['loc']}: {item['msg']}" for item in error.errors()}
    return set()


def test_an_undeclared_field_of_an_event_is_found() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(recorder.payload_types()["usage.closed"])
    found = differences("usage.closed", adapter, {"usage": {}, "budget": "1", "more": 1})
    assert "usage.closed ('more',): Extra inputs are not permitted" in found
    assert "usage.closed ('budget',): Input should be a valid integer" in found
    assert "usage.closed ('usage', 'id'): Field required" in found
