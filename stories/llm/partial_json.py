"""Reads a model's JSON answer while it is still streaming, for the one text of it that is shown."""

from __future__ import annotations

import json
import re
from functools import cache

from pydantic_core import from_json

NARRATION = "narration"

_FENCE = re.compile(r"```[a-zA-Z]*\s*")
_STRING = re.compile(r'"(?:[^"\\]|\\.?)*+"?', re.DOTALL)
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(
    rf"{_HIGH}{_LOW}"
    # A high surrogate is alone only when the text after it cannot become its low surrogate.
    rf"|(?P<lone>{_HIGH}(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][^c-fC-F])|{_LOW})"
    # Four hexadecimal digits follow \u, or fewer where the text ends.
    r"|(?P<bad>\\u(?![0-9a-fA-F]{4}|[0-9a-fA-F]{0,3}\Z))"
    r"|\\(?P<unknown>[^\"\\/bfnrtu])|\\.|(?P<control>[\x00-\x1f])",
    re.DOTALL,
)
_DECODER = json.JSONDecoder(strict=False)


def narration_so_far(text: str) -> str:
    return value_so_far(text, NARRATION)


def value_so_far(text: str, key: str) -> str:
    """Returns the text under ``key`` as far as it has come; ``text`` itself when it is prose.

    Empty while the answer may still become either. An escape that is cut in the middle is left out.
    """
    text = _without_fence(text)
    # One or two backticks may still become the opening of a code fence.
    if not text or "```".startswith(text[:3]):
        return ""
    start = _start_of_object(text, key)
    if start is None:
        return text
    answer = _STRING.sub(lambda string: _ESCAPE.sub(_repaired, string[0]), text[start:])
    # An object that breaks after its first value still has that value.
    first = _first_value(key).match(answer)
    for candidate in (answer, first[0] if first else ""):
        try:
            found = from_json(candidate, allow_partial="trailing-strings")
        except ValueError:
            continue
        value = found.get(key) if isinstance(found, dict) else None
        return value if isinstance(value, str) else ""
    return ""


def parsed(text: str, key: str = NARRATION) -> dict[str, object] | None:
    """Returns the complete object, whatever surrounds it; None while it is not valid JSON."""
    text = _without_fence(text)
    start = _start_of_object(text, key) or 0
    try:
        # raw_decode ignores what follows the object, such as the end of a code fence.
        found, _ = _DECODER.raw_decode(text[start:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_prose(text: str) -> bool:
    """Whether ``text`` contains no JSON object at all."""
    return _start_of_object(_without_fence(text), NARRATION) is None


def _without_fence(text: str) -> str:
    """Returns ``text`` without leading space, byte order mark and the opening of a code fence."""
    text = text.lstrip("\ufeff \t\r\n")
    fence = _FENCE.match(text)
    return text[fence.end() :] if fence else text


@cache
def _first_value(key: str) -> re.Pattern[str]:
    """The beginning of an object whose first member is ``key``, up to the end of its text."""
    return re.compile(rf'\{{\s*"{key}"\s*:(?:\s*"(?:[^"\\]|\\.?)*+"?)?', re.DOTALL)


def _start_of_object(text: str, key: str) -> int | None:
    """Returns where the object starts; within prose it must begin with ``key``."""
    if text.startswith("{"):
        return 0
    inside = _first_value(key).search(text)
    return inside.start() if inside else None


def _repaired(escape: re.Match[str]) -> str:
    """Returns an escape that a strict parser accepts: models write some that it would refuse."""
    if escape["lone"] or escape["bad"]:
        return "\\ufffd"
    if escape["unknown"]:
        # Encoded again, because it may be a line break, which JSON allows only as an escape.
        return json.dumps(escape["unknown"])[1:-1]
    return f"\\u{ord(escape['control']):04x}" if escape["control"] else escape[0]
