"""From ``studio`` to the first story of the demo on the public watch page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure
from tests.endtoend.studio_process import Studio, eventually, running


def measure(folder: Path) -> Iterator[Figure]:
    born = time.monotonic()
    with running(folder / "var", SMNB_DEMO="1", SMNB_POLL_SECONDS="30") as studio:
        eventually("the demo's first story is told", lambda: _told(studio))
        yield Figure("first story on screen, installed", time.monotonic() - born, 20, "s")


def _told(studio: Studio) -> bool:
    address = re.search(r"/watch/\S+", studio.log.read_text())
    return address is not None and "<article" in str(studio.call("GET", address[0]).body)
