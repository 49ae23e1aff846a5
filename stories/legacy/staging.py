"""The staging file of an import, which sorts the rows on disk between reading and storing them."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from stories.legacy.documents import AnyDocument

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
