"""The list of mutants: a stale one is named, and the score decides the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import Outcome, applied, summarize
from tests.mutants.mutant import Mutant, problems

TESTS = ("tests/test_a.py::test_b",)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("x = 1\ny = 2\nz = 2\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("def test_b() -> None: ...\n")
    return tmp_path


def mutant(original: str, replacement: str = "q = 3", tests: tuple[str, ...] = TESTS) -> Mutant:
    return Mutant("a.py", original, replacement, tests, "a number is wrong")


def test_a_mutant_whose_code_is_there_once_has_no_problem(root: Path) -> None:
    assert problems([mutant("x = 1")], root) == []


@pytest.mark.parametrize(
    ("stale", "problem"),
    [
        (mutant("x = 5"), "a.py: found 0 times instead of once: 'x = 5'"),
        (mutant(" = 2"), "a.py: found 2 times instead of once: ' = 2'"),
        (mutant("x = 1", "x = 1"), "a.py: the replacement is the same as the original: 'x = 1'"),
        (
            mutant("x = 1", tests=("tests/test_a.py::test_c",)),
            "a.py: no such test: tests/test_a.py::test_c",
        ),
    ],
)
def test_a_stale_mutant_is_named(root: Path, stale: Mutant, problem: str) -> None:
    assert problems([stale], root) == [problem]


def test_a_mutant_is_applied_and_the_original_is_put_back(root: Path) -> None:
    path = root / "a.py"
    before = path.stat().st_mtime
    with applied(mutant("x = 1", "x = 9"), root):
        assert path.read_text() == "x = 9\ny = 2\nz = 2\n"
        # Of the same size, so only the time tells Python that its bytecode is out of date.
        assert path.stat().st_mtime != before
    assert path.read_text() == "x = 1\ny = 2\nz = 2\n"


@pytest.mark.parametrize(("killed", "status"), [(20, 0), (19, 0), (18, 1)])
def test_less_than_95_per_cent_fail(
    killed: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    one = mutant("x = 1")
    outcomes = [Outcome(one, killed_by="t" if number < killed else "") for number in range(20)]
    assert summarize(outcomes) == status
    output = capsys.readouterr().out
    assert output.endswith(f"{killed} of 20 killed\n")
    assert output.count("SURVIVED a.py: a number is wrong") == 20 - killed


def test_a_mutant_that_could_not_be_tried_fails(capsys: pytest.CaptureFixture[str]) -> None:
    one = mutant("x = 1")
    outcomes = [Outcome(one, killed_by="t")] * 99 + [Outcome(one, trouble="no such module")]
    assert summarize(outcomes) == 1
    assert "no such module" in capsys.readouterr().out
