"""The list of mutants: a stale one is named, and the score decides the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import report
from tests.mutants.__main__ import applied, try_mutant
from tests.mutants.core import CORE
from tests.mutants.mutant import Mutant, problems
from tests.mutants.pages import PAGES
from tests.mutants.report import Outcome, keep_killers, known_killers, summarize

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
    mutants = [mutant("x = 1", f"x = {number + 2}") for number in range(20)]
    outcomes = [Outcome(m, killed_by="t" if n < killed else "") for n, m in enumerate(mutants)]
    assert summarize(mutants, outcomes) == status
    output = capsys.readouterr().out
    assert output.endswith(f"{killed} of 20 killed\n")
    assert output.count("SURVIVED a.py: a number is wrong") == 20 - killed


def test_a_mutant_that_could_not_be_tried_fails(capsys: pytest.CaptureFixture[str]) -> None:
    mutants = [mutant("x = 1", f"x = {number + 2}") for number in range(100)]
    outcomes = [Outcome(one, killed_by="t") for one in mutants[:99]]
    assert summarize(mutants, [*outcomes, Outcome(mutants[99], trouble="no such module")]) == 1
    assert "no such module" in capsys.readouterr().out


def test_the_table_names_the_killers_and_counts_by_area(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = Mutant("posts/queue.py", "a", "b", TESTS, "a post waits for ever")
    two = Mutant("posts/queue.py", "a", "c", TESTS, "a post is lost")
    three = Mutant("static/js/live.js", "a", "b", TESTS, "a frame is lost")
    outcomes = [Outcome(one, killed_by="tests/posts/test_queue.py::test_waits[a/b]"), Outcome(two)]
    assert summarize([one, two, three], outcomes) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "  killed   a post waits for ever: test_queue.py::test_waits" in lines
    assert "  SURVIVED a post is lost" in lines
    assert "  not run  a frame is lost" in lines
    counts = [line.split() for line in lines if line.startswith(("posts ", "static/js ", "All "))]
    assert counts == [
        ["posts", "1", "1", "0"],
        ["static/js", "0", "0", "1"],
        ["All", "1", "1", "1"],
    ]


def test_killers_are_remembered_by_meaning(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "killers.json"
    path.write_text(
        '{"gone": "tests/test_a.py::test_b", "other": "tests/test_a.py::test_renamed",'
        ' "survives now": "tests/test_a.py::test_b"}'
    )
    monkeypatch.setattr(report, "KILLERS", path)
    new, other, survivor = (
        Mutant("a.py", "x = 1", "x = 2", TESTS, meaning)
        for meaning in ("a number is wrong", "other", "survives now")
    )
    outcomes = [Outcome(new, killed_by="tests/test_a.py::test_b[1-2]"), Outcome(survivor)]
    keep_killers(outcomes, [new, other, survivor])
    assert path.read_text() == (
        '{\n "a number is wrong": "tests/test_a.py::test_b",\n'
        ' "other": "tests/test_a.py::test_renamed"\n}\n'
    )
    # A test that is no longer there cannot be tried first.
    assert known_killers(root) == {"a number is wrong": "tests/test_a.py::test_b"}


@pytest.mark.slow
def test_the_last_killer_is_tried_first_and_then_all_tests(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The small tree has no settings, and needs one of the plugins.
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_timeout")
    one = mutant("x = 1", "x = 9", tests=("tests/test_a.py",))
    tests = "import a\n\ndef test_b(): assert a.x == 1\n\ndef test_c(): assert a.y == {}\n"
    (root / "tests" / "test_a.py").write_text(tests.format(2))
    killed = try_mutant(one, root, root, "tests/test_a.py::test_b")
    assert (killed.killed_by, killed.trouble) == ("tests/test_a.py::test_b", "")
    killed = try_mutant(one, root, root, "tests/test_a.py::test_c")
    assert (killed.killed_by, killed.trouble) == ("tests/test_a.py::test_b", "")
    # A test that fails in any case has killed nothing.
    two = mutant("z = 2", "z = 3", tests=("tests/test_a.py::test_c",))
    (root / "tests" / "test_a.py").write_text(tests.format(3))
    survived = try_mutant(two, root, root, "tests/test_a.py::test_b")
    assert survived.trouble == "tests/test_a.py::test_c fails without the mutant, too"


def test_the_list_is_current() -> None:
    """Change the snippet in tests/mutants when the code of a mutant changes."""
    assert problems([*CORE, *PAGES]) == []
    meanings = [each.meaning for each in (*CORE, *PAGES)]
    assert sorted(set(meanings)) == sorted(meanings)
