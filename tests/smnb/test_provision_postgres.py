"""The PostgreSQL that tests bring along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from smnb.env import ROOT
from tests.provision.postgres import postgres_server

# Each request ends with close(); prints the servers' process ids of requests in several threads.
REQUESTS = """
from concurrent.futures import ThreadPoolExecutor
import django
django.setup()
from django.db import connection
def request(_):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting('statement_timeout')")
        found = cursor.fetchone()
    connection.close()
    return found
found = []
for _ in range(3):
    with ThreadPoolExecutor(1) as thread:
        found += thread.map(request, [0])
print(len({pid for pid, _ in found}), *{timeout for _, timeout in found})
"""


@pytest.mark.postgres
@pytest.mark.slow
def test_a_real_server_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    """The requests of a process with a pool share its connections; without one each opens its own."""
    with postgres_server("newsroom") as address:
        with psycopg.connect(address) as connection:
            row = connection.execute("SELECT current_database()").fetchone()
        assert row == ("newsroom",)
        # The pool opens a second one when a request comes before the first one is ready.
        for pool, connections in (("4", {1, 2}), ("0", {3})):
            env = {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "smnb.settings",
                "DATABASE_URL": address,
                "SMNB_DATABASE_POOL": pool,
                "SMNB_DATA_DIR": str(tmp_path / "var"),
            }
            command = [sys.executable, "-c", REQUESTS]
            found = subprocess.run(
                command, cwd=ROOT, env=env, check=True, capture_output=True, text=True
            )
            number, timeout = found.stdout.split()
            assert (int(number) in connections, timeout) == (True, "5s"), (pool, number)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address)
    assert urlsplit(address).hostname == "127.0.0.1"
