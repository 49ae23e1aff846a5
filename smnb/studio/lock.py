"""One studio per data folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AlreadyRunning(Exception):
    """Its text is one sentence for the person at the terminal."""


@contextmanager
def only_studio(data_dir: Path) -> Iterator[None]:
    """Holds the folder's lock; AlreadyRunning when another process holds it. Dies with us."""
    with (data_dir / "studio.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise AlreadyRunning(
                f"A studio already runs on {data_dir} (process {lock.read().strip() or '?'}). "
                "Stop it, or set SMNB_DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
