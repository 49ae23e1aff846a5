"""Audits of sessions, events and steps find what they check for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from sessions_app import audits, constraints
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Archive, Session, SessionEvent, SessionStats, Step
from tests.conftest import MakeSession

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.databases]

AUDITS = {
    "agreement",
    "airings",
    "counters",
    "events",
    "ledger",
    "narrations",
    "orphans",
    "posts",
    "schema",
    "states",
    "steps",
    "story-counters",
}


def found(name: str) -> list[str]:
    return [each.detail for each in audits.run(name)]


def test_all_audits_are_there() -> None:
    assert set(audits.names()) >= AUDITS


def test_a_sound_database_has_no_finding(session: Session) -> None:
    recorder.add_message(session, "system", "x")
    assert list(audits.run()) == []


def test_an_audit_is_asked_only_while_one_of_its_tables_has_rows(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "_audits", {})
    audits.register("always", lambda: iter([("", "asked")]))
    audits.register("empty", lambda: iter([("", "asked")]), Archive)
    audits.register("half empty", lambda: iter([("", "asked")]), Archive, SessionStats)
    assert [finding.audit for finding in audits.run()] == ["always", "half empty"]


def test_a_finding_names_its_audit_and_session(session: Session) -> None:
    SessionStats.objects.filter(session=session).update(messages=5)
    (finding,) = audits.run("counters")
    assert (finding.audit, finding.session) == ("counters", str(session.pk))


def test_a_gap_in_the_events_is_found(make_session: MakeSession) -> None:
    session = make_session()
    recorder.add_message(session, "system", "x")
    SessionEvent.objects.filter(session=session, seq=2).delete()
    assert found("events") == ["events are not gapless: 2 of 3"]


def test_a_lost_first_event_is_found(session: Session) -> None:
    SessionEvent.objects.filter(session=session, seq=1).delete()
    assert found("events") == ["events are not gapless: 1 of 2"]


def test_a_lost_newest_event_is_found(session: Session) -> None:
    SessionEvent.objects.filter(session=session).latest("seq").delete()
    assert len(found("events")) == 1


def test_a_session_without_counters_is_found(session: Session) -> None:
    SessionStats.objects.filter(session=session).delete()
    assert found("counters") == ["the session has no counters"]


def test_a_step_that_was_never_poked_is_found(session: Session) -> None:
    late = steps.now() - timedelta(seconds=61)
    Step.objects.create(session=session, kind="poll", subject="1", due_at=late)
    assert len(found("steps")) == 1


def test_a_step_that_was_just_missed_is_not_a_finding(session: Session) -> None:
    late = steps.now() - timedelta(seconds=30)
    Step.objects.create(session=session, kind="poll", subject="1", due_at=late)
    assert found("steps") == []


def test_a_lease_that_ran_out_long_ago_is_found(session: Session) -> None:
    at = steps.now() - timedelta(seconds=90)
    Step.objects.create(
        session=session, kind="poll", subject="1", due_at=at, state="leased", lease_until=at
    )
    assert len(found("steps")) == 1


def test_a_missing_guard_is_found(session: Session) -> None:
    names = constraints.missing()
    assert names == []
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute('DROP TRIGGER "fixed_stories_source"')
        else:
            cursor.execute('DROP TRIGGER "fixed_stories_source" ON stories_source')
    try:
        assert found("schema") == ["fixed_stories_source is missing from the live schema"]
    finally:
        constraints.restore()
