"""Fills a session with copies of one row, in one statement; run through ``manage.py shell``."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from sessions_app import constraints
from sessions_app.models import Session, SessionStats
from stories.models import Story, TokenUsage


def fill(session_id: str, stories: int, usage: int) -> None:
    """Writes so many stories and calls of a model, and the counter of the stories."""
    session = Session.objects.get(pk=session_id)
    story = Story.objects.create(
        session=session,
        origin="legacy",
        state="aired",
        title="The ferry waits",
        narrative="The ferry waits for the storm to pass.",
        tone="analysis",
        priority="low",
        agent_type="host",
        sentiment="neutral",
        topics=[],
        word_count=8,
        duration=4,
        completed_at=timezone.now(),
    )
    copy(story, stories)
    call = {"operation": "narrate", "model": "claude-haiku-5-5", "max_tokens": 1, "state": "final"}
    copy(TokenUsage.objects.create(session=session, **call), usage)
    SessionStats.objects.filter(session=session).update(story_count=stories)


def copy(row: Model, number: int) -> None:
    """Inserts the row again until there are so many of it."""
    if connection.vendor == "sqlite":
        numbers = "(WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %s)"
        numbers, new_key = f"{numbers} SELECT i FROM n)", "lower(hex(randomblob(16)))"
    else:
        numbers, new_key = "generate_series(2, %s)", "gen_random_uuid()"
    fields = [field for field in row._meta.concrete_fields if not field.primary_key]
    names = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(
        new_key if field.unique and field.value_from_object(row) else f't."{field.column}"'
        for field in fields
    )
    table = row._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor:
        # A million rows in one statement take longer than any of the product may.
        constraints.lift_statement_timeout(connection)
        cursor.execute(
            f'INSERT INTO "{table}" ({names}) SELECT {values} '
            f'FROM "{table}" t, {numbers} WHERE t.id = %s',
            [number, row.pk],
        )
        cursor.execute(f'ANALYZE "{table}"')
