"""What a story costs around the model, and what log files and traces add to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure

MOST = 5.0  # per cent
STATEMENTS, MILLISECONDS = 12, 40.0  # of a story, without a model


def measure(folder: Path) -> Iterator[Figure]:
    found = _run(folder / "traced", "run")
    cost = 100 * (found["on"] / found["off"] - 1)
    yield Figure("pipeline slower with logs and traces", cost, MOST, "%")
    found = _run(folder / "counted", "cost")
    yield Figure("statements a story", found["statements"], STATEMENTS, "statements")
    yield Figure("processor time a story", found["ms"], MILLISECONDS, "ms")


def _run(folder: Path, function: str) -> dict[str, float]:
    folder.mkdir()
    code = f"from tests.bench import pipeline; pipeline.{function}()"
    shell = [sys.executable, "manage.py", "shell", "--no-imports", "-c"]
    env = {**os.environ, "SMNB_DATA_DIR": str(folder / "var"), "SMNB_DEMO": "0"}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], check=True, env=env)
    with (folder / "log").open("w") as log:
        done = subprocess.run(
            [*shell, code], check=True, env=env, stdout=subprocess.PIPE, stderr=log, text=True
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
