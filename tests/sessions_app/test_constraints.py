"""The database refuses rows that refer to another session."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_app import constraints
from sessions_app.models import Session
from stories.models import Source, SourcePost, Story
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)

STORY = (
    "session_id",
    "post_id",
    "origin",
    "state",
    "title",
    "narrative",
    "summary",
    "tone",
    "priority",
    "agent_type",
    "sentiment",
    "topics",
    "model",
    "note",
    "word_count",
    "duration",
    "created_at",
    "completed_at",
    "relation",
    "cuts_in",
    "version",
    "correction",
)


def raw_story(session: Session, post_id: int | None, origin: str = "extractive") -> None:
    """Inserts a story with raw SQL, past the ORM."""
    key = Session._meta.pk.get_db_prep_value(session.pk, connection)
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    values: list[Any] = [
        key,
        post_id,
        origin,
        "written",
        "T",
        "N",
        "",
        "analysis",
        "low",
        "host",
        "neutral",
        "[]",
        "",
        "",
        1,
        1,
        now,
        now,
        "",
        False,
        1,
        "",
    ]
    marks = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO stories_story ({', '.join(STORY)}) VALUES ({marks})", values)


@pytest.mark.databases
def test_a_raw_story_of_the_right_session_is_taken(session: Session, post: SourcePost) -> None:
    raw_story(session, post.pk)
    assert Story.objects.get().session == session


@pytest.mark.databases
def test_a_raw_story_whose_post_is_of_another_session_is_refused(
    make_session: MakeSession, post: SourcePost
) -> None:
    other = make_session("Evening")
    with pytest.raises(DatabaseError), transaction.atomic():
        raw_story(other, post.pk)
    assert not Story.objects.exists()


@pytest.mark.databases
def test_a_post_cannot_be_moved_to_a_source_of_another_session(
    make_session: MakeSession, post: SourcePost
) -> None:
    elsewhere = Source.objects.get(session=make_session("Evening"))
    with pytest.raises(DatabaseError), transaction.atomic():
        SourcePost.objects.filter(pk=post.pk).update(source=elsewhere)


@pytest.mark.databases
def test_the_session_of_a_row_cannot_be_changed(make_session: MakeSession, source: Source) -> None:
    other = make_session("Evening", recording=False)
    with pytest.raises(DatabaseError), transaction.atomic():
        Source.objects.filter(pk=source.pk).update(session=other)


@pytest.mark.databases
def test_a_session_with_rows_cannot_be_deleted(session: Session) -> None:
    with pytest.raises(ProtectedError):
        session.delete()
    # Nor by hand, past all of our code.
    key = Session._meta.pk.get_db_prep_value(session.pk, connection)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM sessions_app_session WHERE id = %s", [key])
    assert Session.objects.filter(pk=session.pk).exists()


@pytest.mark.databases
def test_an_extractive_story_without_a_post_is_refused(session: Session) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        raw_story(session, None)


def test_every_model_with_a_session_requires_it() -> None:
    for model in constraints.session_models():
        assert not model._meta.get_field("session").null, model


@pytest.mark.databases
def test_a_missing_guard_is_noticed_by_the_system_check_and_restored_by_migrate() -> None:
    name = drop_a_guard()
    found = [each.msg for each in run_checks(databases=["default"]) if each.id == "smnb.E001"]
    assert len(found) == 1
    assert name in found[0]
    call_command("migrate", verbosity=0)
    assert constraints.missing() == []
    assert constraints.check_integrity(["default"]) == []


@pytest.mark.databases
def test_guards_are_restored_however_long_it_takes() -> None:
    drop_a_guard()
    with CaptureQueriesContext(connection) as asked:
        constraints.restore()
    unhurried = "SET LOCAL statement_timeout = 0" in [each["sql"] for each in asked]
    assert unhurried == (connection.vendor == "postgresql")
    assert constraints.missing() == []


def drop_a_guard() -> str:
    if connection.vendor == "sqlite":
        name, sql = "agree_stories_story_post_id_insert", "DROP TRIGGER {}"
    else:
        name, sql = "agree_stories_story_post_id", "ALTER TABLE stories_story DROP CONSTRAINT {}"
    with connection.cursor() as cursor:
        cursor.execute(sql.format(name))
    return name
