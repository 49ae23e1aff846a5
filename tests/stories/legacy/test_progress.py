"""The progress of ``import_legacy``: the real command on a real terminal, and without one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from sessions_app.management import base
from stories.models import Story
from tests.legacy_exports import Row, export, session, story
from tests.subprocess_environment import database_url

pytestmark = pytest.mark.django_db(transaction=True)

BAR = re.compile(r"\r\x1b\[K(\[[#.]*\]?[^\r\n\x1b]*)")
FULL, CLEAR = f"[{'#' * base.WIDTH}]", "\r\x1b[K"
ROWS = 1201


@pytest.fixture
def zip_(tmp_path: Path, owner: User) -> Path:
    rows: list[Row | bytes] = [*map(story, range(1, ROWS)), b"broken"]
    return export(tmp_path / "export.zip", sessions=[session()], story_history=rows)


@pytest.fixture
def short(tmp_path: Path, owner: User) -> Path:
    return export(tmp_path / "short.zip", sessions=[session()], story_history=[story(1), b"broken"])


def command(zip_: Path) -> list[str]:
    return [sys.executable, "manage.py", "import_legacy", str(zip_)]


def environment() -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": database_url()}


def written(terminal: int) -> Iterator[bytes]:
    # Reading fails once the other side is closed.
    with suppress(OSError):
        while piece := os.read(terminal, 65_536):
            yield piece


def on_a_terminal(zip_: Path, columns: int = 120) -> str:
    """Returns everything the command writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        command(zip_), env=environment(), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        found = b"".join(written(ours))
    os.close(ours)
    assert process.returncode == 0, found
    return found.decode()


def left_of(text: str) -> list[str]:
    """Returns the lines that are on the screen at the end."""
    plain = re.sub(r"\x1b\[[\d;]*m", "", text).replace("\r\n", "\n")
    return [line.rsplit(CLEAR, 1)[-1] for line in plain.split("\n")]


def test_on_a_terminal_the_bar_grows_to_100_percent_and_leaves_whole_lines(zip_: Path) -> None:
    text = on_a_terminal(zip_)
    bars = BAR.findall(text)
    assert [bar for bar in bars if "read" in bar][-1].endswith("(100%)")
    assert bars[-1] == f"{FULL} stored, rows: {ROWS:,} of {ROWS:,} (100%)"
    assert text.split(bars[-1])[1].startswith(CLEAR)
    assert f"m{CLEAR}[" not in text  # the colour of errors is for errors
    assert "\x1b[31;1mstory_history/documents.jsonl" in text
    assert Story.objects.count() == ROWS - 1
    # What is left on the screen is whole lines, without a bar.
    lines = left_of(text)
    logged = [line for line in lines if "timestamp=" in line]
    assert logged
    assert all(line.startswith("timestamp=") for line in logged)
    assert f"story_history/documents.jsonl:{ROWS}: body: Invalid JSON" in "\n".join(lines)
    assert any(line.startswith("all ") for line in lines)
    assert not any("[#" in line or "[." in line or CLEAR in line for line in lines)


@pytest.mark.slow
def test_on_a_narrow_terminal_the_bar_stays_on_one_line(short: Path) -> None:
    bars = BAR.findall(on_a_terminal(short, columns=50))
    assert bars
    assert {len(bar) for bar in bars} == {49}


@pytest.mark.slow
def test_an_export_of_which_nothing_can_be_stored_is_read_to_100_percent(
    tmp_path: Path, owner: User
) -> None:
    """The terminal here does not know its width."""
    broken = export(tmp_path / "export.zip", story_history=[b"broken"])
    assert BAR.findall(on_a_terminal(broken, columns=0))[-1].endswith("(100%)")


@pytest.mark.slow
def test_without_a_terminal_there_are_no_control_characters(short: Path) -> None:
    done = subprocess.run(command(short), env=environment(), capture_output=True, check=True)
    for text in (done.stdout, done.stderr):
        assert text
        assert [char for char in text.decode() if not char.isprintable() and char != "\n"] == []


def test_without_a_terminal_a_long_import_reports_its_progress(
    zip_: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "LINE_EVERY", 0.0)
    stderr = StringIO()
    call_command("import_legacy", str(zip_), stdout=StringIO(), stderr=stderr)
    lines = stderr.getvalue().splitlines()
    assert f"stored, rows: {ROWS:,} of {ROWS:,} (100%)" in lines
    assert all(re.fullmatch(r"(read|stored), .* \(\d+%\)", line) for line in lines[:-1])
