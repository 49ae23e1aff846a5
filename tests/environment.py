"""The suite's own world, set before Django reads its settings: loaded with ``-p tests.environment``.

A data folder of its own, real Redis on a private socket, and with ``SMNB_TEST_DATABASE=postgres`` a
real PostgreSQL started for this run.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

KEPT = {"SMNB_TEST_DATABASE", "SMNB_TEST_TEMPLATE", "SMNB_TEST_PAGE_SECONDS"}
OURS = (
    "SMNB_",
    "OTEL_",
    "REDDIT_",
    "ANTHROPIC_",
    "DATABASE_URL",
    "REDIS_URL",
    "PUBLIC_URL",
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "DEBUG",
    "PORT",
)

_world = ExitStack()

for name in [name for name in os.environ if name.startswith(OURS) and name not in KEPT]:
    del os.environ[name]

DATA = Path(tempfile.mkdtemp(prefix="smnb-test-"))
_world.callback(shutil.rmtree, DATA, ignore_errors=True)
os.environ.update(
    SMNB_DATA_DIR=str(DATA),
    SMNB_POLL_SECONDS="0.2",
    SMNB_ALLOW_PRIVATE_FEEDS="1",
    SMNB_LIMIT_WRITES="0",
    SMNB_LIMIT_GO_LIVE="0",
    SMNB_LIMIT_FEEDS="0",
    SMNB_LIMIT_READS="0",
    SMNB_SPEECH="off",
)

if os.environ.get("SMNB_TEST_DATABASE") == "postgres":
    from tests.provision.postgres import postgres_server

    os.environ["DATABASE_URL"] = _world.enter_context(postgres_server())


def pytest_report_header() -> list[str]:
    from tests.standins.recorded import FIXTURES

    used = "tests/data and recorded fixtures" if FIXTURES.is_dir() else "tests/data alone"
    return [f"data: {used}", f"database: {os.environ.get('SMNB_TEST_DATABASE', 'sqlite')}"]


def pytest_collection() -> None:
    """Importing the tests makes many objects and little garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What has been imported stays: the collector need not look at it after every test."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    _world.close()
