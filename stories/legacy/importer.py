"""The import of a snapshot of the old system: reads and sorts first, then stores in lots.

An import that was interrupted can be started again: rows are known by their old ids.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import chain
from pathlib import Path

from django.contrib.auth.models import User

from sessions_app.errors import Invalid
from stories.legacy import mapping, writer
from stories.legacy.archive import TABLES, Line, Snapshot, Staging
from stories.legacy.documents import read
from stories.legacy.writer import KINDS, SESSIONS, Finding, Outcome, Report

OnFinding = Callable[[Finding], None]
OnProgress = Callable[[str, int, int], None]  # the phase, how much is done, and of how much
EVERY = 1000  # lines between two reports of progress


class Import:
    """One run over one snapshot; a dry run reports the same and writes nothing.

    ``on_finding`` is called for each row that is rejected or has no session.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        owner: User,
        on_finding: OnFinding,
        on_progress: OnProgress,
        *,
        dry: bool = False,
    ) -> None:
        self._snapshot = snapshot
        self._owner = owner
        self._on_finding = on_finding
        self._on_progress = on_progress
        self._dry = dry
        self._report = Report([name for name in TABLES if name not in snapshot.tables])

    def run(self, folder: Path) -> Report:
        """Imports everything; the rows are sorted in a temporary file in ``folder``."""
        with closing(Staging(folder)) as staging:
            self._read_lines(staging)
            self._store_rows(staging)
        return self._report

    def _read_lines(self, staging: Staging) -> None:
        done = 0
        for table in TABLES:
            for line in self._snapshot.lines(table):
                if error := stage(staging, table, line):
                    self._report.rows[table][Outcome.REJECTED] += 1
                    self._on_finding(Finding(Outcome.REJECTED, table, line.number, "", error))
                # The line break counts too.
                done += len(line.raw) + 1
                if line.number % EVERY == 0:
                    self._on_progress("read, bytes", done, self._snapshot.bytes)
        self._on_progress("read, bytes", self._snapshot.bytes, self._snapshot.bytes)

    def _store_rows(self, staging: Staging) -> None:
        done, total = 0, sum(map(staging.count, TABLES))
        # Sessions first, so that the rows of a session find it.
        for lot in chain(staging.lots(SESSIONS), staging.lots(*KINDS)):
            if self._dry:
                stored = writer.predict(lot, staging.sessions_among)
            else:
                stored = writer.store(lot, self._owner)
            for (table, outcome), number in stored.counts.items():
                self._report.rows[table][outcome] += number
            self._report.left_out.update(stored.left_out)
            for row in stored.orphans:
                reason = mapping.why_without_session(row.session)
                self._report.reasons[reason] += 1
                self._on_finding(
                    Finding(Outcome.QUARANTINED, row.table, row.line, row.old_id, reason)
                )
            done += len(lot)
            self._on_progress("stored, rows", done, total)


def stage(staging: Staging, table: str, line: Line) -> str:
    """Puts the row of a line into the staging file; returns the error of a line that has none."""
    if line.error:
        return line.error
    try:
        document = read(table, line.raw)
    except Invalid as error:
        return error.sentence
    earlier = staging.put(table, line.number, document, line.raw)
    return f"_id: line {earlier} has the same." if earlier else ""
