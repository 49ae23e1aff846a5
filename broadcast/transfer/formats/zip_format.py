"""Exports a whole session with its files as a ZIP archive, which can be imported again.

First comes ``session.json``, then the files (see ``snapshot``), then
``data/<table>-<part>.ndjson`` with one row a line, and last ``manifest.json`` with the size, rows
and SHA-256 of each member. The files come before the rows that name them: a row is left out if its
file was replaced or deleted while the archive was written.
"""

from __future__ import annotations

from collections.abc import Iterator

from broadcast.transfer import snapshot
from broadcast.transfer.formats.base import Chunk, ExportRequest, State
from broadcast.transfer.snapshot import Row, Snapshot
from broadcast.transfer.tables import TABLES, Table
from broadcast.transfer.zip_stream import Zipper
from stories import disclosure

FORMAT, VERSION = "smnb-archive", 1
MANIFEST, HEAD = "manifest.json", "session.json"
# Small enough that a part is written well within a step: only between parts can it be interrupted.
MOST_ROWS, MOST_BYTES = 20_000, 16_000_000


def write(request: ExportRequest, state: State) -> Iterator[Chunk]:
    """Writes the archive; the state is that of the ZIP and the file, or table and part, reached."""
    taken = request.snapshot
    zipper = Zipper(taken.at, state.get("zip"))
    if not state:
        head = snapshot.as_json(snapshot.head(taken)).encode()
        yield from map(Chunk, zipper.member(HEAD, [head]))
    if "table" not in state:
        yield from _write_files(taken, zipper, state)
    for number in range(state.get("table", 0), len(TABLES)):
        position = state if number == state.get("table") else {}
        after, part = position.get("after", 0), position.get("part", 1)
        yield from _write_table(taken, zipper, number, after, part)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        # An import recognizes an archive that the same owner imported before by this id.
        "export": request.id,
        "exported_at": taken.at,
        "session": str(taken.session.pk),
        "disclosure": disclosure.OF_EXPORTS,
        "members": {
            entry.name: {"bytes": entry.size, "sha256": entry.sha256, "rows": entry.rows}
            for entry in zipper.entries
        },
    }
    yield from map(Chunk, zipper.member(MANIFEST, [snapshot.as_json(manifest).encode()]))
    yield Chunk(zipper.end())


def _write_files(taken: Snapshot, zipper: Zipper, state: State) -> Iterator[Chunk]:
    for number in range(state.get("of", 0), len(snapshot.FILED)):
        after = state.get("file", 0) if number == state.get("of") else 0
        files = snapshot.row_files(taken, snapshot.FILED[number], after)
        for pk, name, size, chunks in files:
            if chunks is not None:
                yield from map(Chunk, zipper.member(name, chunks, size))
            yield Chunk(b"", 1, {"of": number, "file": pk, "zip": zipper.state})


def _write_table(
    taken: Snapshot, zipper: Zipper, number: int, after: int, part: int
) -> Iterator[Chunk]:
    table = TABLES[number]
    rows = snapshot.rows_with_files(table, snapshot.rows(taken, table, after), zipper)
    first = next(rows, None)
    while first is not None:
        lines = _PartLines(table, first, rows)
        yield from map(Chunk, zipper.member(f"data/{table.name}-{part:04}.ndjson", lines))
        zipper.entries[-1].rows, part, first = lines.rows, part + 1, lines.following
        position = {"table": number, "after": lines.last, "part": part, "zip": zipper.state}
        # Rows that have files were counted when their files were written.
        yield Chunk(b"", 0 if table.name in snapshot.FILED else lines.rows, position)


class _PartLines:
    """Yields the lines of one part of a table, and counts them for what follows."""

    def __init__(self, table: Table, first: Row, rows: Iterator[Row]) -> None:
        self._key, self._rows = table.key, rows
        self.following: Row | None = first
        self.rows, self.last = 0, 0

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        while self.following is not None and self.rows < MOST_ROWS and size < MOST_BYTES:
            line = f"{snapshot.as_json(self.following)}\n".encode()
            self.rows, self.last, size = self.rows + 1, self.following[self._key], size + len(line)
            yield line
            self.following = next(self._rows, None)
