"""What log files and traces cost the pipeline: the same stories with both on and both off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure

MOST = 5.0  # per cent


def measure(folder: Path) -> Iterator[Figure]:
    code = "from tests.bench import pipeline; pipeline.run()"
    shell = [sys.executable, "manage.py", "shell", "--no-imports", "-c"]
    env = {**os.environ, "SMNB_DATA_DIR": str(folder / "var"), "SMNB_DEMO": "0"}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], check=True, env=env)
    with (folder / "log").open("w") as log:
        done = subprocess.run(
            [*shell, code], check=True, env=env, stdout=subprocess.PIPE, stderr=log, text=True
        )
    found = json.loads(done.stdout.splitlines()[-1])
    cost = 100 * (found["on"] / found["off"] - 1)
    yield Figure("pipeline slower with logs and traces", cost, MOST, "%")
