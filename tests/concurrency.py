"""Several threads or processes that do the same thing at once, each with its own connection."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection, connections

from sessions_app.errors import SmnbError

PATIENCE = 60


def together(number: int, function: Callable[[int], Any]) -> list[Any]:
    """Call ``function(0..number-1)`` from behind one barrier; our errors are results, too."""
    barrier = threading.Barrier(number, timeout=PATIENCE)

    def one(index: int) -> Any:
        try:
            barrier.wait()
            return function(index)
        except SmnbError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number), timeout=PATIENCE))


def forked(function: Callable[[], object]) -> int:
    """Runs ``function`` in a child process with connections of its own; returns the process id.

    The child ends with status 0, or with 1 when the function raises.
    """
    # A connection that two processes share would answer one with what the other asked.
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        except SmnbError:
            status = 0
        except Exception:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid
