"""The supervisor, with tiny children of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from smnb.runner import process
from smnb.runner import supervisor as supervisor_module
from smnb.runner.process import ChildSpec
from smnb.runner.supervisor import GaveUp, Stopped, Supervisor, read_status

ROOT = Path(__file__).resolve().parents[3]
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(600)",
]
# Ends softly, but has a child of its own that it forgets.
FORGETFUL = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(600)"
)
PARENT = [sys.executable, "-c", FORGETFUL]


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return not state.stdout.startswith("Z") and bool(state.stdout.strip())


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_children_start_in_order_and_each_waits_for_the_one_before(tmp_path: Path) -> None:
    mark = tmp_path / "ready"
    touch = f"import pathlib, time; pathlib.Path({str(mark)!r}).touch(); time.sleep(600)"
    look = f"import pathlib; print('seen', pathlib.Path({str(mark)!r}).exists())"
    first = ChildSpec("first", [sys.executable, "-c", touch], ready=mark.exists)
    second = ChildSpec("second", [sys.executable, "-c", f"{look}; import time; time.sleep(600)"])
    with Supervisor([first, second]) as supervisor:
        supervisor.start()
        assert set(supervisor.pids()) == {"first", "second"}
        assert mark.exists()


def test_each_line_of_a_child_is_on_stderr_with_its_name(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code = "import sys; print('to stdout'); print('to stderr', file=sys.stderr); input()"
    with Supervisor([ChildSpec("chatty", [sys.executable, "-c", code])]) as supervisor:
        supervisor.start()
        supervisor.run(within=0.3)
    out, err = capfd.readouterr()
    assert out == ""
    assert {"chatty | to stdout", "chatty | to stderr"} <= set(err.splitlines())


def test_a_killed_child_is_started_again() -> None:
    with Supervisor([ChildSpec("web", SLEEP)]) as supervisor:
        supervisor.start()
        former = supervisor.pids()["web"]
        os.kill(former, signal.SIGKILL)
        assert supervisor.run(lambda: supervisor.pids().get("web", former) != former, within=20)


def test_what_a_dead_child_left_behind_is_ended_before_it_starts_again(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with Supervisor([ChildSpec("worker", [*PARENT, str(note)])]) as supervisor:
        supervisor.start()
        assert eventually(lambda: note.exists() and bool(note.read_text()))
        grandchild = int(note.read_text())
        os.kill(supervisor.pids()["worker"], signal.SIGKILL)
        assert supervisor.run(lambda: not alive(grandchild), within=20)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of 0.01 s to 0.05 s in place of 0.5 s to 30 s."""
    monkeypatch.setattr(supervisor_module, "TICK", 0.01)
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor_module, "LONGEST_PAUSE", 0.05)


def pauses(capfd: pytest.CaptureFixture[str]) -> list[str]:
    lines = [line for line in capfd.readouterr().err.splitlines() if "restarting in" in line]
    return [line.rsplit(" ", 2)[1] for line in lines]


def test_a_part_that_never_got_ready_ends_the_studio_after_five_starts(
    hurried: None, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = ChildSpec("broken", [sys.executable, "-c", "raise SystemExit(3)"])
    with Supervisor([broken, ChildSpec("web", SLEEP)]) as supervisor:
        supervisor.start()
        web = supervisor.pids()["web"]
        with pytest.raises(GaveUp, match="broken ended 5 times before it was ready"):
            supervisor.run()
    assert not alive(web)
    assert pauses(capfd) == ["0.01", "0.02", "0.04", "0.05"]


def test_a_part_that_was_ready_is_restarted_for_as_long_as_the_studio_runs(
    hurried: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    works, starts = tmp_path / "works", tmp_path / "starts"
    works.touch()
    # It runs while the file is there, and ends at once afterwards, as with a fault that persists.
    code = (
        "import pathlib, time\n"
        f"open({str(starts)!r}, 'a').write('.')\n"
        f"while pathlib.Path({str(works)!r}).exists(): time.sleep(0.01)\n"
        "raise SystemExit(3)"
    )
    host = ChildSpec("host", [sys.executable, "-S", "-c", code])
    with Supervisor([host, ChildSpec("web", SLEEP)]) as supervisor:
        supervisor.start()
        web = supervisor.pids()["web"]
        assert supervisor.run(starts.exists, within=20)
        supervisor.confirm_ready()
        works.unlink()
        assert supervisor.run(lambda: len(starts.read_text()) >= 12, within=60)
        # The fault is gone: it runs again, and the others never stopped.
        works.touch()
        assert supervisor.run(lambda: "host" in supervisor.pids(), within=20)
        assert supervisor.pids()["web"] == web
    found = pauses(capfd)
    assert found[:3] == ["0.01", "0.02", "0.04"]
    assert len(found) >= 11
    assert set(found[3:]) == {"0.05"}


def test_after_a_quiet_while_pauses_begin_with_the_first_again(
    hurried: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisor_module, "QUIET", 0.0)
    # Each run counts as quiet, so it was ready without any other sign and never ends the studio.
    with Supervisor([ChildSpec("web", [sys.executable, "-S", "-c", ""])]) as supervisor:
        supervisor.start()
        found: list[str] = []

        def enough() -> bool:
            found.extend(pauses(capfd))
            return len(found) >= 6

        assert supervisor.run(enough, within=60)
    assert set(found) == {"0.01"}


def test_a_part_whose_program_is_gone_is_tried_until_it_is_back(
    hurried: None, tmp_path: Path
) -> None:
    program, kept = tmp_path / "program", tmp_path / "kept"
    program.symlink_to(SLEEP[0])
    with Supervisor([ChildSpec("redis", [str(program), *SLEEP[1:]])]) as supervisor:
        supervisor.start()
        supervisor.confirm_ready()
        program.rename(kept)
        os.kill(supervisor.pids()["redis"], signal.SIGKILL)
        supervisor.run(within=0.5)
        assert supervisor.pids() == {}
        kept.rename(program)
        assert supervisor.run(lambda: "redis" in supervisor.pids(), within=20)


def test_the_parts_that_are_down_are_read_from_the_status_file(tmp_path: Path) -> None:
    status = tmp_path / "studio.json"
    # What a killed studio left is not true any more.
    status.write_text('{"web": {}}')
    children = [ChildSpec("web", SLEEP), ChildSpec("host", SLEEP)]
    with Supervisor(children, status) as supervisor:
        assert read_status(status) == {}
        supervisor.start()
        supervisor.confirm_ready()
        os.kill(supervisor.pids()["host"], signal.SIGKILL)
        assert supervisor.run(lambda: bool(read_status(status)), within=20)
        [(name, down)] = (read_status(status) or {}).items()
        assert (name, down["ended"]) == ("host", "signal 9")
        assert down["since"] < down["next_start"]
        assert supervisor.run(lambda: read_status(status) == {}, within=20)
        assert "host" in supervisor.pids()


# Gives signs of life while its file is there, and then stands still.
SIGNING = """
import pathlib, sys, time
from smnb.runner import process
process.SIGN_EVERY = 0.01
while pathlib.Path(sys.argv[1]).exists():
    process.sign()
    time.sleep(0.01)
time.sleep(600)
"""


def test_a_part_that_lives_and_does_nothing_is_replaced(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    busy, status = tmp_path / "busy", tmp_path / "studio.json"
    busy.touch()
    script = tmp_path / "signing.py"
    script.write_text(SIGNING)
    argv, env = [sys.executable, str(script), str(busy)], {"PYTHONPATH": str(ROOT)}
    signing = ChildSpec("control", argv, env, signs=True)
    # Of one that is not expected to sign, silence means nothing.
    with Supervisor([signing, ChildSpec("redis", SLEEP)], status, 2.0) as supervisor:
        supervisor.start()
        supervisor.confirm_ready()
        before = supervisor.pids()
        assert not supervisor.run(lambda: supervisor.pids() != before, within=4)
        # The studio, or the machine, was stopped for longer than the longest silence.
        os.kill(before["control"], signal.SIGSTOP)
        time.sleep(2.5)
        os.kill(before["control"], signal.SIGCONT)
        assert not supervisor.run(lambda: supervisor.pids() != before, within=0.5)
        busy.unlink()
        assert supervisor.run(lambda: "control" in (read_status(status) or {}), within=30)
        down = (read_status(status) or {})["control"]
        assert down["ended"] == "killed after 2 s without a sign of life"
        busy.touch()
        assert supervisor.run(lambda: len(supervisor.pids()) == 2, within=30)
        after = supervisor.pids()
        assert after["redis"] == before["redis"]
        assert after["control"] != before["control"]
        assert not alive(before["control"])
    sentence = "control ended (killed after 2 s without a sign of life); restarting in 0.5 s"
    assert sentence in capfd.readouterr().err


def test_a_part_may_take_longer_to_give_its_first_sign() -> None:
    slow = ChildSpec("web", SLEEP, signs=True)
    with Supervisor([slow], longest_silence=0.5) as supervisor:
        supervisor.start()
        before = supervisor.pids()
        assert not supervisor.run(lambda: supervisor.pids() != before, within=1.5)
        assert supervisor.run(lambda: supervisor.pids() != before, within=30)


def test_where_systemd_watches_it_gets_the_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        for _ in range(2):
            monkeypatch.setitem(process._next_sign, "at", 0.0)
            process.sign()
            assert systemd.recv(100) == b"WATCHDOG=1"
        process.sign()
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(100)


def test_a_child_that_never_gets_ready_is_an_error_in_one_sentence() -> None:
    slow = ChildSpec("redis", SLEEP, ready=lambda: False, ready_within=0.3)
    with Supervisor([slow]) as supervisor, pytest.raises(GaveUp, match="redis was not ready"):
        supervisor.start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    children = [ChildSpec("redis", SLEEP, last=True), ChildSpec("worker", [*PARENT, str(note)])]
    with Supervisor(children) as supervisor:
        supervisor.start()
        assert eventually(lambda: note.exists() and bool(note.read_text()))
        pids = [*supervisor.pids().values(), int(note.read_text())]
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped):
            supervisor.run()
    assert eventually(lambda: not any(map(alive, pids)))


def test_redis_ends_after_the_others(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    open({str(log)!r}, 'a').write(sys.argv[1] + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(15, end); print('up'); open(sys.argv[2], 'w').close(); time.sleep(600)"
    )
    marks = {name: tmp_path / name for name in ("redis", "web")}
    children = [
        ChildSpec(
            name,
            [sys.executable, "-c", code, name, str(mark)],
            ready=mark.exists,
            last=name == "redis",
        )
        for name, mark in marks.items()
    ]
    with Supervisor(children) as supervisor:
        supervisor.start()
    assert log.read_text().split() == ["web", "redis"]


def test_a_child_that_ignores_the_soft_stop_is_killed_after_its_grace() -> None:
    with Supervisor([ChildSpec("deaf", DEAF, grace=0.5)]) as supervisor:
        supervisor.start()
        pid = supervisor.pids()["deaf"]
        supervisor.run(within=0.5)
    assert not alive(pid)


def test_a_second_signal_hurries() -> None:
    patient = threading.Event()

    def press_again() -> None:
        patient.set()
        os.kill(os.getpid(), signal.SIGINT)

    with Supervisor([ChildSpec("deaf", DEAF, grace=600)]) as supervisor:
        supervisor.start()
        supervisor.run(within=0.5)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(1, press_again).start()
    assert patient.is_set()


def test_a_studio_killed_with_nine_leaves_nothing_on_linux() -> None:
    code = (
        "import sys\n"
        "from smnb.runner.process import ChildSpec\n"
        "from smnb.runner.supervisor import Supervisor\n"
        "with Supervisor([ChildSpec('web', [sys.executable, '-c', 'import time; "
        "time.sleep(600)'])]) as s:\n"
        "    s.start(); print(s.pids()['web'], flush=True); s.run()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as studio:
        assert studio.stdout is not None
        child = int(studio.stdout.readline())
        studio.kill()
    assert eventually(lambda: not alive(child))


# A studio that has loaded something, which a fork of it has too, and whose lock must end with it.
LOADED = """
import sys, tempfile, threading
from smnb.runner.process import ChildSpec
from smnb.runner.supervisor import Supervisor

sys.loaded_by_the_studio = True
lock = tempfile.TemporaryFile()
if sys.argv[1] == "thread":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
child = ChildSpec("web", [sys.executable, *sys.argv[2:]], env={"GREETING": "hello"}, fork=True)
with Supervisor([child]) as supervisor:
    supervisor.start()
    supervisor.run()
"""
FORKED = """
import os, sys, time
print("began", os.getpid(), hasattr(sys, "loaded_by_the_studio"), os.environ["GREETING"], sys.argv[1])
print(os.getsid(0) == os.getpid(), open("/proc/self/cmdline").read().split(chr(0))[0].split()[-1])
if sys.argv[1] == "fail":
    raise LookupError("a fault of the child")
names = [name for name in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + name)]
# In one write, as the child is killed as soon as the line has arrived.
os.write(1, f"open {' '.join(names)}\\nhalf a line".encode())
time.sleep(600)
"""


@pytest.fixture
def forked(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    script = tmp_path / "child.py"
    script.write_text(FORKED)

    with ExitStack() as ending:

        def start(kind: str, argument: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", LOADED, kind, str(script), argument]
            # Lines have to come at once without it too.
            env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
            studio = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)
            ending.enter_context(studio)
            ending.callback(studio.kill)
            return studio

        yield start


def line_with(studio: subprocess.Popen[str], text: str) -> str:
    """Returns the next line of the studio that contains the text."""
    assert studio.stderr is not None
    return next(line.rstrip() for line in studio.stderr if text in line)


def test_a_forked_child_shares_what_is_loaded_and_nothing_else(
    forked: Callable[..., subprocess.Popen[str]],
) -> None:
    studio = forked("alone", "stay")
    _, _, _, pid, shares, greeting, argument = line_with(studio, "began").split()
    assert (shares, greeting, argument) == ("True", "hello", "stay")
    # It leads its own session, and its command is what ps shows.
    assert line_with(studio, "web |") == "web | True stay"
    assert line_with(studio, "open") == "web | open 0 1 2 3"
    os.kill(int(pid), signal.SIGKILL)
    assert line_with(studio, "half a line") == "web | half a line"
    assert line_with(studio, "ended") == "studio | web ended (signal 9); restarting in 0.5 s"
    again = line_with(studio, "began").split()[3]
    assert again != pid
    studio.kill()
    assert eventually(lambda: not alive(int(again)))


def test_a_studio_with_threads_does_not_fork(
    forked: Callable[..., subprocess.Popen[str]],
) -> None:
    studio = forked("thread", "stay")
    assert line_with(studio, "began").split()[4:] == ["False", "hello", "stay"]


def test_a_fault_of_a_forked_child_is_printed_and_ends_it_alone(
    forked: Callable[..., subprocess.Popen[str]],
) -> None:
    studio = forked("alone", "fail")
    assert line_with(studio, "LookupError:") == "web | LookupError: a fault of the child"
    assert "web ended (exit status 1)" in line_with(studio, "ended")
    assert line_with(studio, "began")


CALLED = """
import os
from smnb.runner.process import call_in_fork

begun, beginning = os.pipe()


def function():
    # Waits for what is done meanwhile.
    return os.getpid() != int(os.read(begun, 20))


print(call_in_fork(function, lambda: os.write(beginning, str(os.getpid()).encode())), flush=True)
call_in_fork(lambda: {}["missing"], lambda: print("loaded", flush=True))
print("not reached")
"""


def test_a_call_in_a_fork_runs_beside_other_work_and_its_error_ends_the_studio() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CALLED], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (run.returncode, run.stdout) == (1, "True\nloaded\n")
    assert "KeyError: 'missing'" in run.stderr
