"""Describes JSON schemas of command payloads in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
