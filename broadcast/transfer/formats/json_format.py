"""Exports a whole session as one JSON document, table after table."""

from __future__ import annotations

from collections.abc import Iterator

from broadcast.transfer import snapshot
from broadcast.transfer.formats.base import Chunk, ExportRequest, State, pieces
from broadcast.transfer.tables import TABLES
from stories import disclosure

FORMAT, VERSION = "smnb-session", 1


def write(request: ExportRequest, state: State) -> Iterator[Chunk]:
    """Writes ``{format, version, export, exported_at, session, <table>: [row, …], …}``.

    The state is the position in ``TABLES`` and the key of the last row written of that table.
    """
    if not state:
        head = {
            "format": FORMAT,
            "version": VERSION,
            "export": request.id,
            "exported_at": request.snapshot.at,
            "disclosure": disclosure.OF_EXPORTS,
            "session": snapshot.head(request.snapshot),
        }
        # Without the closing brace: the tables follow as further keys of the same object.
        yield Chunk(snapshot.as_json(head)[:-1].encode(), 0, {"table": 0, "after": 0})
    resumed_at = state.get("table", 0)
    for number in range(resumed_at, len(TABLES)):
        after = state.get("after", 0) if number == resumed_at else 0
        yield from _write_table(request, number, after)
    yield Chunk(b"\n}\n")


def _write_table(request: ExportRequest, number: int, after: int) -> Iterator[Chunk]:
    table = TABLES[number]
    comma = "," if after else ""
    if not after:
        yield Chunk(f',\n"{table.name}":['.encode())
    for batch in pieces(snapshot.rows(request.snapshot, table, after)):
        text = ",\n".join(map(snapshot.as_json, batch))
        last = batch[-1][table.key]
        yield Chunk(f"{comma}\n{text}".encode(), len(batch), {"table": number, "after": last})
        comma = ","
    yield Chunk(b"]", 0, {"table": number + 1, "after": 0})
