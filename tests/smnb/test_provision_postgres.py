"""The PostgreSQL that tests bring along."""

from __future__ import annotations

from urllib.parse import urlsplit

import psycopg
import pytest

from tests.provision.postgres import postgres_server


@pytest.mark.postgres
def test_a_real_server_answers_and_is_gone_afterwards() -> None:
    with postgres_server("newsroom") as address:
        with psycopg.connect(address) as connection:
            row = connection.execute("SELECT current_database()").fetchone()
        assert row == ("newsroom",)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(address)
    assert urlsplit(address).hostname == "127.0.0.1"
