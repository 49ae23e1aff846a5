"""Exports of 10,000 and of 100,000 stories: how long they take, and the most memory each needs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure
from tests.bench.statistics import fill
from tests.endtoend.studio_process import ROOT, Studio, running

FEW, MANY = 10_000, 100_000
# Runs the command and says the most memory it took, in kB.
_MEASURED = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def measure(folder: Path) -> Iterator[Figure]:
    with running(folder / "var") as studio:
        few, many = studio.create("Few"), studio.create("Many")
        fill(studio, few, FEW)
        fill(studio, many, MANY)
        for format_ in ("json", "zip"):
            small, _ = _exported(studio, few, format_, folder / f"few.{format_}")
            large, seconds = _exported(studio, many, format_, folder / f"many.{format_}")
            what = f"as {format_}: {MANY:,} stories"
            yield Figure(
                f"memory of an export {what} against {FEW:,}", large / small, 1.15, "times"
            )
            yield Figure(f"export {what}", seconds, 60, "s")
    assert len(json.loads((folder / "many.json").read_bytes())["stories"]) == MANY


def _exported(studio: Studio, session: str, format_: str, path: Path) -> tuple[int, float]:
    begun = time.perf_counter()
    command = (sys.executable, "manage.py", "export_session", session, "--format", format_)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *command, "--output", str(path)],
        cwd=ROOT,
        env=studio.env,
        capture_output=True,
        check=True,
        text=True,
    )
    return int(done.stdout.split()[-1]), time.perf_counter() - begun
