"""The parts that all export formats share, and the escaping of texts that others wrote.

A format writes chunks of bytes. After some of the chunks it can be interrupted and resumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from broadcast.transfer.snapshot import Snapshot

State: TypeAlias = dict[str, Any]  # JSON whose keys each format chooses

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes of an export and the number of rows in them.

    After a chunk with a ``state`` the export can be interrupted. Called with that state, which is
    JSON, the format writes the chunks that follow.
    """

    data: bytes
    rows: int = 0
    state: State | None = None


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export; ``run`` limits captions to the run of that number (None: all runs)."""

    snapshot: Snapshot
    id: str
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """An export format; its name is also the file's suffix, and ``tables`` are those it reads.

    ``write(request, state)`` yields the chunks; an empty state means from the beginning.
    """

    name: str
    label: str
    media_type: str
    write: Callable[[ExportRequest, State], Iterator[Chunk]]
    tables: frozenset[str] = field(default_factory=frozenset)


def pieces(rows: Iterator[T], most: int = 500) -> Iterator[list[T]]:
    """Yields the rows in lists of at most ``most``, none of them empty."""
    while batch := list(islice(rows, most)):
        yield batch


# Spreadsheets read a cell with such a beginning as a formula, also after spaces and invisible
# characters, and in full width.
_FORMULA = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]*[=+\-@|%\t\r\n＝＋－＠｜％]")  # noqa: RUF001


def cell(value: object) -> object:
    """Returns the value of a CSV cell so that no spreadsheet runs it as a formula."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, str):
        text = value.replace("\x00", "")
        # The apostrophe tells a spreadsheet that the cell is text. Numbers remain numbers.
        return f"'{text}" if _FORMULA.match(text) else text
    return value


_CAPTION = str.maketrans({"<": "(", ">": ")", "{": "(", "}": ")", "\\": "/", "\x00": None})


def caption(text: str) -> str:
    """Returns a text without what a video player reads as formatting or as the next caption."""
    return " ".join(text.replace("-->", "→").translate(_CAPTION).split())
