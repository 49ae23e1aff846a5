"""Memory and processor time of all processes of a studio on the demo, and with nothing live."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.bench.figure import Figure
from tests.endtoend.studio_process import Studio, running

SECONDS = 300.0
MB = 1024.0  # of the kB in /proc
TICKS = os.sysconf("SC_CLK_TCK")


def measure(folder: Path) -> Iterator[Figure]:
    # As make run starts it: the usual interval of polls and number of host slots.
    with running(
        folder / "var", SMNB_DEMO="1", SMNB_POLL_SECONDS="30", SMNB_HOST_SLOTS="4"
    ) as studio:
        [demo] = studio.get("/sessions")["items"]
        studio.wait_stories(demo["id"], 2)
        share = _share_of_a_core(studio)
        yield Figure("processor share on the demo", 100 * share, 3, "% of a core")
        for line in _by_process(studio):
            print(f"     {line}")
        yield Figure("memory on the demo (PSS)", sum(_pss(pid) for pid in _pids(studio)), 350, "MB")
        studio.command(demo["id"], "stop")
        studio.wait_state(demo["id"], "idle")
        yield Figure(
            "processor share with nothing live", 100 * _share_of_a_core(studio), 1, "% of a core"
        )


def _pids(studio: Studio) -> list[int]:
    return [studio.process.pid, *studio.children()]


def pss_of_family(pid: int) -> float:
    """Returns the memory in MB of a process with all its descendants."""
    children = (path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return _pss(pid) + sum(pss_of_family(int(child)) for found in children for child in found)


def _by_process(studio: Studio) -> list[str]:
    names = {studio.process.pid: "manage.py studio", **studio.children()}
    return [f"{_pss(pid):6.1f} MB  {name.strip()[:90]}" for pid, name in sorted(names.items())]


def _pss(pid: int) -> float:
    """Returns the process's memory in MB, with its part of what it shares; 0 when it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / MB
    return 0.0


def _share_of_a_core(studio: Studio) -> float:
    """Returns the processor time of all processes, also those that end meanwhile, by the time passed."""
    began, before = time.monotonic(), _processor_seconds(studio)
    time.sleep(SECONDS)
    return (_processor_seconds(studio) - before) / (time.monotonic() - began)


def _processor_seconds(studio: Studio) -> float:
    ticks = 0
    for pid in _pids(studio):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            # User and system time, also of children that have ended and were waited for.
            ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS
