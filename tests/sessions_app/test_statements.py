"""Statements that are compiled once ask and write what Django's own would."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sessions_app import sessions
from sessions_app.models import Message, Session, SessionEvent, SessionStats, Step
from sessions_app.statements import Given, Prepared, insert, insert_if_new, update_returning
from stories.models import TokenUsage

pytestmark = pytest.mark.django_db(transaction=True)


def step(session: Session, subject: str, **more: Any) -> Step:
    return Step.objects.create(
        session=session, kind="narrate", subject=subject, due_at=timezone.now(), **more
    )


def test_a_prepared_look_up_finds_the_rows_of_each_use_and_remembers_none(
    session: Session, owner: User
) -> None:
    other = sessions.create(owner, "Other", {}, None)
    first, second = step(session, "1"), step(other, "2")
    found = Prepared(lambda: Step.objects.filter(session=Given("session")).order_by("pk"))
    assert found.all(session=session.pk) == [first]
    assert found.all(session=other.pk) == [second]
    Step.objects.filter(pk=first.pk).update(last_error="It failed.")
    third = step(session, "3")
    assert [(row.pk, row.last_error) for row in found.all(session=session.pk)] == [
        (first.pk, "It failed."),
        (third.pk, ""),
    ]
    Step.objects.all().delete()
    assert found.first(session=session.pk) is None
    with CaptureQueriesContext(connection) as queries:
        found.first(session=session.pk)
    assert len(queries) == 1


@pytest.mark.parametrize(
    "rows",
    [
        lambda at: Step.objects.filter(due_at__lt=at),
        lambda at: Step.objects.filter(due_at__lt=at).select_related("session__owner"),
        lambda at: Step.objects.filter(due_at__lt=at).only("kind", "session_id"),
        lambda at: Step.objects.filter(due_at__lt=at, state__in=Step.OPEN).exclude(kind="poll")[:1],
        lambda at: SessionEvent.objects.filter(at__lt=at).order_by("-seq"),
        lambda at: Session.objects.filter(created_at__lt=at),
        lambda at: SessionStats.objects.filter(session__created_at__lt=at),
    ],
)
def test_the_instances_of_a_prepared_look_up_are_those_of_its_query_set(
    session: Session, rows: Callable[[Any], Any]
) -> None:
    step(session, "1", state="leased", lease_until=timezone.now(), epoch=3)
    step(session, "2")
    at = timezone.now() + timedelta(seconds=5)
    mine, expected = Prepared(lambda: rows(Given("at"))).all(at=at), list(rows(at))
    assert expected
    assert len(mine) == len(expected)
    for made, row in zip(mine, expected, strict=True):
        assert type(made) is type(row)
        assert made.get_deferred_fields() == row.get_deferred_fields()
        # All columns, and what was read with the row.
        assert made._state.fields_cache == row._state.fields_cache
        assert (made._state.adding, made._state.db) == (row._state.adding, row._state.db)
        plain = [{**vars(each), "_state": None} for each in (made, row)]
        assert plain[0] == plain[1]


def test_prepared_values_have_the_types_of_their_columns(session: Session) -> None:
    row = step(session, "1")
    columns = ("session_id", "due_at", "lease_until", "epoch")
    found = Prepared(lambda: Step.objects.filter(subject=Given("subject")).values_list(*columns))
    assert found.all(subject="1") == [(session.pk, row.due_at, None, 0)]


def test_a_prepared_update_changes_the_rows_that_match_and_returns_them_as_they_are(
    session: Session,
) -> None:
    row, late = step(session, "1"), timezone.now() + timedelta(hours=1)
    leased = Prepared(
        lambda: Step.objects.filter(pk=Given("pk"), epoch=Given("epoch")),
        {
            "epoch": F("epoch") + Given("more"),
            "lease_until": Given("until"),
            "state": Given("state"),
        },
    )
    [found] = leased.all(pk=row.pk, epoch=0, more=2, until=late, state="leased")
    assert (found.epoch, found.lease_until, found.state) == (2, late, "leased")
    # Of two with the same epoch only one changes the row.
    assert leased.all(pk=row.pk, epoch=0, more=2, until=late, state="leased") == []
    [found] = leased.all(pk=row.pk, epoch=2, more=1, until=None, state="done")
    row.refresh_from_db()
    assert (row.epoch, row.lease_until) == (3, None) == (found.epoch, found.lease_until)
    assert found.session_id == session.pk
    [again] = update_returning(Step.objects.filter(pk=row.pk), epoch=F("epoch") + 1)
    assert (again.epoch, again.due_at) == (4, row.due_at)


def test_an_inserted_row_is_the_one_that_save_would_store(session: Session) -> None:
    row = TokenUsage(session=session, operation="narrate", model="m", max_tokens=8, cost_upper=7)
    insert(row)
    stored = TokenUsage.objects.get()
    assert (stored.pk, stored.attempt) == (row.pk, row.attempt)
    assert (stored.state, stored.inference_geo, stored.step_id) == ("reserved", "", None)
    assert timezone.now() - stored.created_at < timedelta(minutes=1)
    row.save(update_fields=["model"])  # an UPDATE, as the row exists
    event = SessionEvent(session=session, seq=99, type="x", payload={"a": [1, "é"]})
    insert(event)
    assert SessionEvent.objects.get(seq=99).payload == {"a": [1, "é"]}
    plan = Message(session=session, role="producer", text="T", plan=None)
    insert(plan)
    assert Message.objects.get(pk=plan.pk).plan is None
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(SessionEvent(session=session, seq=99, type="x", payload={}))


def test_a_row_that_exists_is_inserted_once(session: Session) -> None:
    row = step(session, "1")
    second = Step(session=session, kind="narrate", subject="1", due_at=row.due_at)
    assert not insert_if_new(second)
    assert Step.objects.count() == 1
    second.subject = "2"
    assert insert_if_new(second)
    assert Step.objects.get(subject="2") == second
