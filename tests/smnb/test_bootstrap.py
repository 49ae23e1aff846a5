"""The first of the two commands' steps: a virtual environment from the lock."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap

ROOT = Path(__file__).resolve().parents[2]
LOCK = """\
daphne==4.2.3 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
# a remark
uv==0.13.8 ; python_version < '4' \\
    --hash=sha256:cc
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with the files that bootstrap.py reads, and nothing installed."""
    for name in ("bootstrap.py", bootstrap.VOICES, *bootstrap.LOCKS.values()):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "vendor", tmp_path / "vendor")
    return tmp_path


def run(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "bootstrap.py"],
        cwd=clone,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        umask=0o022,  # as most people have it
    )


def test_an_old_python_can_read_the_file_far_enough_to_be_told() -> None:
    ast.parse((ROOT / "bootstrap.py").read_text(), feature_version=(3, 6))


def test_an_old_python_alone_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 9, 18))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(bootstrap.Trouble, match=r"needs Python 3\.11 or newer and found only 3\.9"):
        bootstrap.find_python()


def test_a_shim_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, code in (("python3.14", "exit 127"), ("python3.12", "echo 3 12")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr("sys.version_info", (3, 9, 18))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.find_python() == str(tmp_path / "python3.12")


def test_a_lock_is_taken_apart_by_package() -> None:
    found = bootstrap.packages(LOCK)
    assert list(found) == ["daphne", "uv"]
    assert found["uv"].splitlines()[1].strip() == "--hash=sha256:cc"


@pytest.mark.slow
def test_an_unreachable_index_is_one_sentence_and_no_traceback(clone: Path) -> None:
    result = run(
        clone,
        PIP_CONFIG_FILE=os.devnull,
        PIP_FIND_LINKS="",
        PIP_EXTRA_INDEX_URL="",
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("The package index cannot be reached")
    assert "Traceback" not in result.stderr
    # So that the studio does not say first that it had to make its data folder private.
    modes = {path.name: path.stat().st_mode & 0o777 for path in (clone / "var").iterdir()}
    assert modes == {"install.lock": 0o600, "install.log": 0o600, "uv.lock": 0o600}


def test_an_unchanged_lock_installs_nothing(clone: Path) -> None:
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    digest = bootstrap.fingerprint("dev")
    (clone / ".venv" / ".stamp").write_text(digest)
    result = run(clone)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("there", "asked", "installed"),
    [
        ("", "run", "run"),
        ("", "audio", "audio"),
        ("uvicorn", "run", "uvicorn"),
        ("uvicorn", "otel", "otel"),
        ("audio", "otel", "audio"),
        ("audio", "run", "audio"),
        ("dev", "audio", "dev"),
    ],
)
def test_what_was_asked_for_once_stays(
    clone: Path, monkeypatch: pytest.MonkeyPatch, there: str, asked: str, installed: str
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", clone)
    (clone / ".venv").mkdir()
    if there:
        (clone / ".venv" / ".stamp").write_text(bootstrap.fingerprint(there))
    assert bootstrap.Setup(asked).kind == installed


def test_voices_are_installed_beside_whatever_else_is_installed(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installer in the place of uv and pip, which notes what it is asked for."""
    python = clone / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (clone / ".venv" / ".stamp").write_text(bootstrap.fingerprint("dev"))
    uv = clone / ".venv" / "bin" / "uv"
    uv.write_text('#!/bin/sh\necho "$@" >> asked\nmkdir -p .voices/piper\n')
    uv.chmod(0o755)
    monkeypatch.setattr(bootstrap, "ROOT", clone)
    monkeypatch.chdir(clone)
    assert bootstrap.main(["--voices"]) == 0
    assert (clone / "asked").read_text().split()[:2] == ["pip", "install"]
    assert "requirements-voices.txt" in (clone / "asked").read_text()
    # Nothing more is installed later, and an update of the lock is.
    for arguments in ([], ["--voices"], ["--dev"]):
        assert bootstrap.main(arguments) == 0
    assert (clone / "asked").read_text().count("pip install") == 1
    with (clone / bootstrap.VOICES).open("a") as lock:
        lock.write("# a new version\n")
    assert bootstrap.main([]) == 0
    assert (clone / "asked").read_text().count("pip install") == 2
    uv.write_text("#!/bin/sh\nexit 1\n")
    (clone / ".voices" / ".stamp").write_text("old")
    assert bootstrap.main([]) == 1


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("error: command 'gcc' failed: No such file or directory", "C compiler"),
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("dns error: failed to lookup address information", "cannot be reached"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "was not installed"),
        ("something else", "Installing the packages failed"),
    ],
)
def test_a_failed_installation_is_explained_in_plain_words(log: str, words: str) -> None:
    assert words in bootstrap.reason(log)


def test_no_lock_names_a_host() -> None:
    for name in (bootstrap.VOICES, *bootstrap.LOCKS.values()):
        assert "://" not in (ROOT / name).read_text()


def test_each_lock_pins_what_those_before_it_pin() -> None:
    locks = [(ROOT / name).read_text().splitlines() for name in bootstrap.LOCKS.values()]
    # Markers may differ: a test tool can want everywhere what the studio wants on one platform.
    studio, server, traces, audio, tests = (
        {line.split(" ")[0] for line in lines if "==" in line} for lines in locks
    )
    assert studio < server < traces < audio < tests
