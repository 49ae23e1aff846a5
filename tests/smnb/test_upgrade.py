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
    # The dump comes without the files of its sounds, as if retention had deleted them.
    connection.execute("UPDATE broadcast_sound SET state = 'dropped', path = ''")
    connection.commit()
    connection.close()
    return path


# Each command prints its name first, so that a failure shows how far it came.
COMMANDS = """
import django
from django.core.management import call_command
django.setup()
for command in ("migrate --plan", "migrate", "migrate --plan", "audit_sessions", "inspect_sessions"):
    print(f"$ {command}", flush=True)
    call_command(*command.split())
"""


def output_of_commands(database: Path) -> list[str]:
    """What each command prints about the database, in one process: a start of Django takes seconds."""
    environment = {
        **os.environ,
        "DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "smnb.settings",
        "SMNB_DATA_DIR": str(database.parent),
    }
    result = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout.split("$ ")[1:]


def test_an_earlier_database_is_migrated_and_passes_every_audit(database: Path) -> None:
    plan, _, rest, audit, stories = output_of_commands(database)
    assert not any(loss in plan for loss in ("Remove field", "Delete model", "Rename"))
    assert "No planned migration operations." in rest
    assert "audits, no finding" in audit
    assert "4 stories" in stories
    assert "Demo newsroom" in stories
