"""A whole session as one JSON document, table after table."""

from __future__ import annotations

from collections.abc import Iterator

from broadcast.transfer import snapshot
from broadcast.transfer.formats.base import Chunk, State, Wanted, pieces
from broadcast.transfer.tables import TABLES

FORMAT, VERSION = "smnb-session", 1


def write(wanted: Wanted, state: State) -> Iterator[Chunk]:
    """``{format, version, export, exported_at, session, <table>: [row, …], …}``."""
    if not state:
        yield Chunk(_opening(wanted), 0, {"table": 0, "after": 0})
    for number in range(state.get("table", 0), len(TABLES)):
        after = state.get("after", 0) if number == state.get("table", 0) else 0
        yield from _table(wanted, number, after)
    yield Chunk(b"\n}\n")


def _opening(wanted: Wanted) -> bytes:
    head = {
        "format": FORMAT,
        "version": VERSION,
        "export": wanted.id,
        "exported_at": wanted.snapshot.at,
        "session": snapshot.head(wanted.snapshot),
    }
    return snapshot.as_json(head)[:-1].encode()


def _table(wanted: Wanted, number: int, after: int) -> Iterator[Chunk]:
    table = TABLES[number]
    comma = "," if after else ""
    if not after:
        yield Chunk(f',\n"{table.name}":['.encode())
    for some in pieces(snapshot.rows(wanted.snapshot, table, after)):
        text = ",\n".join(map(snapshot.as_json, some))
        last = some[-1][table.key]
        yield Chunk(f"{comma}\n{text}".encode(), len(some), {"table": number, "after": last})
        comma = ","
    yield Chunk(b"]", 0, {"table": number + 1, "after": 0})
