"""Sessions that expire are filed away once they are at rest, and nothing of them is deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from sessions_app import audits, sessions
from sessions_app.background import retention, steps, sweeper
from sessions_app.errors import Conflict, Invalid
from sessions_app.models import Message, Session, SessionEvent, Step
from tests.broadcast_runs import press
from tests.concurrency import together
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)


def expiring(session: Session, seconds: float) -> Session:
    moment = steps.now() + timedelta(seconds=seconds)
    Session.objects.filter(pk=session.pk).update(expires_at=moment)
    return Session.objects.get(pk=session.pk)


def status(session: Session) -> str:
    return Session.objects.get(pk=session.pk).status


def test_an_expired_session_is_filed_away_and_says_so(session: Session) -> None:
    expiring(session, -1)
    sweeper.sweep()
    assert status(session) == "archived"
    message = Message.objects.get(session=session, code=retention.EXPIRED)
    assert message.text.startswith("The session expired on ")
    changed = SessionEvent.objects.filter(session=session, type="session.changed").latest("seq")
    assert changed.payload["session"]["status"] == "archived"
    assert list(audits.run()) == []


def test_it_is_filed_away_once(session: Session) -> None:
    expiring(session, -1)
    together(3, lambda _: retention.expire(0))
    sweeper.sweep()
    assert Message.objects.filter(session=session, code=retention.EXPIRED).count() == 1


@pytest.mark.parametrize("seconds", [60, None])
def test_what_is_not_due_stays(session: Session, seconds: float | None) -> None:
    if seconds is not None:
        expiring(session, seconds)
    sweeper.sweep()
    assert status(session) == "active"


def test_a_session_on_air_never_expires(
    session: Session, go_live: Callable[[Session], Any], work: Callable[..., int]
) -> None:
    go_live(session)
    work(session)
    expiring(session, -1)
    sweeper.sweep()
    assert status(session) == "active"
    press(session, "stop")
    sweeper.sweep()
    assert status(session) == "archived"


def test_a_session_with_a_step_at_work_waits(session: Session) -> None:
    expiring(session, -1)
    at = steps.now()
    step = Step.objects.create(
        session=session,
        kind="draft",
        subject="1",
        due_at=at,
        state="leased",
        lease_until=at + timedelta(seconds=20),
    )
    retention.expire(0)
    assert status(session) == "active"
    Step.objects.filter(pk=step.pk).update(state="done", lease_until=None)
    retention.expire(0)
    assert status(session) == "archived"


def test_a_restored_session_stays(session: Session) -> None:
    expiring(session, -1)
    sweeper.sweep()
    sessions.restore(Session.objects.get(pk=session.pk))
    sweeper.sweep()
    fresh = Session.objects.get(pk=session.pk)
    assert (fresh.status, fresh.expires_at) == ("active", None)


def test_restoring_in_time_keeps_the_time(session: Session) -> None:
    fresh = expiring(session, 60)
    assert sessions.restore(sessions.archive(fresh)).expires_at == fresh.expires_at


def test_a_moment_that_is_over_is_refused(session: Session) -> None:
    with pytest.raises(Invalid, match="has passed"):
        retention.ahead(steps.now() - timedelta(seconds=1))
    assert retention.ahead(None) is None


@pytest.mark.databases
def test_expiring_and_going_live_at_once_end_in_one_of_both(make_session: MakeSession) -> None:
    sessions = [expiring(make_session(str(number)), -1) for number in range(4)]

    def act(index: int) -> None:
        if index % 2:
            retention.expire(0)
        else:
            press(sessions[index // 2], "start")

    together(8, act)
    for session in sessions:
        on_air = session.broadcast_set.exclude(state="idle").exists()
        assert on_air != (status(session) == "archived")


@pytest.mark.databases
def test_going_live_with_a_session_filed_away_meanwhile_is_refused(session: Session) -> None:
    stale = Session.objects.get(pk=session.pk)
    sessions.archive(session)
    with pytest.raises(Conflict, match="archived"):
        press(stale, "start")
