"""``make test``: the halves run side by side, and are read one after the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.endtoend.running import PATIENCE, ROOT, eventually
from tests.halves import AGAIN, quick_to_start

RUN = (
    "import sys; from tests.halves import Half, Halves;"
    "one, two, three = (Half(each, (f'test_{each}.py',)) for each in ('one', 'two', 'three'));"
    "sys.exit(Halves([[one], [two, three]], sys.argv[1:]).run())"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one", "two", "three"):
        write(tmp_path, name, "print('told by', __name__)")
    return tmp_path


def write(folder: Path, name: str, line: str) -> None:
    text = f"import pathlib, time\ndef test_{name}():\n    {line}\n"
    (folder / f"test_{name}.py").write_text(text)


def begun(folder: Path, *more: str, again: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *more], cwd=folder, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
             "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTEST_ADDOPTS": "", AGAIN: again},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, text


def test_all_halves_are_shown_one_after_the_other(folder: Path) -> None:
    code, text = ended(begun(folder, "-s"))
    assert code == 0
    told = [line.split()[-1] for line in text.splitlines() if "told by" in line]
    assert [name.rstrip(".") for name in told] == ["test_one", "test_two", "test_three"]


@pytest.mark.parametrize("name", ["one", "three"])
def test_a_failure_in_any_half_is_the_answer(folder: Path, name: str) -> None:
    write(folder, name, "assert not 'broken'")
    code, text = ended(begun(folder))
    assert code == 1
    assert (text.count("1 passed"), text.count("1 failed")) == (2, 1)


@pytest.mark.parametrize(("outcome", "code"), [("path.exists()", 0), ("False", 1)])
def test_what_failed_is_run_once_more_where_that_is_wanted(
    folder: Path, outcome: str, code: int
) -> None:
    write(
        folder, "two", f"path = pathlib.Path('ran'); found = {outcome}; path.touch(); assert found"
    )
    found, text = ended(begun(folder, again="1"))
    assert found == code
    assert text.count("test_two.py::test_two") >= 1
    assert (text.count("1 failed"), text.count("1 passed")) == (1 + code, 3 - code)


def test_a_half_in_which_nothing_is_chosen_is_no_failure(folder: Path) -> None:
    assert ended(begun(folder, "-k", "two"))[0] == 0


def test_a_half_without_any_test_is_a_failure(folder: Path) -> None:
    (folder / "test_two.py").write_text("")
    code, text = ended(begun(folder))
    assert (code, text.count("no tests ran")) == (5, 1)


def test_whoever_ends_the_run_ends_all_halves(folder: Path) -> None:
    for name in ("one", "two"):
        write(folder, name, f"pathlib.Path('{name}').touch(); time.sleep(600)")
    process = begun(folder)
    eventually("both run", lambda: (folder / "one").exists() and (folder / "two").exists())
    process.send_signal(signal.SIGTERM)
    code, text = ended(process)
    assert code != 0
    assert text.count("KeyboardInterrupt") >= 2
    assert "test_three" not in text


def test_where_no_bytecode_may_be_written_it_is_kept_in_the_virtual_environment() -> None:
    assert quick_to_start({"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home"}) == {
        "HOME": "/home",
        "PYTHONPYCACHEPREFIX": f"{sys.prefix}/bytecode",
    }
    assert quick_to_start({"HOME": "/home"}) == {"HOME": "/home"}
