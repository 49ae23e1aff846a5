"""What became of every row of an import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from stories.legacy.archive import DOCUMENTS, TABLES


class Outcome(StrEnum):
    IMPORTED = "imported"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    THERE = "already there"


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that found no session, or was not taken: where it stands and why."""

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
    """Rows by table and outcome; ``reasons`` are those of quarantine, ``left_out`` of sessions."""

    missing: list[str] = field(default_factory=list)
    rows: dict[str, Counter[Outcome]] = field(
        default_factory=lambda: {table: Counter() for table in TABLES}
    )
    reasons: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def read(self, table: str) -> int:
        return sum(self.rows[table].values())

    def total(self, outcome: Outcome) -> int:
        return sum(each[outcome] for each in self.rows.values())

    def lines(self) -> Iterator[str]:
        """The report as a table, and what is worth knowing beside it."""
        yield "".join(["table".ljust(14), "read".rjust(12), *(o.rjust(15) for o in Outcome)])
        for table in TABLES:
            yield self._line(table, self.read(table), self.rows[table])
        whole = Counter({outcome: self.total(outcome) for outcome in Outcome})
        yield self._line("all", sum(whole.values()), whole)
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
            yield f"Settings without an equal here were left out: {dropped}."

    @staticmethod
    def _line(name: str, read: int, counts: Counter[Outcome]) -> str:
        return f"{name:14}{read:>12,}" + "".join(f"{counts[each]:>15,}" for each in Outcome)
