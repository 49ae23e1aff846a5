"""The child processes of a studio: how each is started, ended, and copied to the log.

A Python child is a fork of the studio where that is safe: it then shares the memory of the application,
which the studio has loaded, and starts at once. Otherwise it is a new interpreter.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO, NoReturn, TypeVar

from smnb.logging import relay

PR_SET_PDEATHSIG = 1

T = TypeVar("T")

# Loaded at import, as loading a library between fork and exec is not safe.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class ChildSpec:
    """How to run and end a process; times are in seconds.

    ``env`` is added to the studio's environment. With ``fork``, ``argv`` is a Python command that
    may run in a fork of the studio; with ``call`` too, the fork calls it instead. ``ready`` is polled
    after the start; the next child starts once it returns True. Children with ``last`` are stopped
    after the others have ended. The kernel sends ``orphan_signal`` when the studio itself is killed.
    One that ``signs`` calls ``sign`` in its main loop.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    fork: bool = False
    call: Callable[[], object] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 5.0
    ready: Callable[[], bool] | None = None
    ready_within: float = 30.0
    last: bool = False
    signs: bool = False
    orphan_signal: signal.Signals = signal.SIGTERM


def can_fork() -> bool:
    """Whether a fork is safe: no other thread may hold a lock, and macOS forbids it to its libraries."""
    return sys.platform == "linux" and threading.active_count() == 1


def call_in_fork(function: Callable[[], T], meanwhile: Callable[[], object]) -> T:
    """Returns what ``function`` returns in a fork, beside which this process calls ``meanwhile``.

    Ends this process if the function raises. Where a fork is not safe, calls one after the other.
    """
    if not can_fork():
        meanwhile()
        return function()
    parent = os.getpid()

    def call() -> None:
        die_with(parent, signal.SIGKILL)
        sender.send(function())

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=call)
    process.start()
    sender.close()
    meanwhile()
    try:
        result: T = receiver.recv()
    except EOFError:
        # The fork has printed its error.
        sys.exit(1)
    process.join()
    return result


class Fork:
    """A copy of this process that runs a Python command; it has what ``Child`` uses of Popen."""

    def __init__(self, spec: ChildSpec, env: Mapping[str, str], signs: int) -> None:
        read, write = os.pipe()
        begun, beginning = os.pipe()
        parent = os.getpid()
        # The copy would write the same text again.
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _run_copy(spec, env, parent, write, signs)
        os.close(write)
        os.close(beginning)
        # Closed by the copy once it leads its own group, without which kill() would not find it.
        with os.fdopen(begun, "rb") as pipe:
            pipe.read()
        self.stdout: IO[bytes] | None = os.fdopen(read, "rb", buffering=0)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        # Reaped first, as the id of a process that was waited for may be another one's.
        if self.poll() is None:
            os.kill(self.pid, number)


def _run_copy(
    spec: ChildSpec, env: Mapping[str, str], parent: int, output: int, signs: int
) -> NoReturn:
    """Turns a fork of the studio into the child, runs its command and ends; never raises."""
    code: object = 1
    try:
        from setproctitle import setproctitle

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        die_with(parent, spec.orphan_signal)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # The studio's own may write only full blocks.
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        os.dup2(signs, 3)
        # The lock of the data folder among them, which must end with the studio.
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        os.environ.update({**env, SIGN_PIPE: "3"})
        setproctitle(" ".join(spec.argv))
        _, *sys.argv = spec.argv
        if spec.call is not None:
            spec.call()
        elif sys.argv[0] == "-m":
            del sys.argv[0]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        # Not sys.exit(): the frames above belong to the studio and would stop its children.
        os._exit(code if isinstance(code, int) else 1)


class Child:
    """A running process of a ChildSpec, the leader of its own process group."""

    def __init__(self, spec: ChildSpec, width: int = 0) -> None:
        self.spec = spec
        self._width = width
        self._line = b""
        received, signs = os.pipe()
        self._signs = os.fdopen(received, "rb", buffering=0)
        for number in (received, signs):
            os.set_blocking(number, False)
        # Unbuffered, so that lines appear when they are written and not when a buffer is full.
        env = {"PYTHONUNBUFFERED": "1", **spec.env, SIGN_PIPE: str(signs)}
        parent = os.getpid()
        self.process: Fork | subprocess.Popen[bytes]
        try:
            if spec.fork and can_fork():
                self.process = Fork(spec, env, signs)
            else:
                self.process = subprocess.Popen(
                    spec.argv,
                    env={**os.environ, **env},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    # A Ctrl-C in the terminal then reaches only the studio, which stops the children
                    # in order.
                    start_new_session=True,
                    pass_fds=(signs,),
                    preexec_fn=lambda: die_with(parent, spec.orphan_signal),  # noqa: PLW1509
                )
        finally:
            os.close(signs)
        assert self.process.stdout is not None
        self.output: IO[bytes] | None = self.process.stdout
        os.set_blocking(self.output.fileno(), False)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def signed(self) -> bool:
        """Whether the process has given a sign of life since the last call."""
        return bool(self._signs.read(65_536))

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
        self._signs.close()
        # With a limit, as a process outside the group could hold the pipe open.
        until = time.monotonic() + 1.0
        while self.output is not None and time.monotonic() < until:
            copy_lines([self], 0.01)
        if self.output is not None:
            self._close()

    def copy(self) -> None:
        """Copies the lines that the process has written to the log, each behind its name."""
        while self.output is not None:
            try:
                piece = os.read(self.output.fileno(), 65_536)
            except BlockingIOError:
                return
            *lines, self._line = (self._line + piece).split(b"\n")
            for line in lines:
                relay(f"{self.spec.name:{self._width}} | {line.decode(errors='replace').rstrip()}")
            if not piece:
                self._close()

    def _close(self) -> None:
        if self._line:
            self._line, rest = b"", self._line
            relay(f"{self.spec.name:{self._width}} | {rest.decode(errors='replace').rstrip()}")
        assert self.output is not None
        self.output.close()
        self.output = None


def copy_lines(children: Sequence[Child], seconds: float) -> None:
    """Copies the lines of the children for so long.

    Without a thread, because a process with threads cannot be forked safely.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        poll = select.poll()
        found = {child.output.fileno(): child for child in children if child.output is not None}
        for number in found:
            poll.register(number, select.POLLIN)
        for number, _ in poll.poll(left * 1000):
            found[number].copy()


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


# The variable that holds the number of the pipe into which a child of the studio writes its signs.
SIGN_PIPE = "SMNB_SIGN_PIPE"
SIGN_EVERY = 3.0  # seconds; a main loop may call ``sign`` as often as it likes
_next_sign = {"at": 0.0}


def sign() -> None:
    """Gives a sign of life, in the main loop of a process: to the studio, or to systemd if it asks."""
    now, pipe = time.monotonic(), os.environ.get(SIGN_PIPE)
    unit = os.environ.get("NOTIFY_SOCKET", "")
    if not (pipe or unit) or now < _next_sign["at"]:
        return
    _next_sign["at"] = now + SIGN_EVERY
    # A pipe is full while the studio is stopped.
    with suppress(OSError):
        if pipe:
            os.write(int(pipe), b".")
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.setblocking(False)
            notices.sendto(b"WATCHDOG=1", unit.replace("@", "\0", 1) if unit[0] == "@" else unit)


# How long a worker may finish its task; after that the lease of its step expires.
WORKER_SOFT_SECONDS = 5

WORKER_ENVIRONMENT = {
    # SIGTERM would wait for running tasks without a limit; SIGQUIT waits as long as the soft
    # shutdown allows.
    "REMAP_SIGTERM": "SIGQUIT",
    # Celery would give its processes other names than the commands that started them.
    "NOSETPS": "1",
}


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
            fork=True,
            signs=True,
        ),
        # Two workers, so that long narrations and drafts never block the producer and the controls.
        _worker("control", "control,producer", 2),
        _worker("host", "host,drafting", host_slots),
        ChildSpec("sweeper", (*manage, "sweep", "--forever"), fork=True, signs=True),
    ]


def _worker(name: str, queues: str, processes: int) -> ChildSpec:
    command = [
        *(sys.executable, "-m", "celery", "-q", "-A", "smnb", "worker", "-Q", queues),
        *("--autoscale", f"{processes},0", "-n", f"{name}@%h", "--loglevel", "WARNING"),
        # Both features cost time and messages, and these workers share no state.
        *("--without-mingle", "--without-gossip", "--without-heartbeat"),
        *("--", f"worker.soft_shutdown_timeout={WORKER_SOFT_SECONDS}"),
    ]
    return ChildSpec(
        name,
        command,
        fork=True,
        signs=True,
        call=partial(run_worker, name, queues, processes),
        env=WORKER_ENVIRONMENT,
        grace=WORKER_SOFT_SECONDS + 3,
        # The embedded Redis is killed too, and without it a soft stop never ends.
        orphan_signal=signal.SIGKILL,
    )


def run_worker(name: str, queues: str, processes: int) -> None:
    """Runs a worker as its command would, without Celery's command line.

    That one loads a toolkit for terminals, which takes 8 MB and a third of the start.
    """
    from smnb.celery import app

    app.conf.worker_soft_shutdown_timeout = WORKER_SOFT_SECONDS
    worker = app.Worker(
        hostname=f"{name}@{socket.gethostname()}",
        queues=queues,
        autoscale=(processes, 0),
        loglevel="WARNING",
        quiet=True,
        without_mingle=True,
        without_gossip=True,
        # Nothing reads it, and a worker would wait for a Redis that hangs to send it.
        without_heartbeat=True,
    )
    worker.start()
    sys.exit(worker.exitcode)
