"""Run every measure and print a line each; ends with 1 when a figure is not reached."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.bench import (
    chat,
    delivery,
    export,
    fanout,
    first_story,
    handshakes,
    idle,
    ledger,
    legacy,
    listeners,
    money,
    overview,
    pages,
    paint,
    peers,
    reads,
    slots,
    start,
    statistics,
    tracing,
    writes,
)
from tests.bench.figure import Figure

MEASURES = {
    "start": start.measure,
    "first_story": first_story.measure,
    "idle": idle.measure,
    "delivery": delivery.measure,
    "handshakes": handshakes.measure,
    "fanout": fanout.measure,
    "listeners": listeners.measure,
    "statistics": statistics.measure,
    "reads": reads.measure,
    "writes": writes.measure,
    "slots": slots.measure,
    "ledger": ledger.measure,
    "overview": overview.measure,
    "legacy": legacy.measure,
    "pages": pages.measure,
    "paint": paint.measure,
    "chat": chat.measure,
    "money": money.measure,
    "tracing": tracing.measure,
    "export": export.measure,
}
# These install other software.
WITH_PEERS = {**MEASURES, "peers": peers.measure}


def main() -> int:
    """All measures, or those named: ``make bench ARGS="pages overview"``; with PEERS=1 those of peers."""
    figures: list[Figure] = []
    measures = WITH_PEERS if os.environ.get("PEERS") == "1" else MEASURES
    for name in sys.argv[1:] or measures:
        measure = measures[name]
        with tempfile.TemporaryDirectory(prefix="smnb-bench-") as folder:
            for figure in measure(Path(folder)):
                print(figure.line(), flush=True)
                figures.append(figure)
    return 0 if all(figure.reached for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
