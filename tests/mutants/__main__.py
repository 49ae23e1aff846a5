"""Applies each listed mutant and runs its tests: ``python -m tests.mutants [options] [words]``.

Words choose the mutants whose file or meaning contains one of them. A mutant is applied to a private
copy of the tracked and new files, never to the working tree. The last line is the score, and the exit status
is 1 when fewer than 95 % of the mutants are killed, or when one could not be tried.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from types import FrameType

from tests.mutants.core import CORE
from tests.mutants.mutant import ROOT, Mutant, problems
from tests.mutants.pages import PAGES

MIN_KILLED = 95  # per cent
TIME_LIMIT = 300  # seconds for the tests of one mutant
TEST_LIMIT = 120  # seconds for one test, so that a test which hangs is named
BASELINE_LIMIT = 3600  # seconds for all tests without a mutant
PASSED, FAILED, INTERRUPTED = 0, 1, 130
_FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
# The tests under way, which a signal to this process ends, too.
_running: set[subprocess.Popen[str]] = set()
_stopped = Event()
# Bytecode is compared with its source by whole seconds and size, and a mutant often keeps the size.
_times = count(1_000_000_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: the test that failed, or nothing; ``trouble`` when it was not tried."""

    mutant: Mutant
    killed_by: str = ""
    trouble: str = ""

    def line(self) -> str:
        state = "TROUBLE " if self.trouble else "killed  " if self.killed_by else "SURVIVED"
        text = f"{state} {self.mutant.file}: {self.mutant.meaning}"
        detail = self.trouble or self.killed_by
        return f"{text}\n         {detail}" if detail else text


def copy_tree(folder: Path) -> Path:
    """Copies the tracked and new files to ``folder``, with the virtual environment by its path."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (source := ROOT / name).is_file() and not source.is_symlink():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    return folder


@contextmanager
def applied(mutant: Mutant, root: Path) -> Iterator[None]:
    """Puts the error into the copy of the tree, and the original back at the end."""
    path = root / mutant.file
    original = path.read_text("utf-8")
    write(path, mutant.applied(root))
    try:
        yield
    finally:
        write(path, original)


def write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    moment = next(_times)
    os.utime(path, (moment, moment))


def run_tests(
    root: Path, tests: Sequence[str], environment: dict[str, str], limit: float = TIME_LIMIT
) -> tuple[int, str]:
    """Runs tests in a copy of the tree; returns pytest's exit status (-1 for no end) and output."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:randomly"]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [*command, "-p", "no:cacheprovider", f"--timeout={TEST_LIMIT}", *tests],
        cwd=root,
        env={**kept, **environment},
        text=True,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        _running.add(process)
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            # Tests stop their own servers when they are interrupted; what is left then is ended.
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            return -1, f"The tests did not end within {limit:.0f} s."
        finally:
            _running.discard(process)
    return process.returncode, output


def environment(template: Path) -> dict[str, str]:
    """Returns the variables of the tests: the shared database, and a shorter wait for pages."""
    return {"SMNB_TEST_TEMPLATE": str(template), "SMNB_TEST_PAGE_SECONDS": "20"}


def try_mutant(mutant: Mutant, root: Path, template: Path) -> Outcome:
    """Runs the tests of a mutant against its error."""
    own = {} if mutant.changes_schema else environment(template)
    with applied(mutant, root):
        status, output = run_tests(root, mutant.tests, own)
    match = _FAILED_TEST.search(output)
    if status == FAILED and match:
        return Outcome(mutant, killed_by=match[1])
    return Outcome(mutant, trouble="" if status == PASSED else output[-1500:].strip())


def chosen(words: Sequence[str]) -> list[Mutant]:
    """Returns the mutants that contain one of the words, or all."""
    everything = [*CORE, *PAGES]
    if not words:
        return everything
    return [
        mutant
        for mutant in everything
        if any(word.lower() in f"{mutant.file} {mutant.meaning}".lower() for word in words)
    ]


def make_template(root: Path, folder: Path) -> Path:
    """Migrates one database for all mutants that do not change the schema; returns its path."""
    path = folder / "template.sqlite3"
    code = "import sys, pathlib; from tests.template_database import copy_migrated_sqlite as copy; "
    made = [sys.executable, "-c", code + "copy(pathlib.Path(sys.argv[1]))", str(path)]
    subprocess.run(made, cwd=root, check=True)
    return path


def stop(number: int, frame: FrameType | None) -> None:
    """Ends the tests under way; no further mutant is tried. They stop their own servers."""
    _stopped.set()
    for process in list(_running):
        process.send_signal(signal.SIGINT)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of a file name or meaning")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tried at once")
    parser.add_argument("--check", action="store_true", help="only check that the list is current")
    parser.add_argument("--no-baseline", action="store_true", help="trust that the tests pass")
    options = parser.parse_args()
    mutants = chosen(options.words)
    if stale := problems(mutants):
        print(*stale, f"{len(stale)} mutants are stale", sep="\n")
        return 1
    if options.check or not mutants:
        print(f"{len(mutants)} mutants, none stale")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="smnb-mutants-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for job in range(options.jobs):
            copies.put(copy_tree(Path(folder) / f"tree{job}"))
        template = make_template(Path(folder) / "tree0", Path(folder))
        own = environment(template)
        if not options.no_baseline:
            # Tests that fail without an error in the product would kill every mutant.
            tests = sorted({test for mutant in mutants for test in mutant.tests})
            for batch in (
                [test for test in tests if not test.startswith("tests/browser")],
                [test for test in tests if test.startswith("tests/browser")],
            ):
                tree = Path(folder) / "tree0"
                status, output = run_tests(tree, batch, own, BASELINE_LIMIT) if batch else (0, "")
                if status != PASSED:
                    print(output[-3000:], "The tests fail without a mutant.", sep="\n")
                    return 1

        def tried(mutant: Mutant) -> Outcome | None:
            root = copies.get()
            try:
                outcome = None if _stopped.is_set() else try_mutant(mutant, root, template)
            finally:
                copies.put(root)
            if outcome is None or _stopped.is_set():
                return None
            print(outcome.line(), flush=True)
            return outcome

        with ThreadPoolExecutor(options.jobs) as pool:
            outcomes = [outcome for outcome in pool.map(tried, mutants) if outcome]
    return INTERRUPTED if _stopped.is_set() else summarize(outcomes)


def summarize(outcomes: Sequence[Outcome]) -> int:
    """Prints what survived and the score; returns the exit status."""
    killed = sum(bool(outcome.killed_by) for outcome in outcomes)
    missed = [outcome for outcome in outcomes if not outcome.killed_by]
    if missed:
        print("", "Not killed:", *(outcome.line() for outcome in missed), "", sep="\n")
    print(f"{killed} of {len(outcomes)} killed")
    trouble = any(outcome.trouble for outcome in outcomes)
    return 1 if trouble or 100 * killed < MIN_KILLED * len(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
