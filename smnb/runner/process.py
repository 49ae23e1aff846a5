"""One child process: its start, its lines on our stderr, its end with all it started itself.

The processes of one studio on one machine.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from smnb.runner.redis_server import EmbeddedRedis

PR_SET_PDEATHSIG = 1

# Loaded here, not between fork and exec, where only little is safe.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ChildSpec:
    """What to run and how to end it; seconds throughout.

    ``env`` is added to ours. ``ready`` is asked until it says True, after the start and before the
    next child starts. ``last`` children are stopped when the others have ended. ``orphan_signal``
    is what the kernel sends when the studio itself is killed.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 5.0
    ready: Callable[[], bool] | None = None
    ready_within: float = 30.0
    last: bool = False
    orphan_signal: signal.Signals = signal.SIGTERM


class Child:
    """A running process made from a ChildSpec, leader of its own process group."""

    def __init__(self, spec: ChildSpec, width: int = 0) -> None:
        self.spec = spec
        parent = os.getpid()
        self.process = subprocess.Popen(
            spec.argv,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **spec.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The terminal's Ctrl-C reaches the studio alone, which stops the children in order.
            start_new_session=True,
            preexec_fn=lambda: die_with(parent, spec.orphan_signal),  # noqa: PLW1509
        )
        self._reader = threading.Thread(target=self._copy_lines, args=(width,), daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        """Asks the leader to end; it looks after its own children."""
        if not self.ended:
            self.process.send_signal(self.spec.stop_signal)

    def kill(self) -> None:
        """Ends whatever is left of the group at once, and reaps the leader."""
        # Nobody may be left; macOS says so with EPERM when only a zombie is.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(timeout=1)

    def _copy_lines(self, width: int) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                say(f"{self.spec.name:{width}} | {text}")


def say(text: str) -> None:
    """One line to stderr. A closed terminal takes none, and that must not stop anything."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def die_with(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Between fork and exec: have the kernel signal us when the parent dies, even by kill -9.

    macOS has no such thing: there the children of a killed studio stay until they are stopped.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


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
