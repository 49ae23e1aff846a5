"""Runs the suite in four lanes side by side: ``python -m tests.lanes [--slow] [pytest arguments]``.

Tests marked ``slow`` are left out, and the last line counts them; with ``--slow``, which is part of
``make chaos``, they run in the same lanes and all others are left out.

SQLite runs in two lanes, of which the first then runs PostgreSQL; end-to-end tests, which often wait,
in the next, and the browser in the last.
Each run has its own data folder, Redis, ports and cache, so the lanes share nothing but the
processors. The output of the first lane is shown while it runs, that of the others afterwards.
Playwright's event loop and the async tests of the ORM could not share a process anyway.

Nothing is run twice. With ``SMNB_RERUN_FAILED=1`` (continuous integration) each run repeats its
failed tests once. A test that then passes is named as ``flaky:`` in the last lines, and more than
two flaky tests fail the suite.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import IO

from tests.slow_tests import left_out

TESTS_FAILED, NO_TESTS_COLLECTED, INTERRUPTED = 1, 5, 130
RERUN_FAILED = "SMNB_RERUN_FAILED"
MAX_FLAKY = 2
CACHE = Path(".pytest_cache")
LAST_FAILED = ("--last-failed", "--last-failed-no-failures=none")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IN_OTHER_RUNS = tuple(
    f"--ignore=tests/{name}" for name in ("browser", "chaos", "endtoend", "topology")
)


@dataclass(frozen=True)
class Run:
    """One run of pytest."""

    name: str
    paths: tuple[str, ...]
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def cache(self) -> Path:
        return CACHE / self.name

    def limited_to(self, files: Sequence[str]) -> Run:
        """The same run with only those of its test files that are among these."""
        ignored = tuple(
            option.removeprefix("--ignore=")
            for option in self.options
            if option.startswith("--ignore=")
        )
        found = (f for f in files if f.startswith(self.paths) and not f.startswith(ignored))
        return replace(self, paths=tuple(found))


@dataclass(frozen=True)
class Result:
    """The exit status of a run, the tests that passed when repeated, and how many were left out."""

    exit_status: int
    left_out: int
    flaky: tuple[str, ...] = ()


Lane = tuple[Run, ...]


def files_marked(mark: str) -> list[str]:
    """The files with tests of this mark: importing all others takes longer than many tests do."""
    found = sorted(Path(__file__).parent.rglob("test_*.py"))
    texts = {path: path.read_text("utf-8") for path in found}
    return [os.path.relpath(path) for path in found if f"mark.{mark}" in texts[path]]


LANES: tuple[Lane, ...] = (
    (
        Run("sqlite", ("tests",), ("--ignore=tests/broadcast", *IN_OTHER_RUNS)),
        Run(
            "postgres",
            tuple(files_marked("databases")),
            ("-m", "databases"),
            {"SMNB_TEST_DATABASE": "postgres"},
        ),
    ),
    (Run("sqlite-broadcast", ("tests/broadcast",)),),
    (Run("endtoend", ("tests/endtoend",)),),
    (Run("browser", ("tests/browser",)),),
)


def slow_lanes() -> tuple[Lane, ...]:
    """The lanes with only the files that have slow tests."""
    files = files_marked("slow")
    lanes = (tuple(run.limited_to(files) for run in lane) for lane in LANES)
    return tuple(chosen for lane in lanes if (chosen := tuple(run for run in lane if run.paths)))


class Suite:
    """Runs lanes side by side; a signal to this process stops all of them.

    ``slow`` is what to do with slow tests: to leave them ``out`` or to run ``only`` them.
    """

    def __init__(self, lanes: Sequence[Lane], arguments: Sequence[str], slow: str = "out") -> None:
        self.lanes = lanes
        self.arguments = arguments
        self.slow = slow
        self.seed = seed_of(arguments)
        self.rerun_failed = bool(os.environ.get(RERUN_FAILED))
        self.processes: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    def run(self) -> int:
        """Run all lanes and print the summary; returns the exit status of the suite."""
        with ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in self.lanes[1:]]
            pool = stack.enter_context(ThreadPoolExecutor(len(self.lanes)))
            stack.enter_context(self._signals_handled())
            outputs: list[IO[bytes] | None] = [None, *files]
            lanes = list(pool.map(self._run_lane, self.lanes, outputs))
            for file in files:
                file.seek(0)
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return self._summarize([result for lane in lanes for result in lane])

    def _summarize(self, results: Sequence[Result]) -> int:
        """Print the seed, the flaky tests and the number of slow tests that did not run.

        Returns the first exit status that means failure.

        With arguments (-k, -m ...) a run may select no test at all.
        """
        flaky = [test for result in results for test in result.flaky]
        print(f"seed: {self.seed}" if self.seed else "seed: none, tests ran in file order")
        for test in flaky:
            print(f"flaky: {test}")
        if self.slow == "out" and (number := sum(result.left_out for result in results)):
            print(f"slow tests left out: {number}; `make chaos` runs them")
        sys.stdout.flush()
        selects = any(each.startswith(("-k", "-m")) for each in self.arguments)
        accepted = {0, NO_TESTS_COLLECTED} if selects else {0}
        failures = [each.exit_status for each in results if each.exit_status not in accepted]
        if failures:
            return failures[0]
        if self.stopped:
            return INTERRUPTED
        return TESTS_FAILED if len(flaky) > MAX_FLAKY else 0

    def _run_lane(self, lane: Lane, output: IO[bytes] | None) -> list[Result]:
        return [self._run(run, output) for run in lane if not self.stopped]

    def _run(self, run: Run, output: IO[bytes] | None) -> Result:
        # Failures of an earlier run would otherwise be repeated, too.
        exit_status = self._pytest(run, output, *["--cache-clear"] * self.rerun_failed)
        number = left_out(run.cache)
        if not self.rerun_failed or exit_status != TESTS_FAILED or self.stopped:
            return Result(exit_status, number)
        failed = failed_tests(run)
        exit_status = self._pytest(run, output, *LAST_FAILED)
        # Whatever else went wrong in the second run, such as a crash, proves nothing about a test.
        passed = failed - failed_tests(run) if exit_status in {0, TESTS_FAILED} else set()
        return Result(exit_status, number, tuple(sorted(passed)))

    def _pytest(self, run: Run, output: IO[bytes] | None, *arguments: str) -> int:
        seed = (f"--randomly-seed={self.seed}",) if self.seed else ()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", "-p", "tests.slow_tests", f"--slow={self.slow}"),
                *(*run.paths, *run.options),
                *("-o", f"cache_dir={run.cache}", *seed, *self.arguments, *arguments),
            ],
            env={**with_bytecode(os.environ), **run.environment},
            stdin=None if output is None else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        self.processes.add(process)
        try:
            return process.wait()
        finally:
            self.processes.discard(process)

    @contextmanager
    def _signals_handled(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._stop) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Interrupt every pytest, which then stops its own processes and reports what it found.

        The terminal sends Ctrl-C to the whole process group, so SIGINT is not sent a second time.
        """
        self.stopped = True
        if number != signal.SIGINT:
            for process in list(self.processes):
                process.send_signal(signal.SIGINT)


def seed_of(arguments: Sequence[str]) -> str:
    """The seed of the random order, the same in all runs; empty when the order is not random."""
    given = [*os.environ.get("PYTEST_ADDOPTS", "").split(), *arguments]
    if "no:randomly" in given:
        return ""
    seeds = [each.partition("=")[2] for each in given if each.startswith("--randomly-seed=")]
    return seeds[-1] if seeds else str(random.randrange(2**32))


def failed_tests(run: Run) -> set[str]:
    """The tests that have failed in this run, from the cache in which pytest notes them."""
    path = run.cache / "v" / "cache" / "lastfailed"
    return set(json.loads(path.read_text())) if path.exists() else set()


def with_bytecode(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, changed so that Python may write bytecode.

    Dozens of processes start, and each would compile Django again. Where no bytecode may be
    written, it goes into the virtual environment instead of beside the sources.
    """
    changed = dict(environment)
    if changed.pop("PYTHONDONTWRITEBYTECODE", ""):
        changed.setdefault("PYTHONPYCACHEPREFIX", str(Path(sys.prefix) / "bytecode"))
    return changed


if __name__ == "__main__":
    only_slow = sys.argv[1:2] == ["--slow"]
    suite = Suite(slow_lanes(), sys.argv[2:], "only") if only_slow else Suite(LANES, sys.argv[1:])
    sys.exit(suite.run())
