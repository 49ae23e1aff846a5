"""A snapshot export of the old system: a zip file, of which three tables are read line by line.

Nothing is unpacked to a path, and the length of a line, the size of a table and its compression ratio
are limited.
"""

from __future__ import annotations

import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sessions_app.errors import Invalid
from stories.legacy.documents import AnyDocument

TABLES = ("sessions", "story_history", "token_usage")
DOCUMENTS = "documents.jsonl"
MOST_ENTRIES = 100_000
MOST_BYTES = 8 * 1024**3
MOST_RATIO = 100
FREE_BYTES = 64 * 1024**2  # unpacked bytes that are always allowed, whatever the ratio
LONGEST_LINE = 2 * 1024**2  # twice the limit of the old system
CHUNK = 1 << 18
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank. If it cannot be read, ``error`` has the reason and ``raw`` is empty."""

    number: int
    raw: bytes
    error: str = ""


class Snapshot:
    """The zip file at ``path``; raises Invalid when it is not a zip or has no known table."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError):
            raise Invalid(f"{path.name} is not a zip, or it is damaged.") from None
        except OSError as error:
            raise Invalid(f"{path.name}: {error.strerror}.") from None
        try:
            self.tables = find_tables(self._zip.infolist())
        except Invalid:
            self._zip.close()
            raise

    def close(self) -> None:
        self._zip.close()

    @property
    def bytes(self) -> int:
        """The unpacked size of the tables, as the zip declares it."""
        return sum(member.file_size for member in self.tables.values())

    def lines(self, table: str) -> Iterator[Line]:
        """Yields the lines of a table that are not blank, numbered from 1; none if it is missing.

        A line that cannot be read is yielded with an error. After damaged or suspiciously large data
        it is the last one.
        """
        member = self.tables.get(table)
        if member is None:
            return
        splitter = _Splitter()
        try:
            with self._zip.open(member) as stream:
                # The declared size of a member may be false, so the bytes are counted.
                # A zip bomb is found by its ratio; small tables may have any.
                most = min(MOST_BYTES, max(FREE_BYTES, MOST_RATIO * member.compress_size))
                size = 0
                while chunk := stream.read(CHUNK):
                    size += len(chunk)
                    if size > most:
                        yield splitter.error(
                            "It unpacks to far more than an export does; the rest was not read."
                        )
                        return
                    yield from splitter.add(chunk)
                yield from splitter.finish()
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            sentence = "The zip is damaged from here on; the rest could not be read."
            if member.flag_bits & _ENCRYPTED:
                sentence = "It is encrypted."
            elif isinstance(error, NotImplementedError):
                sentence = "Its compression method is not supported."
            yield splitter.error(sentence)


def find_tables(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Returns the member of each table, at the top of the zip or in the folder that was zipped."""
    # The list of entries itself is held in memory.
    if len(entries) > MOST_ENTRIES:
        raise Invalid(f"The zip holds more than {MOST_ENTRIES:,} files.")
    candidates: dict[str, list[zipfile.ZipInfo]] = {}
    for entry in entries:
        parts = PurePosixPath(entry.filename).parts
        if len(parts) < 2 or parts[-1] != DOCUMENTS or parts[-2] not in TABLES:
            continue
        # Not outside of the zip's own folder, and not a table of the same name of a component.
        if not any(part in {"..", "/"} or part.startswith("_") for part in parts):
            candidates.setdefault(parts[-2], []).append(entry)
    tables: dict[str, zipfile.ZipInfo] = {}
    for table, members in candidates.items():
        # A table of the same name that is deeper in the zip belongs to something else.
        depth = min(_depth(member) for member in members)
        highest = [member for member in members if _depth(member) == depth]
        if len(highest) > 1:
            raise Invalid(f"The zip holds the table {table} more than once.")
        tables[table] = highest[0]
    folders = {PurePosixPath(member.filename).parts[:-2] for member in tables.values()}
    if len(folders) > 1:
        raise Invalid("The tables are in different folders of the zip. Zip a single export.")
    if not tables:
        raise Invalid(f"The zip holds none of the tables {', '.join(TABLES)}.")
    return tables


def _depth(member: zipfile.ZipInfo) -> int:
    return len(PurePosixPath(member.filename).parts)


class _Splitter:
    """Splits chunks into numbered lines, holding no more than the limit of a line in memory."""

    def __init__(self) -> None:
        self._number = 0
        self._rest = b""
        self._skipping = False

    def add(self, chunk: bytes) -> Iterator[Line]:
        # The last part is not complete until the next chunk brings its line break.
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for raw in whole:
            yield from self._line(raw)
        # Forget the line, and remember that its end is still to come.
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._skipping = b"", True

    def finish(self) -> Iterator[Line]:
        if self._rest or self._skipping:
            yield from self._line(self._rest)
            self._rest = b""

    def error(self, sentence: str) -> Line:
        return Line(self._number + 1, b"", sentence)

    def _line(self, raw: bytes) -> Iterator[Line]:
        self._number += 1
        if self._skipping or len(raw) > LONGEST_LINE:
            self._skipping = False
            yield Line(self._number, b"", f"It is longer than {LONGEST_LINE // 1024**2} MB.")
            return
        if self._number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")  # byte order mark
        if stripped := raw.strip():
            yield Line(self._number, stripped)


# Large enough that a commit costs little for each row, small enough that no lock is long.
LOT = 2500
LOT_BYTES = 8 * 1024**2
_SCHEMA = """
    CREATE TABLE row (tab TEXT, id TEXT, line INTEGER, session TEXT, at REAL, raw BLOB);
    CREATE UNIQUE INDEX once ON row (tab, id);
"""


class Row(NamedTuple):
    """A row that was read; ``session`` is the old session string, ``raw`` the JSON."""

    table: str
    old_id: str
    line: int
    session: str
    at: datetime
    raw: bytes


class Staging:
    """A SQLite database in a temporary folder, which ``close`` deletes."""

    def __init__(self, folder: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="legacy-", dir=folder)
        self._database = sqlite3.connect(Path(self._folder.name) / "rows", isolation_level=None)
        # The file is worthless after a crash, so nothing is done to make it survive one.
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("PRAGMA temp_store = FILE")
        self._database.executescript(_SCHEMA)
        # One transaction for all rows, as a commit for each would take most of the time.
        self._database.execute("BEGIN")

    def close(self) -> None:
        self._database.close()
        self._folder.cleanup()

    def put(self, table: str, line: int, document: AnyDocument, raw: bytes) -> int:
        """Adds a row and returns 0; or returns the line of an earlier row with the same id."""
        changed = self._database.execute(
            "INSERT OR IGNORE INTO row VALUES (?, ?, ?, ?, ?, ?)",
            (
                table,
                document.old_id,
                line,
                (document.session_id or "").strip(),
                document.at.timestamp(),
                raw,
            ),
        )
        if changed.rowcount:
            return 0
        first = self._database.execute(
            "SELECT line FROM row WHERE tab = ? AND id = ?", (table, document.old_id)
        )
        return int(first.fetchone()[0])

    def count(self, table: str) -> int:
        result = self._database.execute("SELECT COUNT(*) FROM row WHERE tab = ?", (table,))
        return int(result.fetchone()[0])

    def sessions_among(self, old_ids: Collection[str]) -> set[str]:
        """Returns those of the old ids that belong to a session in this file."""
        marks = ", ".join("?" * len(old_ids))
        rows = self._database.execute(
            f"SELECT id FROM row WHERE tab = 'sessions' AND id IN ({marks})",  # noqa: S608
            list(old_ids),
        )
        return {row[0] for row in rows}

    def lots(self, *tables: str) -> Iterator[list[Row]]:
        """Yields all rows of some tables by session and time, in lots for one transaction each."""
        # After all rows are in, which is much faster than an index from the start.
        self._database.execute("CREATE INDEX IF NOT EXISTS sorted ON row (session, at, line)")
        rows = self._database.execute(
            "SELECT tab, id, line, session, at, raw FROM row "  # noqa: S608
            f"WHERE tab IN ({', '.join('?' * len(tables))}) ORDER BY session, at, line",
            tables,
        )
        lot: list[Row] = []
        size = 0
        for table, old_id, line, session, at, raw in rows:
            lot.append(Row(table, old_id, line, session, datetime.fromtimestamp(at, UTC), raw))
            size += len(raw)
            if len(lot) == LOT or size > LOT_BYTES:
                yield lot
                lot, size = [], 0
        if lot:
            yield lot
