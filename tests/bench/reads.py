"""Figures and pages of a large session beside those of a small database, in turn, in one run.

On SQLite and then on PostgreSQL.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from tests.bench.figure import Figure, percentile
from tests.bench.pages import Browser
from tests.endtoend.studio_process import Studio, running
from tests.provision.postgres import postgres_server

FEW, STORIES, USAGE = 1_000, 100_000, 1_000_000
PAGE, PAGES = 50, 2_000
TURNS = 60
STATISTICS_MS = 60


def measure(folder: Path) -> Iterator[Figure]:
    yield from _of("SQLite", folder, "", "")
    with ExitStack() as stack:
        addresses = [stack.enter_context(postgres_server(name)) for name in ("few", "many")]
        yield from _of("PostgreSQL", folder, *addresses)


def _of(database: str, folder: Path, few_url: str, many_url: str) -> Iterator[Figure]:
    small_folder, large_folder = folder / f"{database}-few", folder / f"{database}-many"
    with (
        running(small_folder, DATABASE_URL=few_url) as small,
        running(large_folder, DATABASE_URL=many_url) as large,
    ):
        few, many = _filled(small, FEW, FEW), _filled(large, STORIES, USAGE)
        newest = large.get(f"/sessions/{many}/stories?limit=1")["items"][0]["id"]
        deep = newest - (PAGES - 1) * PAGE
        for name, one, other in (
            (f"overview of {USAGE:,} calls against {FEW:,}", "stats", "stats"),
            (f"newest {PAGE} of {STORIES:,} stories", "stories?limit=50", "stories?limit=50"),
            (f"page {PAGES:,} of them", "stories?limit=50", f"stories?limit=50&cursor={deep}"),
            (f"newest {PAGE} of {USAGE:,} calls", "usage?limit=50", "usage?limit=50"),
        ):
            pairs = [
                (
                    _timed(small, f"/api/sessions/{few}/{one}"),
                    _timed(large, f"/api/sessions/{many}/{other}"),
                )
                for _ in range(TURNS)
            ]
            ratio = median(b for _, b in pairs) / median(a for a, _ in pairs)
            yield Figure(f"{database}: {name}", ratio, 1.2, "times a small database")
        browser = Browser(large)
        times = [browser.timed(f"/stats/?session={many}") for _ in range(TURNS)]
        name = f"{database}: Live Stats with {USAGE:,} calls, p95"
        yield Figure(name, percentile(times, 0.95), STATISTICS_MS, "ms")


def _filled(studio: Studio, stories: int, usage: int) -> str:
    session = studio.create("Filled")
    script = f"from tests.bench.copies import fill\nfill({session!r}, {stories}, {usage})"
    filled = studio.manage("shell", "-c", script)
    assert filled.returncode == 0, filled.stderr
    return session


def _timed(studio: Studio, path: str) -> float:
    begun = time.perf_counter()
    assert studio.call("GET", path).status == 200
    return time.perf_counter() - begun
