"""What all formats write: chunks, after some of which the writing can be interrupted.

Untrusted text in the formats that programs act upon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from broadcast.transfer.snapshot import Snapshot

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes and how many rows are in them.

    After a chunk with a ``state`` the writing can be interrupted: from that state, which is JSON,
    the format writes on what comes next.
    """

    data: bytes
    rows: int = 0
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """An export that somebody asked for; ``run`` limits captions to one run (None: all)."""

    snapshot: Snapshot
    id: str
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its name is its suffix, ``tables`` are what it reads.

    ``write(wanted, state)`` begins with the empty state."""

    name: str
    label: str
    media_type: str
    write: Callable[[Wanted, State], Iterator[Chunk]]
    tables: frozenset[str] = field(default_factory=frozenset)


def pieces(rows: Iterator[Any], most: int = 500) -> Iterator[list[Any]]:
    """The rows in lists of at most ``most``, none empty."""
    while some := list(islice(rows, most)):
        yield some


# Spreadsheets take a cell that begins so for a formula, also after spaces and in full width.
_FORMULA = re.compile(r"\s*[=+\-@|%\t\r\n＝＋－＠｜％]")  # noqa: RUF001

_MARKS = re.compile(r"([\\`*_\[\]<>#|~$&])")

_LINE_OPENER = re.compile(r"^(\s*)([-+=:]|\d{1,9}[.)])", re.MULTILINE)


def cell(value: Any) -> Any:
    """A cell that no spreadsheet reads as a formula; numbers stay numbers."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, str):
        text = value.replace("\x00", "")
        return f"'{text}" if _FORMULA.match(text) else text
    return value


def markdown(text: str) -> str:
    """Text that Markdown shows as it is: no heading, list, link, image, code or HTML."""
    marked = _MARKS.sub(r"\\\1", text.replace("\r", ""))
    return _LINE_OPENER.sub(r"\1\\\2", marked)


def markdown_link(text: str, url: str) -> str:
    """A link, or the text alone where the address is no ordinary one."""
    parts = urlsplit(url) if url.isprintable() else urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return markdown(text)
    address = url.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
    return f"[{markdown(text)}](<{address}>)"


_CAPTION = str.maketrans({"<": "(", ">": ")", "{": "(", "}": ")", "\\": "/", "\x00": None})


def caption(text: str) -> str:
    """Text that players neither take for their own marks nor for the next cue."""
    return " ".join(text.replace("-->", "→").translate(_CAPTION).split())
