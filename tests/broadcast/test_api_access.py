"""Who may use the API, and what a retry does."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from sessions_app import api_tokens
from sessions_app.models import Session
from tests.api_clients import Api
from tests.concurrency import together

pytestmark = pytest.mark.django_db(transaction=True)

RECORDING = {"kind": "recording", "locator": "demo"}
WANTED: dict[str, Any] = {"name": "Morning", "sources": [RECORDING]}
LISTS = ("stories", "posts", "usage", "events")


@pytest.fixture
def api(owner: User) -> Api:
    return Api(owner)


PATHS = [
    ("GET", "", None),
    ("PATCH", "", {"name": "Mine now"}),
    ("POST", "/clone", {}),
    ("POST", "/archive", {}),
    ("POST", "/restore", {}),
    ("POST", "/sources", RECORDING),
    ("POST", "/broadcast", {"command": "start"}),
    ("POST", "/stories/1/approve", {}),
    ("GET", "/stats", None),
    *[("GET", f"/{what}", None) for what in LISTS],
]


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
def test_the_session_of_somebody_else_is_not_there(
    session: Session, stranger: User, method: str, path: str, body: Any
) -> None:
    for key in (session.pk, uuid4(), "no-uuid"):
        answer = Api(stranger).call(method, f"/sessions/{key}{path}", body)
        assert answer.status_code == 404
        assert set(json.loads(answer.content)) == {"code", "detail"}
    session.refresh_from_db()
    assert (session.name, session.status) == ("Morning", "active")


@pytest.mark.parametrize(("method", "path", "body"), PATHS)
def test_without_credentials_nothing_opens(
    session: Session, method: str, path: str, body: Any
) -> None:
    for headers in ({}, {"Authorization": "Bearer smnb_wrong"}):
        answer = Client(headers=headers).generic(
            method,
            f"/api/sessions/{session.pk}{path}",
            json.dumps(body),
            content_type="application/json",
        )
        assert answer.status_code == 401
        assert set(answer.json()) == {"code", "detail"}


def test_a_list_holds_the_sessions_of_the_caller_alone(session: Session, stranger: User) -> None:
    assert Api(stranger).get("/sessions") == {"items": [], "next": None}


def test_a_cookie_needs_its_csrf_token_to_change_something(session: Session) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(session.owner, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/api/sessions").status_code == 200
    path = f"/api/sessions/{session.pk}/archive"
    refused = client.post(path, content_type="application/json")
    assert refused.status_code in {401, 403}
    assert set(refused.json()) == {"code", "detail"}
    client.get("/sessions/")
    token = {"X-CSRFToken": client.cookies["csrftoken"].value}
    assert client.post(path, content_type="application/json", headers=token).status_code == 200


def test_a_form_sent_to_the_api_is_no_fault_of_ours(session: Session) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(session.owner, backend="django.contrib.auth.backends.ModelBackend")
    client.get("/sessions/")
    token = {"X-CSRFToken": client.cookies["csrftoken"].value}
    answer = client.post(f"/api/sessions/{session.pk}/archive", {"a": "b"}, headers=token)
    assert answer.status_code < 500


def test_a_bearer_token_needs_no_csrf_token(owner: User) -> None:
    client = Client(
        enforce_csrf_checks=True, headers={"Authorization": f"Bearer {api_tokens.make(owner)}"}
    )
    assert client.post("/api/sessions", WANTED, "application/json").status_code == 201


def test_a_retried_post_has_one_effect_and_the_same_answer(api: Api) -> None:
    first = api.post("/sessions", WANTED, **{"Idempotency-Key": "k"})
    assert api.post("/sessions", WANTED, **{"Idempotency-Key": "k"}) == first
    assert Session.objects.count() == 1


def test_a_key_with_another_body_is_refused(api: Api) -> None:
    api.post("/sessions", WANTED, **{"Idempotency-Key": "k"})
    status, found = api.post("/sessions", {**WANTED, "name": "Other"}, **{"Idempotency-Key": "k"})
    assert (status, found["code"]) == (422, "idempotency_key_reused")
    assert Session.objects.count() == 1


def test_ten_retries_at_once_make_one_session(owner: User) -> None:
    callers = [Api(owner) for _ in range(10)]
    found = together(
        10, lambda index: callers[index].post("/sessions", WANTED, **{"Idempotency-Key": "k"})
    )
    assert {status for status, _ in found} == {201}
    assert len({body["id"] for _, body in found}) == 1
    assert Session.objects.count() == 1


def test_a_retried_start_is_answered_as_the_first_time(api: Api, session: Session) -> None:
    path = f"/sessions/{session.pk}/broadcast"
    first = api.post(path, {"command": "start"}, **{"Idempotency-Key": "go"})
    assert api.post(path, {"command": "start"}, **{"Idempotency-Key": "go"}) == first
    assert first[0] == 202
