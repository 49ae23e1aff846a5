"""A whole session with its files as one ZIP, which can be imported again.

``session.json``, ``data/<table>-<part>.ndjson`` with one row a line, ``files/<id>`` (the rows of the
artifacts name them), and last ``manifest.json`` with the rows and the SHA-256 of each member.
"""

from __future__ import annotations

from collections.abc import Iterator

from broadcast.transfer import snapshot
from broadcast.transfer.chunks import Chunk, State, Wanted
from broadcast.transfer.snapshot import Row, Snapshot
from broadcast.transfer.tables import ARTIFACTS, BY_NAME, TABLES, Table
from broadcast.transfer.zipping import Zipper
from sessions_app import files

FORMAT, VERSION = "smnb-archive", 1
MANIFEST, HEAD = "manifest.json", "session.json"
# A part is written well within a step.
MOST_ROWS, MOST_BYTES = 20_000, 16_000_000


def write(wanted: Wanted, state: State) -> Iterator[Chunk]:
    """State: the ZIP so far, and the table and part, or the file, that come next."""
    shown, made = wanted.snapshot, Zipper(wanted.snapshot.at, state.get("zip"))
    if not state:
        yield from _whole(made, HEAD, snapshot.as_json(snapshot.head(shown)).encode())
    for number in range(state.get("table", 0), len(TABLES)):
        resumed = state if number == state.get("table") else {}
        yield from _table(shown, made, number, resumed.get("after", 0), resumed.get("part", 1))
    yield from _files(shown, made, state.get("file", 0))
    yield from _whole(made, MANIFEST, _manifest(wanted, made))
    yield Chunk(made.end())


def _whole(made: Zipper, name: str, text: bytes) -> Iterator[Chunk]:
    yield from map(Chunk, made.member(name, [text]))


def _table(shown: Snapshot, made: Zipper, number: int, after: int, part: int) -> Iterator[Chunk]:
    table = TABLES[number]
    rows = snapshot.rows(shown, table, after)
    first = next(rows, None)
    while first is not None:
        lines = _Lines(table, first, rows)
        yield from map(Chunk, made.member(f"data/{table.name}-{part:04}.ndjson", lines))
        made.entries[-1].rows, part, first = lines.rows, part + 1, lines.following
        reached = {"table": number, "after": lines.last, "part": part, "zip": made.state}
        yield Chunk(b"", lines.rows, reached)


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


def _files(shown: Snapshot, made: Zipper, after: int) -> Iterator[Chunk]:
    table = BY_NAME[ARTIFACTS]
    found = snapshot.selected(shown, table).filter(pk__gt=after).order_by("pk")
    for artifact in found.iterator():
        if files.where(artifact.path).is_file():
            chunks = files.read([artifact.path])
            yield from map(Chunk, made.member(f"files/{artifact.pk}", chunks, artifact.bytes))
        reached = {"table": len(TABLES), "file": artifact.pk, "zip": made.state}
        yield Chunk(b"", 0, reached)


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
