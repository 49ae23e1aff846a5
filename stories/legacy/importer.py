"""The import of a snapshot of the old system: reads and sorts first, then stores in lots.

An import that was interrupted can be started again: rows are known by their old ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, groupby
from pathlib import Path

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from sessions_app.errors import Invalid
from stories.legacy import attach, mapping
from stories.legacy.archive import DOCUMENTS, TABLES, Line, Row, Snapshot, Staging
from stories.legacy.documents import SessionDocument, StoryDocument, UsageDocument, read
from stories.legacy.mapping import Rows
from stories.models import Story, TokenUsage
from stories.quarantine import records
from stories.quarantine.records import Orphan

SESSIONS = "sessions"
KINDS = {"story_history": "story", "token_usage": "usage"}
MODELS: dict[str, type[Story | TokenUsage]] = {"story_history": Story, "token_usage": TokenUsage}
TRIES = 3
EVERY = 1000  # lines between two reports of progress

StagedSessions = Callable[[Collection[str]], set[str]]
OnProgress = Callable[[str, int, int], None]  # the phase, how much is done, and of how much


class Outcome(StrEnum):
    """The outcome of a row."""

    IMPORTED = "imported"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    EXISTING = "already there"


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that was rejected or has no session: its place and the reason."""

    outcome: Outcome
    table: str
    line: int
    old_id: str
    reason: str

    @property
    def place(self) -> str:
        return place(self.table, self.line)


def place(table: str, line: int) -> str:
    return f"{table}/{DOCUMENTS}:{line}"


@dataclass(slots=True)
class Report:
    """Counts of rows by table and outcome, of rows by reason in quarantine, and of lost settings."""

    missing: list[str] = field(default_factory=list)
    rows: dict[str, Counter[Outcome]] = field(
        default_factory=lambda: {table: Counter() for table in TABLES}
    )
    reasons: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def read(self, table: str) -> int:
        return sum(self.rows[table].values())

    def total(self, outcome: Outcome) -> int:
        return sum(counts[outcome] for counts in self.rows.values())

    def lines(self) -> Iterator[str]:
        """Yields the report as a table, followed by remarks."""
        yield "".join(["table".ljust(14), "read".rjust(12), *(o.rjust(15) for o in Outcome)])
        for table in TABLES:
            yield self._line(table, self.read(table), self.rows[table])
        totals = Counter({outcome: self.total(outcome) for outcome in Outcome})
        yield self._line("all", sum(totals.values()), totals)
        for table in self.missing:
            yield f"The table {table} is not in the zip."
        for reason, number in self.reasons.most_common():
            yield f"Quarantine: {number:,} rows. {reason}"
        stopped = self.left_out["stopped"]
        if stopped:
            yield f"Sessions that were not idle are stopped: {stopped:,}."
        names = sorted(name for name in self.left_out if name != "stopped")
        if names:
            dropped = ", ".join(name.removeprefix("setting ") for name in names)
            yield f"Settings that do not exist here were left out: {dropped}."

    @staticmethod
    def _line(name: str, read: int, counts: Counter[Outcome]) -> str:
        return f"{name:14}{read:>12,}" + "".join(f"{counts[outcome]:>15,}" for outcome in Outcome)


OnFinding = Callable[[Finding], None]


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
            stored = predict(lot, staging.sessions_among) if self._dry else store(lot, self._owner)
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


@dataclass(frozen=True, slots=True)
class Stored:
    """The result for a lot: rows by table and outcome, rows without a session, lost settings."""

    counts: Counter[tuple[str, Outcome]]
    orphans: Sequence[Row] = ()
    left_out: Counter[str] = field(default_factory=Counter)


def store(lot: Sequence[Row], owner: User) -> Stored:
    """Stores the rows of the lot that are not stored yet; a lot has sessions, or rows of sessions.

    Tries again when another import stored the same rows first.
    """
    for _ in range(TRIES - 1):
        try:
            return _store(lot, owner)
        except IntegrityError:
            # The rows that the other import stored are found by the next try and left out.
            continue
    return _store(lot, owner)


def _store(lot: Sequence[Row], owner: User) -> Stored:
    # Rows, figures and events of a lot are stored together, so no lot is half imported.
    with transaction.atomic():
        new = _new_rows(lot)
        if lot[0].table == SESSIONS:
            documents = _session_documents(new)
            mapping.create_sessions(documents, owner)
            return Stored(_counts(lot, new, ()), left_out=mapping.left_out(documents))
        sessions = mapping.imported_sessions(row.session for row in new)
        orphans = [row for row in new if row.session not in sessions]
        for table, kind in KINDS.items():
            orphans_of_kind = (
                Orphan(
                    row.old_id,
                    row.session,
                    mapping.why_without_session(row.session),
                    row.at,
                    place(row.table, row.line),
                    row.raw,
                )
                for row in _of_table(table, orphans)
            )
            records.put_orphans(kind, orphans_of_kind, owner)
        with_session = (row for row in new if row.session in sessions)
        for old_session, group in groupby(with_session, lambda row: row.session):
            session, rows = sessions[old_session], list(group)
            make = Rows(session)
            stories = [
                make.story(StoryDocument.model_validate_json(row.raw))
                for row in _of_table("story_history", rows)
            ]
            usage = [
                make.usage(UsageDocument.model_validate_json(row.raw))
                for row in _of_table("token_usage", rows)
            ]
            attach.join(session, stories, usage)
        return Stored(_counts(lot, new, orphans), orphans)


def predict(lot: Sequence[Row], staged_sessions: StagedSessions) -> Stored:
    """Returns what ``store`` would do; ``staged_sessions`` finds sessions of the same import."""
    new = _new_rows(lot)
    if lot[0].table == SESSIONS:
        left_out = mapping.left_out(_session_documents(new))
        return Stored(_counts(lot, new, ()), left_out=left_out)
    old_ids = {row.session for row in new}
    sessions = mapping.imported_sessions(old_ids).keys() | staged_sessions(old_ids)
    orphans = [row for row in new if row.session not in sessions]
    return Stored(_counts(lot, new, orphans), orphans)


def _new_rows(lot: Sequence[Row]) -> list[Row]:
    """Returns the rows that are neither in a session nor in quarantine."""
    existing: set[tuple[str, str]] = set()
    for table in {row.table for row in lot}:
        ids = [row.old_id for row in _of_table(table, lot)]
        if table == SESSIONS:
            stored = set(mapping.imported_sessions(ids))
        else:
            # By the partial unique index on legacy_id, a lot at a time.
            rows = MODELS[table]._default_manager.filter(legacy_id__in=ids)
            stored = set(map(str, rows.values_list("legacy_id", flat=True)))
            # A record that was adopted or discarded since is not put into quarantine again.
            stored |= records.stored_ids(KINDS[table], ids)
        existing |= {(table, old_id) for old_id in stored}
    return [row for row in lot if (row.table, row.old_id) not in existing]


def _of_table(table: str, rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row.table == table)


def _counts(
    lot: Sequence[Row], new: Sequence[Row], orphans: Sequence[Row]
) -> Counter[tuple[str, Outcome]]:
    """Counts the rows of the lot by table and outcome."""
    outcomes = {(row.table, row.old_id): Outcome.IMPORTED for row in new}
    outcomes |= {(row.table, row.old_id): Outcome.QUARANTINED for row in orphans}
    return Counter(
        (row.table, outcomes.get((row.table, row.old_id), Outcome.EXISTING)) for row in lot
    )


def _session_documents(rows: Sequence[Row]) -> list[SessionDocument]:
    return [SessionDocument.model_validate_json(row.raw) for row in rows]
