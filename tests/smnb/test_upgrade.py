"""A database of an earlier version starts on this one.

``tests/data/database_before_move.sql`` is a SQLite database of version 0.1.0 before its modules were
moved, with a session that is on air, its posts, stories, events and AI chain. Its pending steps are
due in 2099, so that no audit calls them overdue.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from smnb.env import ROOT

DUMP = ROOT / "tests" / "data" / "database_before_move.sql"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upgrade") / "smnb.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript(DUMP.read_text("utf-8"))
    connection.close()
    return path


def manage(database: Path, *arguments: str) -> str:
    """Runs a management command on the database and returns everything it printed."""
    environment = {**os.environ, "DATABASE_URL": "", "SMNB_DATA_DIR": str(database.parent)}
    result = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    return output


def test_an_earlier_database_is_migrated_and_passes_every_audit(database: Path) -> None:
    plan = manage(database, "migrate", "--plan")
    assert not any(loss in plan for loss in ("Remove field", "Delete model", "Rename"))
    manage(database, "migrate")
    assert "No planned migration operations." in manage(database, "migrate", "--plan")
    assert "audits, no finding" in manage(database, "audit_sessions")
    stories = manage(database, "inspect_sessions")
    assert "4 stories" in stories
    assert "Demo newsroom" in stories
