"""Several threads that do the same thing at the same moment, each with its own connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

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
