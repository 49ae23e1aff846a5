"""The report of an import: the outcome of every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from stories.legacy.archive import DOCUMENTS, TABLES


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
