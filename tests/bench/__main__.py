"""Run every measure and print a line each; ends with 1 when a figure is not reached."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench import delivery, first_story, ledger, statistics
from tests.bench.figure import Figure


def main() -> int:
    figures: list[Figure] = []
    for measure in (first_story.measure, delivery.measure, statistics.measure, ledger.measure):
        with tempfile.TemporaryDirectory(prefix="smnb-bench-") as folder:
            for figure in measure(Path(folder)):
                print(figure.line(), flush=True)
                figures.append(figure)
    return 0 if all(figure.reached for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
