"""A whole session with its files as one ZIP, which can be imported again.

``session.json``, the files (see ``filed``), ``data/<table>-<part>.ndjson`` with one row a line, and
last ``manifest.json`` with the rows and the SHA-256 of each member. The files come before the rows
that name them, so that what is made anew or taken back meanwhile has no row without its file.
"""

from __future__ import annotations

from collections.abc import Iterator

from broadcast.transfer import archive_files, snapshot
from broadcast.transfer.formats.base import Chunk, State, Wanted
from broadcast.transfer.snapshot import Row, Snapshot
from broadcast.transfer.tables import TABLES, Table
from broadcast.transfer.zip_stream import Zipper

FORMAT, VERSION = "smnb-archive", 1
MANIFEST, HEAD = "manifest.json", "session.json"
# A part is written well within a step.
MOST_ROWS, MOST_BYTES = 20_000, 16_000_000


def write(wanted: Wanted, state: State) -> Iterator[Chunk]:
    """State: the ZIP so far, and the file, or the table and part, that come next."""
    shown, made = wanted.snapshot, Zipper(wanted.snapshot.at, state.get("zip"))
    if not state:
        yield from _whole(made, HEAD, snapshot.as_json(snapshot.head(shown)).encode())
    if "table" not in state:
        yield from _files(shown, made, state)
    for number in range(state.get("table", 0), len(TABLES)):
        resumed = state if number == state.get("table") else {}
        yield from _table(shown, made, number, resumed.get("after", 0), resumed.get("part", 1))
    yield from _whole(made, MANIFEST, _manifest(wanted, made))
    yield Chunk(made.end())


def _whole(made: Zipper, name: str, text: bytes) -> Iterator[Chunk]:
    yield from map(Chunk, made.member(name, [text]))


def _table(shown: Snapshot, made: Zipper, number: int, after: int, part: int) -> Iterator[Chunk]:
    table = TABLES[number]
    rows = archive_files.rows_with_files(table, snapshot.rows(shown, table, after), made)
    first = next(rows, None)
    while first is not None:
        lines = _Lines(table, first, rows)
        yield from map(Chunk, made.member(f"data/{table.name}-{part:04}.ndjson", lines))
        made.entries[-1].rows, part, first = lines.rows, part + 1, lines.following
        reached = {"table": number, "after": lines.last, "part": part, "zip": made.state}
        # Rows with files were counted with these.
        yield Chunk(b"", 0 if table.name in archive_files.FILED else lines.rows, reached)


class _Lines:
    """The lines of one part of a table; what it holds is known when they are written."""

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


def _files(shown: Snapshot, made: Zipper, state: State) -> Iterator[Chunk]:
    for number in range(state.get("of", 0), len(archive_files.FILED)):
        after = state.get("file", 0) if number == state.get("of") else 0
        for pk, name, size, chunks in archive_files.row_files(
            shown, archive_files.FILED[number], after
        ):
            if chunks is not None:
                yield from map(Chunk, made.member(name, chunks, size))
            yield Chunk(b"", 1, {"of": number, "file": pk, "zip": made.state})


def _manifest(wanted: Wanted, made: Zipper) -> bytes:
    """``export`` is what makes an import of the same archive the same session."""
    members = {
        each.name: {"bytes": each.size, "sha256": each.sha256, "rows": each.rows}
        for each in made.entries
    }
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "export": wanted.id,
        "exported_at": wanted.snapshot.at,
        "session": str(wanted.snapshot.session.pk),
        "members": members,
    }
    return snapshot.as_json(manifest).encode()
