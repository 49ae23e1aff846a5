"""The start of an installed studio beside that of a bare Django project, in turn, in one run."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import TypeVar

from tests.bench.figure import Figure
from tests.endtoend.studio_process import ROOT, environment, free_port, migrated

T = TypeVar("T")

TURNS = 3
PATIENCE = 120.0
# What a project needs so that Daphne answers from the same kind of database.
SETTINGS = """
DATABASES["default"]["OPTIONS"] = {"init_command": "PRAGMA journal_mode=WAL"}
ALLOWED_HOSTS = ["*"]
"""


def measure(folder: Path) -> Iterator[Figure]:
    bare = folder / "bare"
    bare.mkdir()
    django = [sys.executable, "-m", "django", "startproject", "bare", str(bare)]
    subprocess.run(django, check=True)
    with (bare / "bare" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    # Both migrate at each start; here nothing is left to migrate, as on an installed clone.
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=bare, check=True)
    bare_times, times, stories = list[float](), list[float](), list[float]()
    for turn in range(TURNS):
        bare_times.append(_bare(bare))
        ready, story = _studio(folder / f"turn-{turn}")
        times.append(ready)
        stories.append(story)
    name = (
        f"start ({median(times):.2f} s) against bare Django and Daphne ({median(bare_times):.2f} s)"
    )
    yield Figure(name, median(times) / median(bare_times), 2, "times")
    yield Figure("from the start to the first story on screen", median(stories), 2, "s")


def _bare(folder: Path) -> float:
    port = free_port()
    python = shlex.quote(sys.executable)
    command = (
        f"{python} manage.py migrate -v 0 && "
        f"exec {python} -m daphne -v 0 -p {port} bare.asgi:application"
    )
    born = time.monotonic()
    env = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    with _running(["sh", "-c", command], folder, env, folder / "log.txt"):
        _eventually(lambda: _answers(port, "/admin/login/"))
        return time.monotonic() - born


def _studio(folder: Path) -> tuple[float, float]:
    """Returns the seconds until it is healthy, and from then to the demo's first story."""
    folder.mkdir()
    data, port = folder / "var", free_port()
    data.mkdir()
    # As make run starts it: the usual interval of polls and number of host slots.
    given = {"SMNB_DEMO": "1", "SMNB_POLL_SECONDS": "30", "SMNB_HOST_SLOTS": "4"}
    env, log = environment(migrated(data), port, **given), folder / "log.txt"
    born = time.monotonic()
    with _running([sys.executable, "manage.py", "studio"], ROOT, env, log):
        _eventually(lambda: _answers(port, "/healthz"))
        ready = time.monotonic()
        watch = _eventually(lambda: re.search(r"/watch/\S+", log.read_text()))[0]
        _eventually(lambda: "<article" in (_answers(port, watch) or ""))
        return ready - born, time.monotonic() - ready


@contextmanager
def _running(command: list[str], folder: Path, env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def _eventually(look: Callable[[], T | None]) -> T:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("not within two minutes")


def _answers(port: int, path: str) -> str | None:
    """Returns the page at the path; None before the server answers with it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status == 200:
            return answer.read().decode()
    connection.close()
    return None
