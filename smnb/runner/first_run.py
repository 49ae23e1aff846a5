"""Prepares a start: one studio per data folder, a free port, Redis, what processes load, and the owner.

On first use it creates that owner and the demo.
"""

from __future__ import annotations

import fcntl
import gc
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User

from broadcast import session_commands
from broadcast.speech import engines
from sessions_app import commands
from sessions_app.models import Session
from smnb.logging import studio_log
from smnb.runner.process import WORKER_ENVIRONMENT, ChildSpec
from smnb.runner.redis_server import EmbeddedRedis

DEMO_NAME = "Demo newsroom"

# What several children load when they start. Not smnb.asgi: the web process imports it after Daphne,
# whose classes it then replaces.
PRELOADED = (
    "broadcast.replay.consumers",
    "celery.apps.worker",
    "celery.backends.base",
    "celery.concurrency.asynpool",
    "celery.concurrency.prefork",
    "celery.contrib.django.task",
    "celery.events.dispatcher",
    "celery.worker.consumer.delayed_delivery",
    "django.db.models.sql.compiler",
    "kombu.pidbox",
    "kombu.transport.redis",
    "smnb.celery",
    "smnb.urls",
)


def prepare() -> list[str]:
    """Creates the owner and the demo if there are none; returns the lines to print at the start.

    They contain the password only when it was generated now.
    """
    owner, password = _find_or_create_owner()
    lines = [f"Studio:     {settings.PUBLIC_URL}/"]
    demo = _find_or_create_demo(owner) if settings.SMNB.demo else None
    if demo is not None and (address := session_commands.watch_url(demo)):
        lines.append(f"Watch page: {address}")
    if password:
        lines += [
            f"Sign in:    {owner.username} / {password}",
            "            (shown once; change it with manage.py changepassword)",
        ]
    else:
        lines.append(f"Sign in as: {owner.username}")
    if settings.SMNB.speech != "off" and not engines.available():
        lines.append(
            "Sound:      none from the studio yet; make audio adds its voice and a radio stream"
        )
    if settings.SMNB.log != "info":
        lines.append(f"Log:        {studio_log()} (SMNB_LOG=info shows it here)")
    return [*lines, "Ctrl-C stops everything."]


def _find_or_create_owner() -> tuple[User, str]:
    """Returns the owner, and the password if it was generated now."""
    env = settings.SMNB
    existing = User.objects.filter(username=env.owner).first()
    if existing is not None:
        return existing, ""
    given = env.owner_password.get_secret_value()
    password = given or secrets.token_urlsafe(12)
    owner = User.objects.create_superuser(env.owner, password=password)
    return owner, "" if given else password


def _find_or_create_demo(owner: User) -> Session | None:
    """Returns the owner's first session if it is visible; creates the demo if there is none.

    A new demo is made visible and goes live. An existing session is not changed.
    """
    first = Session.objects.filter(owner=owner).order_by("created_at").first()
    if first is not None:
        return first if first.visible else None
    data = {
        "name": DEMO_NAME,
        # A recording and the extractive model, so the demo needs no key and no network.
        "sources": [{"kind": "recording", "locator": "demo"}],
        "settings": {"model": "extractive"},
    }
    session = commands.run(session_commands.CREATE, owner, None, data)
    commands.run(session_commands.LOOP_SOURCES, owner, session, {})
    commands.run(session_commands.CHANGE, owner, session, {"visible": True})
    commands.run(session_commands.START, owner, session, {})
    return session


class AlreadyRunning(Exception):
    """Another studio uses the data folder; the message is shown in the terminal."""


@contextmanager
def only_studio(data_dir: Path) -> Iterator[None]:
    """Locks the data folder; AlreadyRunning when another process has. Ends with this process."""
    with (data_dir / "studio.lock").open("a+") as lock:
        try:
            # A lock of the kernel ends with the process, so a crash leaves no stale lock behind.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Mode "a+" begins at the end of the file.
            lock.seek(0)
            raise AlreadyRunning(
                f"Another studio is running on {data_dir} (process {lock.read().strip() or '?'}). "
                "Stop it, or set SMNB_DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen on host:port now; False also without the permission to."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # The server sets it too: connections that are still closing do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def port_taken_sentence(port: int) -> str:
    """Returns what to tell the user when the port cannot be used."""
    other = port + 1 if port < 65_535 else port - 1
    # Usually only root may bind these ports.
    if port < 1024:
        return f"Port {port} is taken or needs more rights. Set PORT=8000 make run."
    return f"Port {port} is taken. Set PORT={other} make run, or stop what uses it."


def redis_child(server: EmbeddedRedis) -> ChildSpec:
    return ChildSpec(
        "redis", server.command(), ready=server.is_ready, ready_within=10, grace=3, last=True
    )


def load_application() -> None:
    """Loads what the forked children need, so that they share its memory."""
    from setproctitle import getproctitle

    # Measures how long a title may be, for which the environment must not have changed yet.
    getproctitle()
    # Celery reads them when it is imported.
    os.environ.update(WORKER_ENVIRONMENT)
    # Twisted would load it if it can, for 13 MB, and the web process has no TLS of its own.
    sys.modules["OpenSSL"] = None  # type: ignore[assignment]
    gc.disable()
    for name in PRELOADED:
        import_module(name)
    # The collector then leaves these objects alone, and their pages stay shared.
    gc.freeze()
    gc.enable()
