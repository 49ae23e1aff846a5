"""What all formats write: chunks, after some of which the writing can be interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

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
