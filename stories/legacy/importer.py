"""An import of the old system's snapshot: read and sort first, then store in short transactions.

Whatever stops it, starting again goes on: a row is known by its old id.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import chain
from pathlib import Path

from django.contrib.auth.models import User

from sessions_app.errors import Invalid
from stories.legacy import mapping, writer
from stories.legacy.archive import TABLES, Line, Snapshot
from stories.legacy.documents import read
from stories.legacy.report import Finding, Outcome, Report
from stories.legacy.staging import Staging
from stories.legacy.writer import KINDS, SESSIONS, Stored

Tell = Callable[[Finding], None]
Watch = Callable[[str, int, int], None]  # what is being done, how much of it, of how much
EVERY = 1000  # lines


class Import:
    """One run over one snapshot; a dry one finds out the same and writes nothing.

    ``tell`` gets each row that was rejected or found no session, ``watch`` the progress.
    """

    def __init__(
        self, snapshot: Snapshot, owner: User, tell: Tell, watch: Watch, *, dry: bool = False
    ) -> None:
        self._snapshot = snapshot
        self._owner = owner
        self._tell = tell
        self._watch = watch
        self._dry = dry
        self._report = Report([name for name in TABLES if name not in snapshot.tables])

    def run(self, folder: Path) -> Report:
        """Import all; the rows wait in a file in ``folder`` while they are sorted."""
        with closing(Staging(folder)) as staging:
            self._read(staging)
            self._store(staging)
        return self._report

    def _read(self, staging: Staging) -> None:
        done = 0
        for table in TABLES:
            for line in self._snapshot.lines(table):
                if why := _stage(staging, table, line):
                    self._report.rows[table][Outcome.REJECTED] += 1
                    self._tell(Finding(Outcome.REJECTED, table, line.number, "", why))
                done += len(line.raw) + 1
                if line.number % EVERY == 0:
                    self._watch("read, bytes", done, self._snapshot.bytes)
        self._watch("read, bytes", self._snapshot.bytes, self._snapshot.bytes)

    def _store(self, staging: Staging) -> None:
        done, total = 0, sum(map(staging.count, TABLES))
        for lot in chain(staging.lots(SESSIONS), staging.lots(*KINDS)):
            if self._dry:
                found = writer.foretell(lot, staging.sessions_among)
            else:
                found = writer.store(lot, self._owner)
            self._count(found)
            done += len(lot)
            self._watch("stored, rows", done, total)

    def _count(self, found: Stored) -> None:
        for (table, outcome), number in found.counts.items():
            self._report.rows[table][outcome] += number
        self._report.left_out.update(found.left_out)
        for row in found.orphans:
            why = mapping.why_homeless(row.session)
            self._report.reasons[why] += 1
            self._tell(Finding(Outcome.QUARANTINED, row.table, row.line, row.old_id, why))


def _stage(staging: Staging, table: str, line: Line) -> str:
    """Keep the row of a line for later, or say why it is none."""
    if line.error:
        return line.error
    try:
        document = read(table, line.raw)
    except Invalid as error:
        return error.sentence
    earlier = staging.put(table, line.number, document, line.raw)
    return f"_id: line {earlier} has the same." if earlier else ""
