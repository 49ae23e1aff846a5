"""The queries of lists and of the sweeper read an index, however many rows there are."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sessions_app import api_tokens
from sessions_app.background import steps, sweeper
from sessions_app.models import Session

pytestmark = pytest.mark.django_db(transaction=True)


def plans(queries: CaptureQueriesContext, table: str) -> list[str]:
    """Returns the plans of the queries that read the table.

    PostgreSQL would read a table of few rows as a whole, and sort it.
    """
    found = []
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        for query in queries:
            if re.search(rf'^SELECT .*FROM "{table}"', query["sql"]):
                explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
                cursor.execute(f"{explain} {query['sql']}")
                found.append("\n".join(str(row[-1]) for row in cursor.fetchall()))
    return found


def check(found: list[str], table: str, *indexes: str) -> None:
    assert found
    for plan in found:
        assert any(index in plan for index in indexes), plan
        # A scan over an index would say so too; a search of it has a condition.
        assert f"SCAN {table}" not in plan
        assert f"Seq Scan on {table}" not in plan
        assert "TEMP B-TREE FOR ORDER BY" not in plan
        assert "Sort" not in plan


@pytest.mark.parametrize(
    ("what", "table", "index"),
    [
        ("stories", "stories_story", "story_newest"),
        ("usage", "stories_tokenusage", "usage_newest"),
        ("messages", "sessions_app_message", "message_newest"),
    ],
)
@pytest.mark.parametrize("cursor", ["", "900000"])
def test_a_page_of_a_list_is_read_by_key(
    harbour_news: Session, owner: User, what: str, table: str, index: str, cursor: str
) -> None:
    client = Client(headers={"Authorization": f"Bearer {api_tokens.make(owner)}"})
    with CaptureQueriesContext(connection) as queries:
        page = client.get(f"/api/sessions/{harbour_news.pk}/{what}?limit=50&cursor={cursor}")
    assert page.status_code == 200
    check(plans(queries, table), table, index)


def test_the_sweeper_reads_the_open_steps_alone(session: Session) -> None:
    steps.enqueue(session, "poll", 1)
    with CaptureQueriesContext(connection) as queries:
        sweeper.next_moment(steps.now())
        sweeper.poke_overdue()
    table = "sessions_app_step"
    check(plans(queries, table)[:3], table, "step_due", "step_lease")
    if connection.vendor == "sqlite":
        # PostgreSQL combines them too, but not for so few rows.
        [overdue] = plans(queries, table)[3:]
        assert "step_due" in overdue
        assert "step_lease" in overdue
