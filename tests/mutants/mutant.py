"""A mutant, and the check that the code it changes is still there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Mutant:
    """Replaces ``original``, which occurs once in ``file``; one of ``tests`` must then fail.

    ``changes_schema``: the error shows in the tables or triggers, so the database is migrated with it.
    """

    file: str
    original: str
    replacement: str
    tests: tuple[str, ...]
    meaning: str
    changes_schema: bool = False

    def problem(self, root: Path = ROOT) -> str:
        """Returns why the mutant cannot be applied, or an empty string."""
        path = root / self.file
        count = path.read_text("utf-8").count(self.original) if path.is_file() else 0
        if count != 1:
            return f"{self.file}: found {count} times instead of once: {self.original!r}"
        if self.original == self.replacement:
            return f"{self.file}: the replacement is the same as the original: {self.original!r}"
        for test in self.tests:
            if not has_test(root, test):
                return f"{self.file}: no such test: {test}"
        return ""

    def applied(self, root: Path) -> str:
        """Returns the text of the file with the error in it."""
        return (root / self.file).read_text("utf-8").replace(self.original, self.replacement)


def has_test(root: Path, test: str) -> bool:
    """Whether the file of a test id exists, and the function where it names one."""
    name, _, function = test.partition("::")
    path = root / name
    return path.is_file() and f"def {function.partition('[')[0]}" in path.read_text("utf-8")


def problems(mutants: Iterable[Mutant], root: Path = ROOT) -> list[str]:
    """Returns why mutants of the list cannot be applied; stale ones name their snippet."""
    return [problem for mutant in mutants if (problem := mutant.problem(root))]


def mutants_of(
    file: str, tests: tuple[str, ...], *rows: tuple[str, str, str], changes_schema: bool = False
) -> list[Mutant]:
    """Returns the mutants of one file: rows of original, replacement and meaning."""
    return [
        Mutant(file, original, replacement, tests, meaning, changes_schema)
        for original, replacement, meaning in rows
    ]
