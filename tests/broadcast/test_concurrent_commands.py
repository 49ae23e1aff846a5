"""One press or two, one session: the buttons Create and Clone, and when a session expires."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions_app import api_tokens
from sessions_app.models import IdempotencyKey, Session
from sessions_app.web import http
from tests.concurrency import together

pytestmark = pytest.mark.django_db(transaction=True)

ClientOf = Callable[[User], Client]


@pytest.fixture
def browser(client_of: ClientOf, owner: User) -> Client:
    return client_of(owner)


def key_on(browser: Client, path: str) -> str:
    found = re.search(r'name="once" value="([^"]+)"', browser.get(path).content.decode())
    assert found is not None
    return found[1]


def create(browser: Client, key: str, name: str = "Evening") -> str:
    data = {"name": name, "sources": "demo", "once": key}
    answer = browser.post("/sessions/new/", data)
    assert answer.status_code == 302
    return str(answer["Location"])


def test_a_double_click_makes_one_session(browser: Client) -> None:
    key = key_on(browser, "/sessions/")
    assert create(browser, key) == create(browser, key)
    assert Session.objects.count() == 1


@pytest.mark.databases
def test_a_double_click_that_arrives_at_once_makes_one(client_of: ClientOf, owner: User) -> None:
    browsers = [client_of(owner) for _ in range(4)]
    places = together(4, lambda index: create(browsers[index], "the-same-key"))
    assert len(set(places)) == Session.objects.count() == 1


def test_each_page_makes_its_own_session(browser: Client) -> None:
    for _ in range(2):
        create(browser, key_on(browser, "/sessions/"))
    assert Session.objects.count() == 2


def test_going_back_and_writing_another_name_makes_another(browser: Client) -> None:
    key = key_on(browser, "/sessions/")
    create(browser, key)
    create(browser, key, "Night")
    assert Session.objects.count() == 2


def test_a_later_press_is_meant(browser: Client) -> None:
    key = key_on(browser, "/sessions/")
    first = create(browser, key)
    row = IdempotencyKey.objects.get()
    row.answer["at"] = (datetime.now(UTC) - 2 * http.SAME_PRESS).isoformat()
    row.save()
    assert create(browser, key) != first
    assert Session.objects.count() == 2


def test_a_refused_form_may_be_sent_again(browser: Client) -> None:
    key = key_on(browser, "/sessions/")
    data = {"name": "Evening", "sources": "r/!", "once": key}
    assert browser.post("/sessions/new/", data).status_code == 422
    create(browser, key)
    assert Session.objects.count() == 1


@pytest.mark.parametrize("path", ["/sessions/", "/sessions/{}/"])
def test_a_double_click_makes_one_clone(browser: Client, session: Session, path: str) -> None:
    key = key_on(browser, path.format(session.pk))
    clone = f"/sessions/{session.pk}/clone/"
    first, second = (browser.post(clone, {"once": key})["Location"] for _ in range(2))
    assert first == second
    assert Session.objects.count() == 2


def test_two_sessions_of_one_list_are_cloned_each(
    browser: Client, session: Session, make_session: Any
) -> None:
    other = make_session("Other")
    key = key_on(browser, "/sessions/")
    for each in (session, other):
        browser.post(f"/sessions/{each.pk}/clone/", {"once": key})
    assert Session.objects.count() == 4


@pytest.mark.databases
def test_two_requests_with_one_idempotency_key_make_one_session(owner: User) -> None:
    client = Client(headers={"Authorization": f"Bearer {api_tokens.make(owner)}"})
    body = {"name": "Evening", "sources": []}
    headers = {"Idempotency-Key": "k1"}

    def post(_: int) -> str:
        answer = client.post("/api/sessions", body, "application/json", headers=headers)
        assert answer.status_code == 201
        return str(answer.json()["id"])

    assert len(set(together(4, post))) == Session.objects.count() == 1


def test_the_day_a_session_expires_is_set_and_taken_back(browser: Client, session: Session) -> None:
    path = f"/sessions/{session.pk}/expiry/"
    browser.post(path, {"expires_on": "2999-05-04"})
    session.refresh_from_db()
    assert session.expires_at == datetime(2999, 5, 4, tzinfo=UTC)
    page = browser.get(f"/sessions/{session.pk}/").content.decode()
    assert 'value="2999-05-04"' in page
    assert "This session is archived automatically" in page
    browser.post(path, {"expires_on": ""})
    session.refresh_from_db()
    assert session.expires_at is None


def test_a_day_that_was_not_changed_keeps_its_hour(browser: Client, session: Session) -> None:
    moment = datetime(2999, 5, 4, 18, 30, tzinfo=UTC)
    Session.objects.filter(pk=session.pk).update(expires_at=moment)
    browser.post(f"/sessions/{session.pk}/expiry/", {"expires_on": "2999-05-04"})
    session.refresh_from_db()
    assert session.expires_at == moment


@pytest.mark.parametrize(("day", "message"), [("2001-01-01", "has passed"), ("soon", "valid date")])
def test_a_day_that_cannot_be_is_refused(
    browser: Client, session: Session, day: str, message: str
) -> None:
    path = f"/sessions/{session.pk}/expiry/"
    answer = browser.post(path, {"expires_on": day}, follow=True)
    assert message in answer.content.decode()
    session.refresh_from_db()
    assert session.expires_at is None


def test_the_api_sets_the_moment(owner: User, session: Session) -> None:
    client = Client(headers={"Authorization": f"Bearer {api_tokens.make(owner)}"})
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

    def change(at: str | None) -> Any:
        body = {"expires_at": at}
        return client.patch(f"/api/sessions/{session.pk}", body, "application/json").json()

    assert change(moment.isoformat())["expires_at"] == moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert "timezone" in change("2999-01-01T00:00:00")["detail"]
    assert change(None)["expires_at"] is None
