"""``make chaos``: stories while everything dies, simulated schedules, and the tests marked ``slow``.

Prints the seed and tables. The short form takes some minutes. The long form is ``make chaos
ARGS=--long``; parts and figures are chosen by options, e.g. ``make chaos ARGS="simulation
--schedules 100000"``. A schedule that fails is named by its seed and played again by
``ARGS="simulation --first SEED --schedules 1"``.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.template_database import copy_migrated_sqlite

SHORT = {
    "stories": 500,
    "sessions": 5,
    "kills": 20,
    "redis_kills": 1,
    "restarts": 1,
    "seconds": 900,
    "schedules": 1_000,
}
LONG = {
    "stories": 10_000,
    "sessions": 20,
    "kills": 200,
    "redis_kills": 5,
    "restarts": 5,
    "seconds": 7_200,
    "schedules": 100_000,
}
SIMULATION = "smnb-simulation-"  # how the names of the folders of simulations begin
DATABASES = {"sqlite": ("sqlite",), "postgres": ("postgres",), "both": ("sqlite", "postgres")}


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("part", nargs="?", choices=tuple(PARTS))
    parser.add_argument("--long", action="store_true", help="the figures of the long form")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--database", choices=DATABASES, default="")
    parser.add_argument("--first", type=int, help="seed of the first schedule")
    for name in SHORT:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    arguments = parser.parse_args()
    for name, number in (LONG if arguments.long else SHORT).items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, number)
    arguments.database = arguments.database or ("both" if arguments.long else "sqlite")
    return arguments


def kills(arguments: argparse.Namespace) -> bool:
    """Plays the stories on each database; prints a table for each."""
    from tests.chaos.kills import Plan, play

    sound = True
    for database in DATABASES[arguments.database]:
        names = ("seed", "stories", "sessions", "kills", "redis_kills", "restarts", "seconds")
        plan = Plan(database=database, **{name: getattr(arguments, name) for name in names})
        with tempfile.TemporaryDirectory(prefix="smnb-chaos-") as folder:
            outcome = play(plan, Path(folder))
        print(f"\n{plan}")
        for name, value in outcome.figures:
            print(f"  {name:34} {value}")
        for fault in outcome.faults:
            print(f"  FAULT {fault}")
        sound = sound and not outcome.faults
    return sound


def simulation(arguments: argparse.Namespace) -> bool:
    """Plays schedules in as many processes as there are processors; prints seeds that fail."""
    first = arguments.seed if arguments.first is None else arguments.first
    began, workers = time.monotonic(), min(os.cpu_count() or 1, arguments.schedules)
    remove_left_folders(Path(memory() or tempfile.gettempdir()))
    # With the id of this process, so that a later one sees whether it has ended.
    prefix = f"{SIMULATION}{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=memory()) as folder:
        children: list[int] = []
        for worker in range(workers):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    seeds = range(first + worker, first + arguments.schedules, workers)
                    status = simulate(Path(folder) / str(worker), seeds)
                finally:
                    sys.stdout.flush()
                    os._exit(status)
            children.append(pid)
        sound = {os.waitpid(pid, 0)[1] for pid in children} == {0}
    seconds = time.monotonic() - began
    print(f"\nsimulation from seed {first}: {arguments.schedules} schedules in {seconds:.0f} s")
    return sound


def recording(arguments: argparse.Namespace) -> bool:
    """Records an audio stream while processes die; at most ten minutes, as --seconds says."""
    from tests.chaos.recording import record

    with tempfile.TemporaryDirectory(prefix="smnb-recording-") as folder:
        figures, faults = record(min(arguments.seconds, 600), arguments.seed, Path(folder))
    for name, value in figures:
        print(f"  {name:34} {value}")
    for fault in faults:
        print(f"  FAULT {fault}")
    return not faults


def memory() -> str | None:
    """A folder in memory, where there is one: a virtual clock should not wait for a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def remove_left_folders(parent: Path) -> None:
    """Removes the folders of simulations that were killed."""
    for folder in parent.glob(f"{SIMULATION}*"):
        pid = folder.name.removeprefix(SIMULATION).partition("-")[0]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def simulate(data: Path, seeds: range) -> int:
    """Plays schedules on a database of their own; returns the exit status of this process."""
    copy_migrated_sqlite(data / "smnb.sqlite3")
    os.environ |= {"SMNB_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "smnb.settings"}
    os.environ.pop("DATABASE_URL", None)
    import django

    django.setup()
    import structlog

    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    from django.contrib.auth.models import User
    from django.db import connection

    from tests.chaos.simulation import on_stage

    connection.ensure_connection()
    # One process has the file for itself, and nothing of it outlives that process.
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=MEMORY", "synchronous=OFF"):
        connection.connection.execute(f"PRAGMA {pragma}")
    owner = User.objects.create_user("simulated")
    failed = 0
    # The collector would look at all of Django again and again.
    gc.freeze()
    gc.disable()
    with on_stage(owner) as play:
        for number, seed in enumerate(seeds):
            if number % 50 == 0:
                gc.collect()
            try:
                play(seed)
            # Whatever it is, the seed says how to get there again.
            except Exception as error:  # noqa: BLE001
                failed += 1
                print(f"FAULT seed {seed}: {type(error).__name__}: {error}", flush=True)
    return 1 if failed else 0


def tests(arguments: argparse.Namespace) -> bool:
    """Runs the tests of this folder on each database; those marked `long` in the long form alone."""
    sound = True
    for database in DATABASES[arguments.database]:
        environment = {**os.environ, "SMNB_TEST_DATABASE": database}
        command = [sys.executable, "-m", "pytest", "-q", "tests/chaos"]
        command += [] if arguments.long else ["-m", "not long"]
        sound = subprocess.run(command, env=environment, check=False).returncode == 0 and sound
    return sound


def slow(arguments: argparse.Namespace) -> bool:
    """Runs the tests that `make test` leaves out, in the same lanes."""
    command = [sys.executable, "-m", "tests.lanes", "--slow", f"--randomly-seed={arguments.seed}"]
    return subprocess.run(command, check=False).returncode == 0


PARTS = {
    "simulation": simulation,
    "kills": kills,
    "tests": tests,
    "slow": slow,
    "recording": recording,
}


def main() -> int:
    arguments = read_arguments()
    print(f"seed: {arguments.seed}", flush=True)
    chosen = [arguments.part] if arguments.part else ["simulation", "kills", "tests", "slow"]
    sound = True
    # All of them, also after one that failed.
    for name in chosen:
        print(f"\n== {name}", flush=True)
        sound = PARTS[name](arguments) and sound
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
