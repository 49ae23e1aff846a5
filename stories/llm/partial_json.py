"""Reads a JSON object while it is still being written, for the one text in it that is shown."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

_FENCE = re.compile(r"```[a-zA-Z]*\s*")
_KEY = "narration"
_HIGH, _LOW = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_PIECE = re.compile(
    rf'(?P<plain>[^"\\]+)|(?P<pair>{_HIGH}{_LOW})'
    # A high surrogate stands alone only once something else follows it.
    rf"|(?P<alone>{_HIGH}(?=[^\\]|\\[^u]|\\u[^dD]|\\u[dD][^c-fC-F])|{_LOW})"
    rf"|(?!{_HIGH})\\u(?P<code>[0-9a-fA-F]{{4}})|\\(?P<short>[^u])"
)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SPACE = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder(strict=False)


def narration_so_far(text: str) -> str:
    return said_so_far(text, _KEY)


def said_so_far(text: str, key: str) -> str:
    """The value of ``key`` as far as ``text`` goes; ``text`` itself when it is plain prose.

    Empty while nothing can be said yet. Escapes cut in the middle wait for their rest.
    """
    text = _unwrapped(text)
    if not text or "```".startswith(text[:3]):
        return ""
    if text.startswith("{"):
        return _value_of_key(text, key)
    inside = _in_prose(text, key)
    return _value_of_key(text[inside.start() :], key) if inside else text


@cache
def _opening(key: str) -> re.Pattern[str]:
    return re.compile(rf'\{{\s*"{key}"\s*:')


def _in_prose(text: str, key: str) -> re.Match[str] | None:
    """Where an object that begins with ``key`` stands in ``text``."""
    return _opening(key).search(text)


def parsed(text: str, key: str = _KEY) -> dict[str, Any] | None:
    """The whole object, whatever surrounds it; None when it is not, or not yet, valid JSON."""
    text = _unwrapped(text)
    inside = _in_prose(text, key)
    if not text.startswith("{") and inside:
        text = text[inside.start() :]
    try:
        found, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_prose(text: str) -> bool:
    """Whether ``text`` plainly is no JSON object at all."""
    text = _unwrapped(text)
    return not text.startswith("{") and not _in_prose(text, _KEY)


def _unwrapped(text: str) -> str:
    """``text`` without leading space, byte order mark and code fence."""
    text = text.lstrip("\ufeff \t\r\n")
    fence = _FENCE.match(text)
    return text[fence.end() :] if fence else text


def _value_of_key(text: str, wanted: str) -> str:
    """Walk over the complete values before the wanted one, then read it as far as it goes."""
    at = 1
    try:
        while True:
            key, at = _next_value(text, at)
            at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
            if text[at] != ":":
                return ""
            if key == wanted:
                start = _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
                return _string(text, start + 1) if text[start] == '"' else ""
            _, at = _next_value(text, at + 1)
    except (ValueError, IndexError, RecursionError):
        return ""


def _next_value(text: str, at: int) -> tuple[Any, int]:
    """The complete value that begins at ``at``, and where it ends; raises when it is cut."""
    start = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    return _DECODER.raw_decode(text, start)


def _string(text: str, at: int) -> str:
    """The string whose first character is at ``at``, up to its end or the end of what is sure."""
    said: list[str] = []
    while piece := _PIECE.match(text, at):
        at = piece.end()
        said.append(_decoded(piece))
    return "".join(said)


def _decoded(piece: re.Match[str]) -> str:
    match piece.lastgroup:
        case "plain":
            return piece[0]
        case "pair":
            return str(json.loads(f'"{piece[0]}"'))
        case "alone":
            return "\ufffd"
        case "code":
            return chr(int(piece["code"], 16))
    return _SHORT.get(piece["short"], piece["short"])
