"""An old export of 200,000 rows with every kind of damage: how fast it comes in, within which memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from smnb.env import ROOT
from tests.bench.figure import Figure
from tests.legacy_exports import Damaged

ROWS, SESSIONS = 200_000, 400
LEAST_PER_SECOND = 5000
MOST_MEGABYTES = 300

# Run in a process of its own: its peak is the import's.
SCRIPT = """
import json, resource, sys, time
from io import StringIO
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
User.objects.create_user("olga")
def bring():
    out, began = StringIO(), time.monotonic()
    call_command("import_legacy", {path!r}, stdout=out, stderr=StringIO())
    (line,) = [each for each in out.getvalue().splitlines() if each.startswith("all ")]
    return [int(each.replace(",", "")) for each in line.split()[1:]], time.monotonic() - began
first, seconds = bring()
second, _ = bring()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"first": first, "second": second, "seconds": seconds, "peak": peak}}))
"""


def measure(folder: Path) -> Iterator[Figure]:
    export = Damaged(ROWS, SESSIONS)
    path = export.write(folder / "export.zip")
    ran = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", SCRIPT.format(path=str(path))],
        cwd=ROOT,
        env={**os.environ, "SMNB_DATA_DIR": str(folder / "var")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    read, imported, quarantined, rejected, there = found["first"]
    again = found["second"]
    lost = abs(read - imported - quarantined - rejected - there) + abs(again[0] - read)
    yield Figure("rows of an old export without a fate", lost, 0, "rows")
    yield Figure("rows that a second import brought", again[1] + again[2], 0, "rows")
    each = 1000 * found["seconds"] / read
    yield Figure(
        f"import of an old export, {read / found['seconds']:,.0f} rows/s",
        each,
        1000 / LEAST_PER_SECOND,
        "ms a row",
    )
    yield Figure("memory of an import at its peak", found["peak"], MOST_MEGABYTES, "MB")
