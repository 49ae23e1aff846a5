"""All tests, three lanes side by side: ``python -m tests.halves [pytest's arguments]``.

SQLite runs in one lane, whole studios in the next, which mostly wait; PostgreSQL and then the
browser in the last. They share nothing but the processors: each has its own data folder, Redis,
ports and cache. The first lane is shown as it runs, the others when it is their turn. Playwright's
loop and the async tests of the ORM could not share a process anyway.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

FAILED, NOTHING_SELECTED, INTERRUPTED = 1, 5, 130
AGAIN = "SMNB_TEST_AGAIN"  # set: what failed is run once more, and only what fails twice is red
ALONE = ("--last-failed", "--last-failed-no-failures=none")
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REST = ("--ignore=tests/browser", "--ignore=tests/chaos")


@dataclass(frozen=True)
class Half:
    """One run of pytest."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


LANES: tuple[tuple[Half, ...], ...] = (
    (Half("sqlite", ("tests", *REST, "--ignore=tests/endtoend")),),
    (Half("endtoend", ("tests/endtoend",)),),
    (
        Half("postgres", ("tests", "-m", "databases", *REST), {"SMNB_TEST_DATABASE": "postgres"}),
        Half("browser", ("tests/browser",)),
    ),
)


class Halves:
    """Runs lanes of halves; whatever stops this process stops all of them."""

    def __init__(self, lanes: Sequence[Sequence[Half]], more: Sequence[str]) -> None:
        self.lanes = lanes
        self.more = more
        self.running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    def run(self) -> int:
        """The first exit status that is not 0. With arguments (-k, -m ...) a half may select none."""
        with ExitStack() as stack:
            kept = [stack.enter_context(tempfile.TemporaryFile()) for _ in self.lanes[1:]]
            pool = stack.enter_context(ThreadPoolExecutor(len(self.lanes)))
            stack.enter_context(self._stoppable())
            outputs: list[IO[bytes] | None] = [None, *kept]
            lanes = list(pool.map(self._lane, self.lanes, outputs))
            for output in kept:
                output.seek(0)
                shutil.copyfileobj(output, sys.stdout.buffer)
        sys.stdout.flush()
        passed = {0, NOTHING_SELECTED} if self.more else {0}
        codes = [code for lane in lanes for code in lane if code not in passed]
        return codes[0] if codes else INTERRUPTED if self.stopped else 0

    def _lane(self, halves: Sequence[Half], output: IO[bytes] | None) -> list[int]:
        return [self._half(each, output) for each in halves if not self.stopped]

    def _half(self, half: Half, output: IO[bytes] | None) -> int:
        code = self._pytest(half, output)
        again = code == FAILED and bool(os.environ.get(AGAIN)) and not self.stopped
        return self._pytest(half, output, *ALONE) if again else code

    def _pytest(self, half: Half, output: IO[bytes] | None, *arguments: str) -> int:
        cache = ("-o", f"cache_dir=.pytest_cache/{half.name}")
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *half.arguments, *cache, *self.more, *arguments],
            env={**quick_to_start(os.environ), **half.environment},
            stdin=None if output is None else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        self.running.add(process)
        try:
            return process.wait()
        finally:
            self.running.discard(process)

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        kept = {number: signal.signal(number, self._stop) for number in STOPPING}
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """An interrupted pytest ends what it started and says what it had found so far. What is
        typed at a terminal reaches it without us, and twice would be once too often.
        """
        self.stopped = True
        if number != signal.SIGINT:
            for process in list(self.running):
                process.send_signal(signal.SIGINT)


def quick_to_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Dozens of Pythons start, each of which would compile Django anew where no bytecode may be
    written: then it goes into the virtual environment instead of beside the sources.
    """
    found = dict(environment)
    if found.pop("PYTHONDONTWRITEBYTECODE", ""):
        found.setdefault("PYTHONPYCACHEPREFIX", str(Path(sys.prefix) / "bytecode"))
    return found


if __name__ == "__main__":
    sys.exit(Halves(LANES, sys.argv[1:]).run())
