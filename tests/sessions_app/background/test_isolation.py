"""A row that cannot be handled stops no other: not in a sweep, a claim, a hub round or a restart.

The rows are poisoned for real, with values that a column accepts and this version cannot read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from queue import SimpleQueue

import pytest
from django.contrib.auth.models import User
from django.db import connection, models, transaction
from django.test import Client
from django.utils import timezone

from broadcast.models import Broadcast, Slot
from sessions_app import audits
from sessions_app.background import isolation, retention, steps, sweeper
from sessions_app.events import recorder
from sessions_app.events.statistics import HIGHEST
from sessions_app.models import (
    Bucket,
    FailedWork,
    Message,
    Session,
    SessionEvent,
    SessionStats,
    Step,
    Tally,
)
from sessions_app.realtime import frames
from smnb import health
from stories.models import Draft, TokenUsage
from stories.usage.ledger import Purpose, SessionLedger

pytestmark = pytest.mark.django_db(transaction=True)

MakeSession = Callable[..., Session]
HOUR = timedelta(hours=1)


def poison(row: models.Model, column: str) -> None:
    """Stores a time that the database accepts and Python cannot represent."""
    value = "infinity" if connection.vendor == "postgresql" else "9999-99-99 00:00:00"
    table, key = row._meta.db_table, row._meta.pk.get_db_prep_value(row.pk, connection)
    name = row._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE {name} = %s", [value, key])


def make_due() -> None:
    FailedWork.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))


def run_of(session: Session) -> Broadcast:
    return Broadcast.objects.create(
        session=session, number=1, state="stopping", since=timezone.now(), started_at=timezone.now()
    )


def draft_of(session: Session) -> Draft:
    return Draft.objects.create(
        session=session,
        author=session.owner,
        keywords=["ferry"],
        words=100,
        state="running",
        active_at=timezone.now() - 1000 * HOUR,
    )


def slot_of(session: Session) -> Slot:
    return Slot.objects.create(session=session, days=1, on_at="09:00", off_at="10:00", zone="UTC")


def call_of(session: Session) -> TokenUsage:
    row = TokenUsage.objects.create(
        session=session, operation="narrate", model="claude-haiku-4-5", max_tokens=10
    )
    TokenUsage.objects.filter(pk=row.pk).update(created_at=timezone.now() - HOUR)
    return row


def expired(session: Session) -> Session:
    Session.objects.filter(pk=session.pk).update(expires_at=timezone.now() - HOUR)
    return session


UNITS: dict[str, tuple[Callable[[Session], models.Model], str, Callable[[models.Model], bool]]] = {
    "run": (run_of, "live_at", lambda row: Broadcast.objects.get(pk=row.pk).state == "idle"),
    "draft": (draft_of, "created_at", lambda row: Draft.objects.get(pk=row.pk).state == "expired"),
    "slot": (slot_of, "created_at", lambda row: Step.objects.filter(subject=str(row.pk)).exists()),
    "call": (
        call_of,
        "closed_at",
        lambda row: TokenUsage.objects.get(pk=row.pk).state == "bounded",
    ),
    "session": (
        expired,
        "created_at",
        lambda row: Session.objects.get(pk=row.pk).status == "archived",
    ),
}


@pytest.mark.databases
@pytest.mark.parametrize("name", UNITS)
def test_a_poisoned_row_is_set_aside_and_its_neighbour_is_handled(
    name: str, make_session: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without workers it would wait for their replies.
    monkeypatch.setitem(health.COMPONENTS, "workers", lambda: health.OK)
    make, column, handled = UNITS[name]
    # The poisoned one is older, so each rule comes to it first.
    bad, good = make(make_session()), make(make_session())
    poison(bad, column)
    sweeper.sweep()
    assert handled(good)
    assert tries() == {1}
    # Not tried again before its pause has ended.
    sweeper.sweep()
    assert tries() == {1}
    for number in (2, 3):
        make_due()
        sweeper.sweep()
        assert tries() == {number}
    sentence = isolation.set_aside().earliest("pk").sentence
    assert "failed 3 times" in sentence
    work = health.components()["components"]["work"]
    assert (work["state"], sentence in work["detail"]) == ("degraded", True)
    # In a new process the same holds, because the note is a row: it is tried once a day.
    sweeper.sweep()
    assert tries() == {3}


def tries() -> set[int]:
    """Returns the failures of each rule; two rules look at drafts."""
    return set(FailedWork.objects.values_list("tries", flat=True))


def test_the_owner_is_told_once_and_a_repaired_row_is_handled_again(session: Session) -> None:
    call = call_of(session)
    poison(call, "closed_at")
    for _ in range(5):
        sweeper.sweep()
        make_due()
    assert Message.objects.filter(session=session, code=isolation.CODE).count() == 1
    TokenUsage.objects.filter(pk=call.pk).update(closed_at=None)
    isolation.try_again(FailedWork.objects.all())
    sweeper.sweep()
    assert TokenUsage.objects.get().state == "bounded"
    assert not FailedWork.objects.exists()


def test_a_call_that_cannot_be_closed_does_not_hold_its_run(session: Session) -> None:
    poison(call_of(session), "closed_at")
    run = run_of(session)
    for _ in range(3):
        sweeper.sweep()
        make_due()
    sweeper.sweep()
    assert Broadcast.objects.get(pk=run.pk).state == "idle"


@pytest.mark.databases
@pytest.mark.parametrize("tokens", [10**15, 2**63 - 1])
def test_counts_that_an_earlier_version_stored_are_bounded(session: Session, tokens: int) -> None:
    call = call_of(session)
    TokenUsage.objects.filter(pk=call.pk).update(state="started", input_tokens=tokens)
    sweeper.sweep()
    call.refresh_from_db()
    assert (call.state, call.input_tokens, call.output_tokens) == ("bounded", 0, 1)
    assert not FailedWork.objects.exists()
    assert list(audits.run()) == []


@pytest.mark.databases
def test_a_row_that_cannot_be_read_does_not_keep_its_step_from_being_claimed(
    session: Session,
) -> None:
    first = steps.claim(steps.enqueue(session, "narrate", 1).pk)
    assert first is not None
    ledger = SessionLedger(first, Purpose(source="narration"))
    ledger.reserve(model="claude-haiku-4-5", operation="narrate", max_tokens=9, input_upper=9)
    poison(TokenUsage.objects.get(), "closed_at")
    Step.objects.update(lease_until=timezone.now() - HOUR)
    second = steps.claim(first.step.pk)
    assert second is not None
    assert second.epoch == first.epoch + 1
    assert FailedWork.objects.count() == 1


def test_a_kind_of_step_of_another_version_stops_neither_sweeper_nor_worker(
    session: Session,
) -> None:
    strange = steps.enqueue(session, "poll", 1)
    usual = steps.enqueue(session, "poll", 2)
    Step.objects.update(poked_at=None)
    Step.objects.filter(pk=strange.pk).update(kind="teleport")
    assert sweeper.sweep() == 1
    usual.refresh_from_db()
    assert usual.poked_at is not None
    assert steps.run(strange.pk) is False
    strange.refresh_from_db()
    assert (strange.state, strange.last_error) == (
        "failed",
        "This version does not know this kind of work.",
    )


def test_a_rule_that_raises_stops_no_other_rule_and_not_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop: sweeper.Calls = SimpleQueue()
    calls: list[str] = []

    def broken(_up: float) -> None:
        calls.append("broken")
        raise OverflowError("Python int too large to convert to SQLite INTEGER")

    def other(_up: float) -> float:
        calls.append("other")
        if calls.count("other") == 3:
            stop.put(None)
        return 0.001

    monkeypatch.setattr(sweeper, "_rounds", [broken, other])
    monkeypatch.setattr(sweeper, "close_old_connections", lambda: None)
    monkeypatch.setattr(sweeper, "listen", lambda _calls: None)
    sweeper.run_forever(stop, every=0.001)
    # The broken rule pauses after its first failure; the other one runs in every round.
    assert calls == ["broken", "other", "other", "other"]
    for _ in range(2):
        make_due()
        sweeper.sweep()
    # As a whole it is never set aside for long.
    soon = timezone.now() + timedelta(seconds=61)
    assert FailedWork.objects.filter(next_try_at__lt=soon).exists()


def test_a_rule_of_retention_that_raises_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ValueError

    monkeypatch.setattr(retention, "_rules", [broken, lambda *_: 7])
    assert retention.run_rules(timezone.now()) == 7
    assert FailedWork.objects.get().tries == 1


@pytest.mark.databases
def test_an_event_that_cannot_be_read_hides_no_other_session(make_session: MakeSession) -> None:
    bad, good = make_session(), make_session()
    heads = {s.pk: SessionStats.objects.get(session=s).last_seq for s in (bad, good)}
    for session in (bad, good):
        recorder.add_message(session, "system", "Hello.")
    poison(SessionEvent.objects.filter(session=bad).latest("seq"), "at")
    news = asyncio.run(frames.after(heads))
    assert [event.type for event in news[good.pk]] == ["message.added"]
    # The pages of the other session load again instead; its owner is told in a message.
    assert news[bad.pk] == heads[bad.pk] + 2
    assert FailedWork.objects.get().tries == 3
    texts, reached = frames.since(frames.Missed(bad.pk, "owner", "json", heads[bad.pk]))
    assert reached == heads[bad.pk] + 2
    assert '"reload"' in texts[0]


@pytest.mark.databases
def test_sums_end_at_their_highest_instead_of_overflowing(session: Session) -> None:
    for model in (SessionStats, Bucket, Tally):
        model.objects.filter(session=session).update(cost_upper=HIGHEST - 5)
    for amount in (3, 10**18, 1):
        with transaction.atomic():
            recorder.record(session, recorder.SESSION_CHANGED, {}, cost_upper=amount)
    assert SessionStats.objects.get(session=session).cost_upper == HIGHEST
    with transaction.atomic():
        recorder.record(session, recorder.SESSION_CHANGED, {}, cost_upper=-7)
    assert SessionStats.objects.get(session=session).cost_upper == HIGHEST - 7


def test_the_operator_tries_failed_work_again_in_the_admin(
    client: Client, session: Session
) -> None:
    staff = User.objects.create_superuser("operator", password="x")
    isolation.note("Repair of a run", 4711, session.pk, ValueError(), at_once=True)
    client.force_login(staff)
    row = FailedWork.objects.get()
    answer = client.post(
        "/admin/sessions_app/failedwork/", {"action": "try_again", "_selected_action": [row.pk]}
    )
    assert answer.status_code == 302
    assert FailedWork.objects.filter(tries=0, next_try_at__lte=timezone.now()).exists()
