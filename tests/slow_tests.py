"""A pytest plugin that leaves out the tests marked ``slow``, or all others: ``--slow=out`` or ``only``.

It counts what it leaves out in the cache, for the last line of ``make test``. Without the plugin all
tests run, as in ``pytest tests/smnb/test_upgrade.py`` and in ``make mutants``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

LEFT_OUT = "slow/left_out"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", choices=("out", "only"), help="leave out slow tests, or all others")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves tests out after ``-k`` and ``-m`` have chosen."""
    choice = config.getoption("--slow")
    if not choice:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if not item.get_closest_marker("slow")]
    items[:], left_out = (others, slow) if choice == "out" else (slow, others)
    config.hook.pytest_deselected(items=left_out)
    if config.cache:
        config.cache.set(LEFT_OUT, len(left_out))


def left_out(cache: Path) -> int:
    """How many tests the last run with this cache folder left out."""
    path = cache / "v" / LEFT_OUT
    return int(json.loads(path.read_text())) if path.exists() else 0
