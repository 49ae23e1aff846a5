"""Applies each listed mutant and runs its tests: ``python -m tests.mutants [options] [words]``.

Words choose the mutants whose file or meaning contains one of them. A mutant is applied to a private
copy of the tracked and new files, never to the working tree. The test that killed it last time, which
killers.json names, is tried first, and all its tests when that one passes; ``--record`` writes the file.
The mutants of page scripts share one studio and one browser.

At the end a table says by area what was killed. The last line is the score, and the exit status is 1
when fewer than 95 % of the mutants are killed, or when one could not be tried.
"""

from __future__ import annotations

import argparse
import json
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
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from types import FrameType

from tests.mutants.core import CORE
from tests.mutants.mutant import ROOT, Mutant, problems
from tests.mutants.page_scripts import UNCHANGED
from tests.mutants.pages import PAGES
from tests.mutants.report import Outcome, keep_killers, known_killers, summarize

TIME_LIMIT = 300  # seconds for the tests of one mutant
TEST_LIMIT = 120  # seconds for one test, so that a test which hangs is named
BASELINE_LIMIT = 3600  # seconds for all tests without a mutant, and for all page scripts
PASSED, FAILED, INTERRUPTED = 0, 1, 130
_FAILED_TEST = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
# The tests under way, which a signal to this process ends, too.
_running: set[subprocess.Popen[str]] = set()
_stopped = Event()
# Bytecode is compared with its source by whole seconds and size, and a mutant often keeps the size.
_times = count(1_000_000_000)


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
    # Options of the run around it, such as the seed of a plugin that is off here.
    others = {"PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS"}
    kept = {name: value for name, value in os.environ.items() if name not in others}
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


def try_mutant(mutant: Mutant, root: Path, template: Path, killer: str) -> Outcome:
    """Runs a mutant's killer of last time against its error, and all its tests when that passes."""
    own = {} if mutant.changes_schema else environment(template)
    status, output = PASSED, ""
    with applied(mutant, root):
        for tests in ([killer], mutant.tests) if killer else (mutant.tests,):
            status, output = run_tests(root, tests, own)
            match = _FAILED_TEST.search(output)
            if status == FAILED and match:
                break
    if status == PASSED:
        return Outcome(mutant)
    if status != FAILED or not match:
        return Outcome(mutant, trouble=output[-1500:].strip() or f"pytest ended with {status}")
    test = match[1]
    if killer and not test.startswith(killer) and run_tests(root, [test], own)[0] != PASSED:
        return Outcome(mutant, trouble=f"{test} fails without the mutant, too")
    return Outcome(mutant, killed_by=test)


def try_pages(mutants: Sequence[Mutant], root: Path, template: Path) -> list[Outcome]:
    """Tries mutants of page scripts one after the other in one studio and one browser."""
    numbers = [PAGES.index(mutant) for mutant in mutants]
    results = root / "page-results.jsonl"
    results.unlink(missing_ok=True)
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    options = ["-p", "tests.mutants.page_scripts", f"--page-results={results}"]
    options += [f"--page-mutants={[*numbers, UNCHANGED]}", "--maxfail=0"]
    _, output = run_tests(root, [*options, *tests], environment(template), BASELINE_LIMIT)
    lines = results.read_text("utf-8").splitlines() if results.exists() else []
    parts = [json.loads(line) for line in lines]
    broken = {part["test"] for part in parts if part["failed"] and part["mutant"] == UNCHANGED}
    outcomes = []
    for number, mutant in zip(numbers, mutants, strict=True):
        own = [part for part in parts if part["mutant"] == number]
        failed = [part for part in own if part["failed"]]
        killer = next((part["test"] for part in failed if part["part"] != "setup"), "")
        trouble = "" if own else output[-1500:].strip() or "its tests did not run"
        if failed and not killer:
            trouble = f"{failed[0]['test']} could not be set up"
        elif killer in broken:
            trouble = f"{killer} fails without the mutant, too"
        outcomes.append(Outcome(mutant, killer, trouble))
    return outcomes


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


def fail_without_mutant(
    core: Sequence[Mutant], killers: dict[str, str], root: Path, template: Path
) -> bool:
    """Whether a test that is to kill a mutant fails in any case; prints which."""
    known = {killers[mutant.meaning] for mutant in core if mutant.meaning in killers}
    others = {test for m in core if m.meaning not in killers for test in m.tests}
    tests = sorted(known | others)
    status, output = run_tests(root, tests, environment(template), BASELINE_LIMIT)
    if status != PASSED:
        print(output[-3000:], "The tests fail without a mutant.", sep="\n")
    return status != PASSED


def try_all(
    mutants: Sequence[Mutant], folder: Path, options: argparse.Namespace
) -> list[Outcome] | None:
    """Tries the mutants in copies of the tree; returns nothing when the tests fail without one."""
    trees = [copy_tree(folder / f"tree{job}") for job in range(options.jobs)]
    copies: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        copies.put(tree)
    template = make_template(trees[0], folder)
    killers = known_killers(trees[0])
    core = [mutant for mutant in mutants if mutant not in PAGES]
    pages = [mutant for mutant in mutants if mutant in PAGES]
    if core and not options.no_baseline and fail_without_mutant(core, killers, trees[0], template):
        return None
    outcomes: list[Outcome] = []

    def note(found: Sequence[Outcome]) -> None:
        if found and not _stopped.is_set():
            outcomes.extend(found)
            print(*(outcome.line() for outcome in found), sep="\n", flush=True)
            if options.record:
                keep_killers(outcomes, [*CORE, *PAGES])

    def tried(mutant: Mutant) -> list[Outcome]:
        root = copies.get()
        try:
            if _stopped.is_set():
                return []
            return [try_mutant(mutant, root, template, killers.get(mutant.meaning, ""))]
        finally:
            copies.put(root)

    with ThreadPoolExecutor(options.jobs) as pool:
        for found in pool.map(tried, core):
            note(found)
    if pages and not _stopped.is_set():
        note(try_pages(pages, trees[0], template))
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of a file name or meaning")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tried at once")
    parser.add_argument("--check", action="store_true", help="only check that the list is current")
    parser.add_argument("--record", action="store_true", help="write the killers to killers.json")
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
        outcomes = try_all(mutants, Path(folder), options)
    if outcomes is None:
        return 1
    status = summarize(mutants, outcomes)
    return INTERRUPTED if _stopped.is_set() else status


if __name__ == "__main__":
    sys.exit(main())
