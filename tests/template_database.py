"""A migrated SQLite database that is made once and then copied, instead of migrated in each place.

The file stays in the folder for temporary files under a name that is a hash of the code it was made
with, so that any change to the product makes a new one. Runs that begin together wait for the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
APPS = ("sessions_app", "stories", "broadcast", "smnb")
# Their migrations make tables, too.
LIBRARIES = ("Django", "django-axes")


@cache
def migrated_sqlite() -> Path:
    """The path of a migrated database without rows of ours. Copy it, never open it."""
    folder = Path(tempfile.gettempdir()) / f"smnb-templates-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{_fingerprint()}.sqlite3"
    with _locked(path.with_suffix(".lock")):
        if path.exists():
            os.utime(path)
        else:
            _remove_unused(folder)
            _migrate(path)
    return path


def copy_migrated_sqlite(path: Path) -> None:
    """Put a migrated database at ``path``, whose folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Each mutant is other code, but nearly all have the same tables: they share one database.
    shutil.copyfile(os.environ.get("SMNB_TEST_TEMPLATE") or migrated_sqlite(), path)


def _fingerprint() -> str:
    """Triggers and indexes come from the models beside the migrations, so all modules count."""
    digest = hashlib.sha256()
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)} {sqlite3.sqlite_version}\n".encode())
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _remove_unused(folder: Path) -> None:
    """A run of another checkout may be using its own, so only what is a day old goes."""
    for path in folder.glob("*"):
        if path.stat().st_mtime < time.time() - 86_400:
            path.unlink()


def _migrate(path: Path) -> None:
    """As on a first start, by the command; the file gets its name when it is whole."""
    with tempfile.TemporaryDirectory(prefix="smnb-template-") as data:
        made = Path(data) / "smnb.sqlite3"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SMNB_", "DATABASE_URL"))}
        done = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity=0"],
            cwd=ROOT,
            env=kept | {"SMNB_DATA_DIR": data},
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        with closing(sqlite3.connect(made)) as database:
            # One file: nothing of it may be left in the write-ahead log.
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        partial = path.with_suffix(".partial")
        shutil.copyfile(made, partial)
        partial.replace(path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
