"""An event with its counters, buckets and tallies beside plain inserts, on SQLite and PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.figure import Figure
from tests.endtoend.studio_process import ROOT, environment, free_port
from tests.provision.postgres import postgres_server

TURNS = 300

# Prints the median seconds of a transaction of each kind. They take turns, so that other work of the
# machine slows down both. The rows are the same: a message and its event.
SCRIPT = f"""
import time, django
django.setup()
from statistics import median
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from sessions_app import sessions
from sessions_app.events import recorder
from sessions_app.models import Message, SessionEvent
call_command("migrate", verbosity=0)
recorder.publish = lambda *_: None
owner = User.objects.create_user("bench")
counted, plain = (sessions.create(owner, name, {{}}, None) for name in ("Counted", "Plain"))
recorder.add_message(counted, "system", "It is so. " * 20)
event = SessionEvent.objects.filter(session=counted).latest("seq")
def count(_):
    with transaction.atomic():
        recorder.add_message(counted, "system", "It is so. " * 20)
def insert(seq):
    with transaction.atomic():
        Message.objects.create(session=plain, role="system", text="It is so. " * 20)
        SessionEvent.objects.create(
            session=plain, seq=seq, type=event.type, payload=event.payload, at=timezone.now()
        )
times = {{count: [], insert: []}}
for turn in range({TURNS}):
    for write, found in times.items():
        begun = time.perf_counter()
        write(100 + turn)
        found.append(time.perf_counter() - begun)
print(*(median(found[20:]) for found in times.values()))
"""


def measure(folder: Path) -> Iterator[Figure]:
    for name, address in (("SQLite", nowhere), ("PostgreSQL", postgres_server)):
        with address() as url:
            env = environment(folder / name, free_port(), DATABASE_URL=url)
            env["DJANGO_SETTINGS_MODULE"] = "smnb.settings"
            found = subprocess.run(
                [sys.executable, "-c", SCRIPT],
                cwd=ROOT,
                env=env,
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        counted, plain = map(float, found.stdout.split()[-2:])
        yield Figure(f"{name}: event with counters", 1000 * counted, float("inf"), "ms")
        yield Figure(f"{name}: counters, times a plain insert", counted / plain, 1.4, "x")


@contextmanager
def nowhere() -> Iterator[str]:
    """No address: SQLite in the data folder."""
    yield ""
