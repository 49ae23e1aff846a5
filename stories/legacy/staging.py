"""Where an import's rows wait, sorted, between being read and being stored: a file, not memory."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from stories.legacy.documents import AnyDocument

LOT = 2500
LOT_BYTES = 8 * 1024**2
_SCHEMA = """
    CREATE TABLE row (tab TEXT, id TEXT, line INTEGER, session TEXT, at REAL, raw BLOB);
    CREATE UNIQUE INDEX once ON row (tab, id);
"""


class Row(NamedTuple):
    """A row that was read: its table, old id, line, old session string, moment and text."""

    table: str
    old_id: str
    line: int
    session: str
    at: datetime
    raw: bytes


class Staging:
    """A database of its own in a temporary folder, gone at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="legacy-", dir=folder)
        self._base = sqlite3.connect(Path(self._folder.name) / "rows", isolation_level=None)
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("PRAGMA synchronous = OFF")
        self._base.execute("PRAGMA temp_store = FILE")
        self._base.executescript(_SCHEMA)
        self._base.execute("BEGIN")

    def close(self) -> None:
        self._base.close()
        self._folder.cleanup()

    def put(self, table: str, line: int, document: AnyDocument, raw: bytes) -> int:
        """Keep a row, and return 0; or the line of the row that has the same id already."""
        changed = self._base.execute(
            "INSERT OR IGNORE INTO row VALUES (?, ?, ?, ?, ?, ?)",
            (table, document.old_id, line, (document.session_id or "").strip(),
             document.at.timestamp(), raw),
        )  # fmt: skip
        if changed.rowcount:
            return 0
        first = self._base.execute(
            "SELECT line FROM row WHERE tab = ? AND id = ?", (table, document.old_id)
        )
        return int(first.fetchone()[0])

    def count(self, table: str) -> int:
        found = self._base.execute("SELECT COUNT(*) FROM row WHERE tab = ?", (table,))
        return int(found.fetchone()[0])

    def sessions_among(self, named: Collection[str]) -> set[str]:
        """Those of the old ids of which the row of a session waits here."""
        marks = ", ".join("?" * len(named))
        found = self._base.execute(
            f"SELECT id FROM row WHERE tab = 'sessions' AND id IN ({marks})",  # noqa: S608
            list(named),
        )
        return {each[0] for each in found}

    def lots(self, *tables: str) -> Iterator[list[Row]]:
        """All rows of some tables by session and moment, in lots that a transaction can take."""
        self._base.execute("CREATE INDEX IF NOT EXISTS sorted ON row (session, at, line)")
        rows = self._base.execute(
            "SELECT tab, id, line, session, at, raw FROM row "  # noqa: S608
            f"WHERE tab IN ({', '.join('?' * len(tables))}) ORDER BY session, at, line",
            tables,
        )
        lot: list[Row] = []
        size = 0
        for table, old_id, line, session, at, raw in rows:
            moment = datetime.fromtimestamp(at, UTC)
            lot.append(Row(table, old_id, line, session, moment, raw))
            size += len(raw)
            if len(lot) == LOT or size > LOT_BYTES:
                yield lot
                lot, size = [], 0
        if lot:
            yield lot
