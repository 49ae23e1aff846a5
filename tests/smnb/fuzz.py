"""Valid input with damage of many kinds, by a seed: feeds, archives and messages of sockets."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

Damage = Callable[[random.Random, bytes], bytes]

# Parts that parsers treat in their own way.
TOKENS = (
    *(
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"&",
        b"&#x110000;",
        b"&a;",
        b"<!DOCTYPE a [",
        b"<?xml",
    ),
    *(
        b"<item>",
        b"</item>",
        b"<entry>",
        b"</rss>",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
    ),
    *(b"1e999", b"-1", b"99999999999999999999", b"NaN", b"true", b"\\ud800", b"\\u0000", b"\x00"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"\xf0\x9f", b"\n", b"\r", b"\x1b[31m", b"PK\x03\x04", b"../"),
)


def place(chance: random.Random, data: bytes) -> int:
    return chance.randrange(len(data) + 1)


def span(chance: random.Random, data: bytes) -> tuple[int, int]:
    begin = place(chance, data)
    return begin, begin + chance.choice((1, 2, 8, 64, 512))


def flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(chance.choice((1, 1, 4, 32))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: place(chance, data)]


def leave_out(chance: random.Random, data: bytes) -> bytes:
    begin, end = span(chance, data)
    return data[:begin] + data[end:]


def repeat(chance: random.Random, data: bytes) -> bytes:
    begin, end = span(chance, data)
    return data[:begin] + data[begin:end] * chance.choice((2, 20, 400)) + data[end:]


def insert(chance: random.Random, data: bytes) -> bytes:
    at = place(chance, data)
    return data[:at] + chance.choice(TOKENS) * chance.choice((1, 1, 30, 3000)) + data[at:]


def swap(chance: random.Random, data: bytes) -> bytes:
    (begin, end), (other, last) = sorted((span(chance, data), span(chance, data)))
    if end > other:
        return data[::-1]
    return data[:begin] + data[other:last] + data[end:other] + data[begin:end] + data[last:]


DAMAGES: tuple[Damage, ...] = (flip, cut, leave_out, repeat, insert, swap)


def damaged(seed: str, data: bytes) -> bytes:
    """Returns the data with one to three damages; the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(chance.choice((1, 1, 2, 3))):
        data = chance.choice(DAMAGES)(chance, data)
    return data


def damaged_value(chance: random.Random, value: object) -> object:
    """Returns a JSON value in which one part is of another type or size."""
    odd: tuple[object, ...] = (
        None,
        True,
        -1,
        0,
        2**63,
        2**70,
        1e308,
        "",
        "\u202e",
        "x" * 70_000,
        [],
        {},
    )
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(sorted(value))
        return {**value, key: damaged_value(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], damaged_value(chance, value[at]), *value[at + 1 :]]
    return chance.choice(odd)


def damaged_lines(seed: str) -> Callable[[list[dict[str, object]]], list[object]]:
    """Returns what damages one line of a member of an archive."""

    def change(rows: list[dict[str, object]]) -> list[object]:
        chance = random.Random(seed)
        at = chance.randrange(len(rows))
        row = json.loads(json.dumps(rows[at], default=str))
        return [*rows[:at], damaged_value(chance, row), *rows[at + 1 :]]

    return change
