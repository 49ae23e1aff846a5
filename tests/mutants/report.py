"""What became of the mutants: the killers that are known, and the table at the end of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutant import Mutant, has_test

KILLERS = Path(__file__).with_name("killers.json")
MIN_KILLED = 95  # per cent


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: the test that failed, or nothing; ``trouble`` when it was not tried."""

    mutant: Mutant
    killed_by: str = ""
    trouble: str = ""

    @property
    def state(self) -> str:
        return "trouble" if self.trouble else "killed" if self.killed_by else "SURVIVED"

    def line(self) -> str:
        text = f"{self.state:9}{self.mutant.file}: {self.mutant.meaning}"
        detail = self.trouble or self.killed_by
        return f"{text}\n         {detail}" if detail else text


def known_killers(root: Path) -> dict[str, str]:
    """Returns the test that killed each mutant, by meaning, as far as the test still exists."""
    found: dict[str, str] = json.loads(KILLERS.read_text("utf-8"))
    return {meaning: test for meaning, test in found.items() if has_test(root, test)}


def keep_killers(outcomes: Iterable[Outcome], listed: Iterable[Mutant]) -> None:
    """Adds the killers of these outcomes to the file, without those of mutants no longer listed."""
    killers: dict[str, str] = json.loads(KILLERS.read_text("utf-8"))
    for outcome in outcomes:
        killers.pop(outcome.mutant.meaning, None)
        if outcome.killed_by:
            # The whole function, because the values of a test change more often than its name.
            killers[outcome.mutant.meaning] = outcome.killed_by.partition("[")[0]
    meanings = {mutant.meaning for mutant in listed}
    kept = {meaning: killers[meaning] for meaning in sorted(killers) if meaning in meanings}
    KILLERS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")


def summarize(mutants: Sequence[Mutant], outcomes: Sequence[Outcome]) -> int:
    """Prints each mutant by area with its killer, and the score; returns the exit status."""
    tried = {outcome.mutant: outcome for outcome in outcomes}
    areas: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        areas.setdefault(mutant.file.rpartition("/")[0], []).append(mutant)
    for area, within in sorted(areas.items()):
        print(f"\n{area}")
        for mutant in within:
            state = tried[mutant].state if mutant in tried else "not run"
            test = tried[mutant].killed_by if mutant in tried else ""
            killer = test.partition("[")[0].rpartition("/")[2]
            print(f"  {state:9}{mutant.meaning}: {killer}".rstrip(": "))
    print(f"\n{'Area':36}  killed  survived  not run")
    for area, within in sorted(areas.items()):
        print(_row(area, within, tried))
    print(_row("All", mutants, tried))
    missed = [outcome for outcome in outcomes if outcome.state != "killed"]
    if missed:
        print("", "Not killed:", *(outcome.line() for outcome in missed), sep="\n")
    killed = len(outcomes) - len(missed)
    print(f"\n{killed} of {len(outcomes)} killed")
    trouble = any(outcome.trouble for outcome in outcomes)
    return 1 if trouble or 100 * killed < MIN_KILLED * len(outcomes) else 0


def _row(name: str, mutants: Sequence[Mutant], tried: Mapping[Mutant, Outcome]) -> str:
    states = [tried[mutant].state for mutant in mutants if mutant in tried]
    killed, survived = states.count("killed"), states.count("SURVIVED")
    return f"{name:36}{killed:8}{survived:10}{len(mutants) - killed - survived:9}"
