"""``make test``: lanes run side by side, their output is shown in order, flaky tests are named."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.endtoend.studio_process import PATIENCE, ROOT, eventually
from tests.lanes import slow_lanes, with_bytecode

RUN_LANES = (
    "import pathlib, sys; from tests.lanes import Run, Suite;"
    "names = sorted(path.name for path in pathlib.Path().glob('test_*.py'));"
    "runs = tuple(Run(name.removesuffix('.py'), (name,)) for name in names);"
    "sys.exit(Suite([runs[:1], runs[1:]], sys.argv[2:], sys.argv[1]).run())"
)
FAILS_ONCE = "path = pathlib.Path('{name}-ran'); ran = path.exists(); path.touch(); assert ran"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three test files, each with one test that passes."""
    for name in ("first", "second", "third"):
        write(tmp_path, name, "print('output of', __name__)")
    return tmp_path


def write(folder: Path, name: str, *bodies: str) -> None:
    """Write a test file with one test for each body."""
    tests = [f"def test_{name}_{number}():\n    {body}\n" for number, body in enumerate(bodies)]
    (folder / f"test_{name}.py").write_text("import pathlib, time\n\n" + "\n".join(tests))


def start_lanes(
    folder: Path, *arguments: str, rerun_failed: str = "", slow: str = "out"
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN_LANES, slow, *arguments],
        cwd=folder,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "-p randomly",
            "SMNB_RERUN_FAILED": rerun_failed,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status and the whole output."""
    text, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, text


def last_lines(text: str) -> list[str]:
    """The lines of the summary after the seed."""
    lines = text.splitlines()
    [seed] = [number for number, line in enumerate(lines) if line.startswith("seed: ")]
    return lines[seed + 1 :]


def test_all_lanes_are_shown_in_order_with_their_seed_at_the_end(folder: Path) -> None:
    status, text = finish(start_lanes(folder, "-s"))
    assert status == 0
    seed = text.splitlines()[-1].removeprefix("seed: ")
    assert seed.isdecimal()
    assert text.count(f"Using --randomly-seed={seed}\n") == 3
    shown = [line.split()[-1] for line in text.splitlines() if "output of" in line]
    assert [name.rstrip(".") for name in shown] == ["test_first", "test_second", "test_third"]


@pytest.mark.slow
def test_a_failure_in_the_last_lane_fails_the_suite(folder: Path) -> None:
    """In file order; the first lane is the next test."""
    (folder / "test_second.py").unlink()
    write(folder, "third", "assert not 'broken'")
    status, text = finish(start_lanes(folder, "-p", "no:randomly"))
    assert status == 1
    assert (text.count("1 passed"), text.count("1 failed")) == (1, 1)
    assert "randomly-seed" not in text
    assert "seed: none, tests ran in file order" in text.splitlines()


@pytest.mark.slow
def test_a_failed_test_is_not_repeated_by_default_and_not_named_as_flaky_later(
    tmp_path: Path,
) -> None:
    write(tmp_path, "second", FAILS_ONCE.format(name="second"))
    status, text = finish(start_lanes(tmp_path))
    assert status == 1
    assert (text.count("1 failed"), text.count("1 passed")) == (1, 0)
    assert last_lines(text) == []
    write(tmp_path, "third", FAILS_ONCE.format(name="third"))
    status, text = finish(start_lanes(tmp_path, "-k", "third", rerun_failed="1"))
    assert status == 0
    assert last_lines(text) == ["flaky: test_third.py::test_third_0"]


@pytest.mark.slow
def test_a_test_that_fails_twice_fails_the_suite(tmp_path: Path) -> None:
    write(tmp_path, "second", "assert not 'broken'", FAILS_ONCE.format(name="second"))
    status, text = finish(start_lanes(tmp_path, rerun_failed="1"))
    assert status == 1
    assert (text.count("2 failed"), text.count("1 failed, 1 passed")) == (1, 1)
    assert last_lines(text) == ["flaky: test_second.py::test_second_1"]


@pytest.mark.slow
def test_more_than_two_flaky_tests_in_all_lanes_fail_the_suite(tmp_path: Path) -> None:
    """Two in one lane do not; with one more in another lane they do."""
    names = [f"flaky: test_third.py::test_third_{number}" for number in range(2)]
    for lanes in (("third",), ("first", "third")):
        folder = tmp_path / lanes[0]
        folder.mkdir()
        for lane in lanes:
            bodies = [FAILS_ONCE.format(name=f"{lane}-{number}") for number in range(2)]
            write(folder, lane, *bodies[: 2 if lane == "third" else 1])
        status, text = finish(start_lanes(folder, rerun_failed="1"))
        found = (status, text.count("2 failed"), text.count("1 failed"), last_lines(text))
        first = ["flaky: test_first.py::test_first_0"] * (lanes[0] == "first")
        assert found == (len(first), 1, len(first), [*first, *names])


@pytest.mark.slow
def test_a_given_seed_is_used_and_a_run_in_which_no_test_is_selected_is_no_failure(
    folder: Path,
) -> None:
    (folder / "test_third.py").unlink()
    status, text = finish(start_lanes(folder, "-k", "second", "--randomly-seed=42"))
    assert status == 0
    assert text.count("Using --randomly-seed=42\n") == 2
    assert text.splitlines()[-1] == "seed: 42"


@pytest.mark.slow
def test_a_run_without_any_test_is_a_failure(folder: Path) -> None:
    (folder / "test_second.py").write_text("")
    (folder / "test_third.py").unlink()
    status, text = finish(start_lanes(folder))
    assert (status, text.count("no tests ran")) == (5, 1)


@pytest.mark.slow
def test_slow_tests_are_counted_when_left_out_and_run_alone_when_asked_for(tmp_path: Path) -> None:
    """Repeating a failed test collects fewer tests, which changes the count of no run."""
    write(tmp_path, "second", "pass", "pass", FAILS_ONCE.format(name="second"))
    write(tmp_path, "third", "pass", "pass")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers = slow: x\naddopts = --strict-markers\n"
    )
    for name, slow in (("second", (0, 1)), ("third", (1,))):
        path = tmp_path / f"test_{name}.py"
        text = path.read_text().replace("import pathlib", "import pytest, pathlib")
        for number in slow:
            function = f"def test_{name}_{number}"
            text = text.replace(function, f"@pytest.mark.slow\n{function}")
        path.write_text(text)
    status, text = finish(start_lanes(tmp_path, rerun_failed="1"))
    flaky = "flaky: test_second.py::test_second_2"
    found = (status, text.count("1 failed"), text.count("1 passed"), last_lines(text))
    left_out = "slow tests left out: 3; `make chaos` runs them"
    assert found == (0, 1, 2, [flaky, left_out])
    status, text = finish(start_lanes(tmp_path, slow="only"))
    assert (status, last_lines(text)) == (0, [])
    assert (text.count("2 passed, 1 deselected"), text.count("1 passed, 1 deselected")) == (1, 1)
    # What -k leaves out is not counted a second time.
    status, text = finish(start_lanes(tmp_path, "-k", "third_0 or second_0"))
    assert (status, last_lines(text)) == (0, ["slow tests left out: 1; `make chaos` runs them"])


def test_slow_lanes_have_only_files_with_slow_tests_and_each_of_them() -> None:
    lanes = [run for lane in slow_lanes() for run in lane]
    paths = {run.name: run.paths for run in lanes}
    assert list(paths) == ["sqlite", "postgres", "sqlite-broadcast", "endtoend", "browser"]
    assert "tests/smnb/test_upgrade.py" in paths["sqlite"]
    assert "tests/endtoend/test_deploy.py" in paths["endtoend"]
    for name, folder in (("sqlite-broadcast", "broadcast"), ("endtoend", "endtoend")):
        assert {path.split("/")[1] for path in paths[name]} == {folder}
    assert {path.split("/")[1] for path in paths["sqlite"]} <= {"smnb", "sessions_app", "stories"}
    on_sqlite = {path for name, found in paths.items() if name != "postgres" for path in found}
    assert set(paths["postgres"]) < on_sqlite
    for path in on_sqlite:
        assert "mark.slow" in (ROOT / path).read_text("utf-8")


def test_a_signal_stops_all_lanes(folder: Path) -> None:
    for name in ("first", "second"):
        write(folder, name, f"pathlib.Path('{name}').touch(); time.sleep(600)")
    process = start_lanes(folder)
    eventually("both run", lambda: (folder / "first").exists() and (folder / "second").exists())
    process.send_signal(signal.SIGTERM)
    status, text = finish(process)
    assert status != 0
    assert text.count("KeyboardInterrupt") >= 2
    assert "test_third" not in text


@pytest.mark.slow
def test_without_a_chromium_the_browser_tests_fail(tmp_path: Path) -> None:
    (tmp_path / "test_page.py").write_text(
        "from tests.browser.conftest import browser\n\n\ndef test_page(browser):\n    pass\n"
    )
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "test_page.py"],
        cwd=tmp_path,
        check=False,
        # Nothing on the path and nothing in the cache, so none is found and none can be fetched.
        env={
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PATH": str(tmp_path),
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert found.returncode == 1, found.stdout
    assert "No Chromium: set CHROMIUM=/path/to/chromium" in found.stdout
    assert "skipped" not in found.stdout


def test_what_only_postgresql_can_show_is_run_there() -> None:
    alone = re.compile(r"(\S*)\n@postgres_only$", re.MULTILINE)
    found = [
        (path.name, before)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "pytest.mark.databases]" not in (text := path.read_text("utf-8"))
        for before in alone.findall(text)
    ]
    assert found
    assert {before for _, before in found} == {"@pytest.mark.databases"}, found


def test_where_no_bytecode_may_be_written_it_goes_into_the_virtual_environment() -> None:
    assert with_bytecode({"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home"}) == {
        "HOME": "/home",
        "PYTHONPYCACHEPREFIX": f"{sys.prefix}/bytecode",
    }
    assert with_bytecode({"HOME": "/home"}) == {"HOME": "/home"}
