"""Figures and pages of a large session beside those of a small database, in turn, in one run.

``SMNB_BENCH_DATABASES`` holds the addresses of two empty PostgreSQL databases, separated by a comma;
without it both are SQLite files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.figure import Figure
from tests.endtoend.studio_process import Studio, running

FEW, STORIES, USAGE = 1_000, 100_000, 1_000_000
PAGE, PAGES = 50, 2_000
TURNS = 60


def measure(folder: Path) -> Iterator[Figure]:
    given = os.environ.get("SMNB_BENCH_DATABASES", "").split(",")
    env = [{"DATABASE_URL": url} if url else {} for url in (given * 2)[:2]]
    with running(folder / "few", **env[0]) as small, running(folder / "many", **env[1]) as large:
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
            yield Figure(name, ratio, 1.2, "times a small database")


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
