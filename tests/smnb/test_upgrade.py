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
from dataclasses import dataclass
from pathlib import Path

import pytest

from smnb.env import ROOT

pytestmark = pytest.mark.slow
DUMP = ROOT / "tests" / "data" / "database_before_move.sql"


# Forward, where each command prints its name first, so that a failure shows how far it came; and back
# to the last migration of each app that the database had.
COMMANDS = """
import sys, django
from django.core.management import call_command

django.setup()
for command in ("migrate --plan", "migrate", "migrate --plan", "audit_sessions", "inspect_sessions"):
    print(f"$ {command}", flush=True)
    call_command(*command.split())
for word in sys.argv[1:]:
    call_command("migrate", *word.split("."), verbosity=0)
"""


# Each table with its columns and rows, as the dump has them.
Content = dict[str, tuple[list[str], list[tuple[object, ...]]]]


@dataclass(frozen=True)
class Upgrade:
    """The database before it was migrated and after it was migrated back, and what was printed."""

    before: Content
    printed: list[str]
    after: Content


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory: pytest.TempPathFactory) -> Upgrade:
    path = tmp_path_factory.mktemp("upgrade") / "smnb.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript(DUMP.read_text("utf-8"))
    # The dump comes without the files of its sounds, as if retention had deleted them.
    connection.execute("UPDATE broadcast_sound SET state = 'dropped', path = ''")
    # Nor has it the log of its session, which a real one has.
    log = "artifacts/demo-newsroom-2026-11-28-119f24e060db/logs/server-2026-11-28.ndjson"
    (path.parent / log).parent.mkdir(parents=True)
    (path.parent / log).write_text('{"event": "started"}\n')
    connection.execute(
        "INSERT INTO sessions_app_artifact SELECT 1, '2026-11-28 19:04:43.426', 'logs', 'open', "
        "'server-2026-11-28.ndjson', ?, 'application/x-ndjson', 1240, '', '', NULL, id "
        "FROM sessions_app_session",
        (log,),
    )
    applied = connection.execute("SELECT app, max(name) FROM django_migrations GROUP BY app")
    targets = [f"{app}.{name}" for app, name in applied.fetchall()]
    connection.commit()
    connection.close()
    before = content(path)
    printed = output_of_commands(path, *targets)
    return Upgrade(before, printed, content(path))


def output_of_commands(database: Path, *targets: str) -> list[str]:
    """What each command prints about the database, in one process: a start of Django takes seconds."""
    environment = {
        **os.environ,
        "DATABASE_URL": "",
        "DJANGO_SETTINGS_MODULE": "smnb.settings",
        "SMNB_DATA_DIR": str(database.parent),
    }
    result = subprocess.run(
        [sys.executable, "-c", COMMANDS, *targets],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout.split("$ ")[1:]


def test_an_earlier_database_is_migrated_and_passes_every_audit(upgrade: Upgrade) -> None:
    plan, _, rest, audit, stories = upgrade.printed
    assert not any(loss in plan for loss in ("Remove field", "Delete model", "Rename"))
    assert "No planned migration operations." in rest
    assert "audits, no finding" in audit
    assert "4 stories" in stories
    assert "Demo newsroom" in stories


def content(database: Path) -> Content:
    """The tables of the studio with their columns and rows."""
    found: Content = {}
    connection = sqlite3.connect(database)
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
    )
    for (table,) in tables.fetchall():
        if table.startswith(("sessions_app_", "stories_", "broadcast_")) and "_search" not in table:
            rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1")
            columns = [column[0] for column in rows.description]
            order = sorted(range(len(columns)), key=columns.__getitem__)
            found[table] = (
                sorted(columns),
                [tuple(row[number] for number in order) for row in rows],
            )
    connection.close()
    return found


def test_the_earlier_version_gets_its_tables_and_rows_back(upgrade: Upgrade) -> None:
    assert {table: each[0] for table, each in upgrade.after.items()} == {
        table: each[0] for table, each in upgrade.before.items()
    }
    assert upgrade.after == upgrade.before
