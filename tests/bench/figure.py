"""One measured figure beside what it has to reach."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    measured: float
    most: float
    unit: str

    @property
    def reached(self) -> bool:
        return self.measured <= self.most

    def line(self) -> str:
        verdict = "ok  " if self.reached else "MISS"
        return f"{verdict} {self.name}: {self.measured:.3g} {self.unit} (at most {self.most:g})"


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` (0..1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
