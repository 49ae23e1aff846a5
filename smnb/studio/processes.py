"""The processes of one studio on one machine."""

from __future__ import annotations

import signal
import sys

from smnb.studio.child import ChildSpec
from smnb.studio.redis import EmbeddedRedis

# A worker that still runs a task gets this long; its step's lease covers the rest.
WORKER_SOFT_SECONDS = 5
WORKER_ENVIRONMENT = {
    "REMAP_SIGTERM": "SIGQUIT",
    # Said to root because of pickle, which no message here uses.
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
}


def redis_child(server: EmbeddedRedis) -> ChildSpec:
    return ChildSpec(
        "redis", server.command(), ready=server.is_ready, ready_within=10, grace=3, last=True
    )


def studio_children(port: int, host_slots: int) -> list[ChildSpec]:
    """Web, workers and sweeper; they read everything else from the environment we inherited."""
    manage = (sys.executable, "manage.py")
    return [
        ChildSpec("web", _daphne(port)),
        _worker("control", "control,producer", 2),
        _worker("host", "host,drafting", host_slots),
        ChildSpec("sweeper", (*manage, "sweep", "--forever")),
    ]


def _daphne(port: int) -> list[str]:
    return [
        *(
            sys.executable,
            "-m",
            "daphne",
            "-e",
            f"tcp:{port}:interface=127.0.0.1:backlog=2048",
            "-v",
            "0",
        ),
        *("--ping-interval", "20", "--ping-timeout", "30", "--application-close-timeout", "3"),
        *("--websocket_timeout", "43200", "smnb.asgi:application"),
    ]


def _worker(name: str, queues: str, processes: int) -> ChildSpec:
    command = [
        *(sys.executable, "-m", "celery", "-q", "-A", "smnb", "worker", "-Q", queues),
        *("-c", str(processes), "-n", f"{name}@%h", "--loglevel", "WARNING"),
        *("--without-mingle", "--without-gossip"),
        *("--", f"worker.soft_shutdown_timeout={WORKER_SOFT_SECONDS}"),
    ]
    return ChildSpec(
        name,
        command,
        env=WORKER_ENVIRONMENT,
        grace=WORKER_SOFT_SECONDS + 3,
        # Redis dies in the same moment, and without it a soft stop never ends.
        orphan_signal=signal.SIGKILL,
    )
