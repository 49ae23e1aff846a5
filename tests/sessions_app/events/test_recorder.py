"""Events have no gaps, are in commit order and share the counters' transaction; Redis may fail."""

from __future__ import annotations

import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from sessions_app import audits
from sessions_app.events import recorder
from sessions_app.models import Session, SessionEvent, SessionStats
from tests.concurrency import together
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)


def seqs(session: Session) -> list[int]:
    rows = SessionEvent.objects.filter(session=session)
    return list(rows.order_by("seq").values_list("seq", flat=True))


def stats(session: Session) -> SessionStats:
    return SessionStats.objects.get(session=session)


def gapless(found: list[int]) -> bool:
    return found == list(range(1, len(found) + 1))


@pytest.mark.databases
def test_eight_writers_at_once_leave_no_gap_and_no_wrong_count(session: Session) -> None:
    before = stats(session)

    def write(index: int) -> None:
        for number in range(5):
            recorder.add_message(session, "system", f"{index}-{number}")

    together(8, write)
    assert gapless(seqs(session))
    assert stats(session).last_seq == before.last_seq + 40
    assert stats(session).messages == before.messages + 40
    assert list(audits.run()) == []


@pytest.mark.databases
def test_a_reader_never_sees_a_later_event_before_an_earlier_one(session: Session) -> None:
    stop = threading.Event()
    holes: list[list[int]] = []

    def read() -> None:
        while not stop.is_set():
            found = seqs(session)
            if not gapless(found):
                holes.append(found)
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    together(
        8, lambda index: [recorder.add_message(session, "system", f"{index}") for _ in range(4)]
    )
    stop.set()
    reader.join()
    assert holes == []


def test_each_session_has_its_own_seq(make_session: MakeSession) -> None:
    one, other = make_session("One", recording=False), make_session("Other", recording=False)
    for _ in range(3):
        recorder.add_message(one, "system", "x")
    assert (stats(one).last_seq, stats(other).last_seq) == (4, 1)


@pytest.mark.databases
def test_event_and_counters_are_rolled_back_together(session: Session) -> None:
    before = recorder.figures(stats(session)), seqs(session)
    with transaction.atomic():
        recorder.record(session, recorder.MESSAGE_ADDED, {}, messages=1, feed=3)
        transaction.set_rollback(True)
    assert (recorder.figures(stats(session)), seqs(session)) == before


def test_an_event_carries_the_figures_after_its_change(session: Session) -> None:
    with transaction.atomic():
        event = recorder.record(session, recorder.MESSAGE_ADDED, {"a": 1}, messages=2, queue=1)
    assert event.payload["a"] == 1
    assert event.payload["figures"] == recorder.figures(stats(session))


def test_the_total_is_the_sum_of_input_and_output(session: Session) -> None:
    with transaction.atomic():
        event = recorder.record(
            session, recorder.SESSION_CHANGED, {}, input_tokens=30, output_tokens=4
        )
    figures = event.payload["figures"]
    assert [figures[f"{part}_tokens"] for part in ("input", "output", "total")] == [30, 4, 34]


@pytest.mark.databases
def test_an_earlier_story_does_not_set_back_the_time_of_the_last_one(session: Session) -> None:
    latest = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for at in (latest - timedelta(days=1), latest, latest - timedelta(hours=1)):
        with transaction.atomic():
            recorder.record(session, recorder.SESSION_CHANGED, {}, at)
    assert SessionStats.objects.get(session=session).last_story_at == latest


@pytest.mark.databases
def test_events_recorded_together_follow_each_other_with_the_figures_of_their_moment(
    session: Session,
) -> None:
    first = stats(session).last_seq + 1
    with (
        CaptureQueriesContext(connection) as queries,
        transaction.atomic(),
        recorder.together(session),
    ):
        recorder.record(session, recorder.SESSION_CHANGED, {"n": 1}, feed=3, queue=2)
        recorder.record(session, recorder.SESSION_CHANGED, {"n": 2}, queue=-1)
        recorder.add_message(session, "system", "Third.")
        assert stats(session).last_seq == first - 1
    events = SessionEvent.objects.filter(session=session, seq__gte=first).order_by("seq")
    assert [event.seq for event in events] == [first, first + 1, first + 2]
    assert [event.payload.get("n") for event in events] == [1, 2, None]
    shown = [event.payload["figures"] for event in events]
    assert [(each["feed"], each["queue"], each["messages"]) for each in shown] == [
        (3, 2, 0),
        (3, 1, 0),
        (3, 1, 1),
    ]
    assert shown[2] == recorder.figures(stats(session))
    changes = [each["sql"] for each in queries.captured_queries if "UPDATE" in each["sql"][:6]]
    assert len(changes) == 1


@pytest.mark.databases
def test_events_recorded_together_are_undone_together(session: Session) -> None:
    before = recorder.figures(stats(session)), seqs(session)

    def fail() -> None:
        with transaction.atomic(), recorder.together(session):
            recorder.add_message(session, "system", "Lost.")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (recorder.figures(stats(session)), seqs(session)) == before
    with transaction.atomic():
        recorder.add_message(session, "system", "Found.")
    assert len(seqs(session)) == len(before[1]) + 1


def test_of_two_sessions_only_one_waits_for_the_end_of_the_block(
    make_session: MakeSession,
) -> None:
    session, other = make_session("One"), make_session("Two")
    with transaction.atomic(), recorder.together(session):
        recorder.add_message(session, "system", "Later.")
        recorder.add_message(other, "system", "At once.")
        assert stats(other).messages == 1
        assert stats(session).messages == 0
    assert stats(session).messages == 1


def test_an_event_that_a_savepoint_could_undo_is_refused_in_the_block(session: Session) -> None:
    with (
        pytest.raises(transaction.TransactionManagementError, match="savepoint"),
        transaction.atomic(),
        recorder.together(session),
        transaction.atomic(),
    ):
        recorder.record(session, recorder.SESSION_CHANGED, {})


def test_an_undeclared_type_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="undeclared"), transaction.atomic():
        recorder.record(session, "no.such", {})


def test_an_unknown_counter_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="unknown counters"), transaction.atomic():
        recorder.record(session, recorder.MESSAGE_ADDED, {}, last_seq=5)


def test_outside_a_transaction_nothing_is_recorded(session: Session) -> None:
    before = seqs(session)
    with pytest.raises(transaction.TransactionManagementError):
        recorder.record(session, recorder.MESSAGE_ADDED, {})
    assert seqs(session) == before


def test_a_session_without_counters_records_nothing(session: Session) -> None:
    SessionStats.objects.filter(session=session).delete()
    with pytest.raises(SessionStats.DoesNotExist), transaction.atomic():
        recorder.record(session, recorder.MESSAGE_ADDED, {})


def test_a_dead_redis_costs_nothing_but_a_line_in_the_log(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed_port:
        closed_port.bind(("127.0.0.1", 0))
        # By its address, as the product's own: a client made otherwise tries again for seconds.
        address = f"redis://127.0.0.1:{closed_port.getsockname()[1]}"
        dead = redis.Redis.from_url(address, socket_connect_timeout=1)
        monkeypatch.setattr(recorder, "redis_client", lambda: dead)
        message = recorder.add_message(session, "system", "Nobody hears it now.")
    assert SessionEvent.objects.filter(payload__message__id=message.pk).exists()
    assert any("publish_failed" in str(record.msg) for record in caplog.records)


def heard(session: Session, act: Any) -> list[dict[str, Any]]:
    """Returns what is published while ``act`` runs."""
    with redis.Redis.from_url(settings.REDIS.hub) as client, client.pubsub() as listener:
        listener.subscribe(recorder.CHANNEL)
        assert listener.get_message(timeout=5)
        act()
        # Messages arrive in order, so nothing comes after this one.
        client.publish(recorder.CHANNEL, '"end"')
        found: list[Any] = []
        while "end" not in found:
            message = listener.get_message(timeout=5)
            assert message
            found.append(json.loads(message["data"]))
        return found[:-1]


def test_a_committed_event_is_published_with_its_seq(session: Session) -> None:
    found = heard(session, lambda: recorder.add_message(session, "system", "x"))
    assert found == [{"session": str(session.pk), "seq": stats(session).last_seq}]


def test_an_event_that_was_rolled_back_is_not_published(session: Session) -> None:
    def act() -> None:
        with transaction.atomic():
            recorder.record(session, recorder.MESSAGE_ADDED, {})
            transaction.set_rollback(True)
        recorder.publish_ephemeral(session.pk, "narration.delta", {"text": "x"})

    found = heard(session, act)
    assert [each.get("type") for each in found] == ["narration.delta"]


def test_the_events_of_a_transaction_send_one_message(
    session: Session, make_session: MakeSession, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_session("Other")

    def act() -> None:
        with transaction.atomic():
            recorder.record(session, recorder.MESSAGE_ADDED, {})
            recorder.add_message(other, "system", "x")
            recorder.add_message(session, "system", "y")

    caplog.set_level("INFO")
    found = heard(session, act)
    assert found == [
        {"session": str(session.pk), "seq": stats(session).last_seq},
        {"session": str(other.pk), "seq": stats(other).last_seq},
    ]
    logged = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [line["event"] for line in logged].count("message.added") == 3


@pytest.mark.parametrize("undone", ["the first", "the last"])
def test_a_message_is_sent_for_events_of_which_a_savepoint_undoes_others(
    session: Session, undone: str
) -> None:
    before = stats(session).last_seq

    def record(rolled_back: bool) -> None:
        with transaction.atomic():
            recorder.record(session, recorder.MESSAGE_ADDED, {})
            transaction.set_rollback(rolled_back)

    def act() -> None:
        with transaction.atomic():
            record(undone == "the first")
            record(undone == "the last")

    assert heard(session, act) == [{"session": str(session.pk), "seq": before + 1}]


def test_an_error_while_events_are_announced_reaches_neither_the_caller_nor_other_hooks(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def fail(*_: object) -> None:
        called.append("publish")
        raise LookupError

    monkeypatch.setattr(recorder, "publish", fail)
    with transaction.atomic():
        recorder.add_message(session, "system", "x")
        transaction.on_commit(lambda: called.append("other"))
    assert called == ["publish", "other"]


def test_an_ephemeral_frame_leaves_nothing_behind(session: Session) -> None:
    before = seqs(session)
    recorder.publish_ephemeral(session.pk, "narration.delta", {"text": "x"})
    assert seqs(session) == before
