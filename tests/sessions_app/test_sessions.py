"""Sessions: created with their counters, changed within bounds, shown, revoked, filed away."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser, User

from sessions_app import sessions
from sessions_app.errors import Conflict, Invalid, NotFound
from sessions_app.models import Session, SessionEvent, SessionStats
from tests.conftest import MakeSession

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_session_is_made_with_its_counters_and_its_first_event(owner: User) -> None:
    session = sessions.create(owner, "  Morning  ", {}, None)
    assert (session.name, session.pace) == ("Morning", 180)
    assert SessionStats.objects.get(session=session).last_seq == 1
    assert SessionEvent.objects.get(session=session).type == "session.changed"


@pytest.mark.parametrize(
    "wrong", [{"pace": 30}, {"pace": 6001}, {"personality": "grumpy"}, {"control_mode": "none"}]
)
def test_settings_that_make_no_sense_leave_no_session(owner: User, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=next(iter(wrong))):
        sessions.create(owner, "Morning", wrong, None)
    assert not Session.objects.exists()


def test_a_session_without_a_name_is_refused(owner: User) -> None:
    with pytest.raises(Invalid, match="name"):
        sessions.create(owner, "   ", {}, None)


def test_a_session_exists_for_its_owner_alone(session: Session, stranger: User) -> None:
    assert sessions.get(session.owner, session.pk) == session
    for person, key in (
        (stranger, session.pk),
        (AnonymousUser(), session.pk),
        (session.owner, uuid4()),
        (session.owner, "no uuid"),
    ):
        with pytest.raises(NotFound):
            sessions.get(person, key)


def test_a_change_writes_one_event_that_shows_it(session: Session) -> None:
    before = SessionEvent.objects.filter(session=session).count()
    sessions.change(session, name="Evening", pace=200)
    found = SessionEvent.objects.filter(session=session).order_by("-seq")
    assert found.count() == before + 1
    assert found[0].payload["session"]["name"] == "Evening"
    assert Session.objects.get(pk=session.pk).pace == 200


def test_a_refused_change_changes_nothing(session: Session) -> None:
    with pytest.raises(Invalid):
        sessions.change(session, name="Evening", pace=7)
    assert Session.objects.get(pk=session.pk).name == "Morning"


def test_a_visible_session_is_found_by_its_token_and_a_hidden_one_is_not(
    session: Session,
) -> None:
    with pytest.raises(NotFound):
        sessions.by_watch_token(session.watch_token)
    sessions.show(session, True)
    assert sessions.by_watch_token(session.watch_token) == session


def test_taking_the_page_down_revokes_its_address_for_good(session: Session) -> None:
    old = sessions.show(session, True).watch_token
    sessions.show(session, False)
    sessions.show(session, True)
    with pytest.raises(NotFound):
        sessions.by_watch_token(old)


def test_watch_tokens_are_long_and_all_different(make_session: MakeSession) -> None:
    found = {make_session(str(n), recording=False).watch_token for n in range(20)}
    assert len(found) == 20
    assert all(len(token) >= 43 for token in found)


def test_a_session_is_archived_and_taken_back(session: Session) -> None:
    assert sessions.archive(session).status == "archived"
    assert sessions.restore(session).status == "active"


def test_who_objects_to_archiving_is_heard(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_vetoes", [lambda _: "Not now."])
    with pytest.raises(Conflict, match="Not now"):
        sessions.archive(session)
    assert Session.objects.get(pk=session.pk).status == "active"


def test_what_is_shown_of_a_session_holds_no_address(session: Session) -> None:
    assert session.watch_token not in str(sessions.payload(session))
