"""Exports a whole session as one JSON document, table after table.

Amounts of money are decimal strings in US dollars, as in the API.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from broadcast.transfer import snapshot
from broadcast.transfer.formats.base import Chunk, ExportRequest, State, pieces
from broadcast.transfer.snapshot import Row
from broadcast.transfer.tables import EVENTS, TABLES
from sessions_app.money import decimal_string
from sessions_app.realtime import frames
from stories import disclosure

FORMAT, VERSION = "smnb-session", 2
# Columns of usage, and fields of the session and its figures, that hold amounts of money.
AMOUNTS = ("budget", "cost_lower", "cost_upper", "cache_saved", "reported_cost")


def write(request: ExportRequest, state: State) -> Iterator[Chunk]:
    """Writes ``{format, version, export, exported_at, session, <table>: [row, …], …}``.

    The state is the position in ``TABLES`` and the key of the last row written of that table.
    """
    if not state:
        session = _with_amounts(snapshot.head(request.snapshot))
        head = {
            "format": FORMAT,
            "version": VERSION,
            "export": request.id,
            "exported_at": request.snapshot.at,
            "disclosure": disclosure.OF_EXPORTS,
            "session": {**session, "figures": _with_amounts(session["figures"])},
        }
        # Without the closing brace: the tables follow as further keys of the same object.
        yield Chunk(snapshot.as_json(head)[:-1].encode(), 0, {"table": 0, "after": 0})
    resumed_at = state.get("table", 0)
    for number in range(resumed_at, len(TABLES)):
        after = state.get("after", 0) if number == resumed_at else 0
        yield from _write_table(request, number, after)
    yield Chunk(b"\n}\n")


def _with_amounts(row: Row) -> Row:
    amounts = {name: decimal_string(row[name]) for name in AMOUNTS if row.get(name) is not None}
    return {**row, **amounts}


def _write_table(request: ExportRequest, number: int, after: int) -> Iterator[Chunk]:
    table = TABLES[number]
    comma = "," if after else ""
    if not after:
        yield Chunk(f',\n"{table.name}":['.encode())
    for batch in pieces(snapshot.rows(request.snapshot, table, after)):
        rows: Iterable[Row] = map(_with_amounts, batch)
        if table.name == EVENTS:
            rows = ({**r, "payload": frames.published(r["type"], r["payload"])} for r in batch)
        text = ",\n".join(map(snapshot.as_json, rows))
        last = batch[-1][table.key]
        yield Chunk(f"{comma}\n{text}".encode(), len(batch), {"table": number, "after": last})
        comma = ","
    yield Chunk(b"]", 0, {"table": number + 1, "after": 0})
