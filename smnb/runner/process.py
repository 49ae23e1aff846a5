"""The child processes of a studio: how each is started, ended, and copied to stderr."""

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

# Loaded at import, as loading a library between fork and exec is not safe.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ChildSpec:
    """How to run and end a process; times are in seconds.

    ``env`` is added to the studio's environment. ``ready`` is polled after the start; the next child
    starts once it returns True. Children with ``last`` are stopped after the others have ended. The
    kernel sends ``orphan_signal`` when the studio itself is killed.
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
    """A running process of a ChildSpec, the leader of its own process group."""

    def __init__(self, spec: ChildSpec, width: int = 0) -> None:
        self.spec = spec
        parent = os.getpid()
        self.process = subprocess.Popen(
            spec.argv,
            # Unbuffered, so that lines appear when they are written and not when a buffer is full.
            env={**os.environ, "PYTHONUNBUFFERED": "1", **spec.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A Ctrl-C in the terminal then reaches only the studio, which stops the children in
            # order.
            start_new_session=True,
            preexec_fn=lambda: die_with(parent, spec.orphan_signal),  # noqa: PLW1509
        )
        self._reader = threading.Thread(target=self._copy_lines, args=(width,), daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self) -> None:
        """Asks the process to end; it has to end its own children."""
        if not self.ended:
            self.process.send_signal(self.spec.stop_signal)

    def kill(self) -> None:
        """Kills what is left of the process group and waits for its leader."""
        # The group may be empty; macOS raises EPERM when only a zombie is left of it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        # With a limit, as a process outside the group could hold the pipe open.
        self._reader.join(timeout=1)

    def _copy_lines(self, width: int) -> None:
        """Copies the process's output to stderr, line by line, behind its name."""
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                say(f"{self.spec.name:{width}} | {text}")


def say(text: str) -> None:
    """Writes a line to stderr; a closed terminal is ignored."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def die_with(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Makes the kernel signal this process when its parent dies, even by SIGKILL.

    Called between fork and exec. macOS has no such call: there the children of a killed studio run
    until they are stopped.
    """
    if _LIBC is None:
        return
    _LIBC.prctl(PR_SET_PDEATHSIG, number)
    # The parent may have died before the call above took effect.
    if os.getppid() != parent:
        os._exit(1)


# How long a worker may finish its task; after that the lease of its step expires.
WORKER_SOFT_SECONDS = 5

WORKER_ENVIRONMENT = {
    # SIGTERM would wait for running tasks without a limit; SIGQUIT waits as long as the soft
    # shutdown allows.
    "REMAP_SIGTERM": "SIGQUIT",
    # Celery warns root about pickle, which no message here uses.
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser",
}


def redis_child(server: EmbeddedRedis) -> ChildSpec:
    return ChildSpec(
        "redis", server.command(), ready=server.is_ready, ready_within=10, grace=3, last=True
    )


def studio_children(port: int, host_slots: int) -> list[ChildSpec]:
    """Returns web, workers and sweeper; they read their settings from the environment."""
    manage = (sys.executable, "manage.py")
    return [
        ChildSpec(
            "web",
            [
                *(sys.executable, "-m", "daphne", "-v", "0"),
                # The default backlog is too short when all viewers reconnect at once.
                *("-e", f"tcp:{port}:interface=127.0.0.1:backlog=2048"),
                # Pings show a page that is gone without closing its socket, e.g. a laptop that
                # sleeps.
                *("--ping-interval", "20", "--ping-timeout", "30"),
                # The hub closes every socket within 12 hours, with a code; the last option only
                # backs it up.
                *("--application-close-timeout", "3", "--websocket_timeout", "43200"),
                "smnb.asgi:application",
            ],
        ),
        # Two workers, so that long narrations and drafts never block the producer and the controls.
        _worker("control", "control,producer", 2),
        _worker("host", "host,drafting", host_slots),
        ChildSpec("sweeper", (*manage, "sweep", "--forever")),
    ]


def _worker(name: str, queues: str, processes: int) -> ChildSpec:
    command = [
        *(sys.executable, "-m", "celery", "-q", "-A", "smnb", "worker", "-Q", queues),
        *("-c", str(processes), "-n", f"{name}@%h", "--loglevel", "WARNING"),
        # Both features cost time and messages, and these workers share no state.
        *("--without-mingle", "--without-gossip"),
        *("--", f"worker.soft_shutdown_timeout={WORKER_SOFT_SECONDS}"),
    ]
    return ChildSpec(
        name,
        command,
        env=WORKER_ENVIRONMENT,
        grace=WORKER_SOFT_SECONDS + 3,
        # The embedded Redis is killed too, and without it a soft stop never ends.
        orphan_signal=signal.SIGKILL,
    )
