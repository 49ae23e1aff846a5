"""What strangers may type into addresses and files: no error 500, no script of ours, no secret kept."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.models import Permission, User
from django.core.exceptions import SuspiciousOperation
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as settings_of_hypothesis

from broadcast.public.feeds import texts_of
from sessions_app import api_tokens, sessions
from sessions_app.files import artifacts
from sessions_app.models import Message, Session
from smnb.api import api
from tests.smnb.api_contract import ODD

pytestmark = pytest.mark.django_db

DOCUMENT: dict[str, Any] = dict(api.get_openapi_schema(path_prefix="/api/"))
FIELDS = sorted(
    {
        field
        for schema in DOCUMENT["components"]["schemas"].values()
        for field in schema.get("properties", {})
    }
)
KEY = "sk-ant-api03-" + "x" * 40


@pytest.fixture
def root(client_of: Callable[[User], Client]) -> Client:
    return client_of(User.objects.create_superuser("root", password="root-has-a-password"))


@pytest.fixture
def mine(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


CURSORS = [
    "2026-01-01T00:00:00_x",
    "2026-01-01T00:00:00+00:00_²",
    "0001-01-01T00:00:00+14:00_00000000-0000-4000-8000-000000000000",
    "9999-12-31T23:59:59-14:00_00000000-0000-4000-8000-000000000000",
    "2026-13-45T00:00:00Z_1",
    "2026-01-01_00000000-0000-4000-8000-000000000000",
    "_",
    "\x00",
    "²",
]


@pytest.mark.parametrize("cursor", CURSORS)
def test_a_foreign_cursor_is_refused_with_a_sentence(mine: Client, cursor: str) -> None:
    answer = mine.get("/api/sessions", {"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_the_cursor_of_an_answer_leads_on(
    mine: Client, session: Session, make_session: Any
) -> None:
    make_session("Evening")
    first = mine.get("/api/sessions", {"limit": 1}).json()
    second = mine.get("/api/sessions", {"limit": 1, "cursor": first["next"]}).json()
    assert {each["items"][0]["id"] for each in (first, second)} == {
        str(each.pk) for each in Session.objects.all()
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [("owner", "²"), ("owner__id__exact", "9" * 30), ("p", "²"), ("page", "²"), ("q", "\x00")],
)
def test_no_parameter_of_a_list_of_the_admin_is_an_error(
    root: Client, name: str, value: str
) -> None:
    for model in admin.site._registry:
        if model._meta.app_label in {"sessions_app", "stories", "broadcast"}:
            path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            answer = root.get(path, {name: value})
            assert answer.status_code in {200, 302}, (path, answer.status_code)
    assert root.get(reverse("admin:stories_quarantine_groups"), {name: value}).status_code == 200


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("evil.js", "application/octet-stream"),
        ("evil.html", "application/octet-stream"),
        ("evil.svg", "image/svg+xml"),
        ("evil.css", "application/octet-stream"),
        ("fine.png", "image/png"),
    ],
)
def test_an_uploaded_file_is_never_a_script_of_ours(
    mine: Client, session: Session, owner: User, name: str, sent: str
) -> None:
    row = artifacts.upload(session, owner, name, 7, [b"alert()"])
    answer = mine.get(f"/broadcast/{session.pk}/artifacts/{row.pk}/")
    assert answer["Content-Type"] == sent
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"


def test_what_depends_on_the_login_is_stored_nowhere(mine: Client, session: Session) -> None:
    for path in (
        "/sessions/",
        f"/sessions/{session.pk}/",
        "/api/sessions",
        "/account/",
        "/nowhere/",
    ):
        assert "no-store" in mine.get(path)["Cache-Control"], path
    assert "no-store" in Client().get("/login/")["Cache-Control"]


@pytest.mark.parametrize("rest", ["", "nowhere", "sounds/1", "episodes/9/", "episodes/9/audio.mp3"])
def test_a_missing_page_of_a_link_keeps_the_link_secret(session: Session, rest: str) -> None:
    shown = sessions.show(session, True)
    for token in (shown.watch_token, "t" * 43):
        answer = Client().get(f"/watch/{token}/{rest}")
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["X-Robots-Tag"] == "noindex"
        assert "no-store" in answer["Cache-Control"]
        # The audience has no account and no studio.
        assert b"Back to the studio" not in answer.content


def test_no_secret_and_no_escape_reaches_the_terminal() -> None:
    logging_: Any = settings.LOGGING
    formatter = logging_["formatters"]["line"]
    made = formatter["()"](
        foreign_pre_chain=formatter["foreign_pre_chain"], processors=formatter["processors"]
    )
    text = f"Not Found: /watch/{'t' * 43}/\x1b[31m\u202e {KEY}"
    line = made.format(logging.LogRecord("x", logging.WARNING, "", 0, text, None, None))
    assert "/watch/[hidden]/" in line
    assert "\x1b" not in line
    assert "\u202e" not in line
    assert KEY not in line


@pytest.mark.parametrize("kind", ["DisallowedHost", "RequestDataTooBig", "TooManyFieldsSent"])
def test_a_refused_request_is_one_short_line_of_the_log(kind: str) -> None:
    logging_: Any = settings.LOGGING
    formatter = logging_["formatters"]["line"]
    made = formatter["()"](
        foreign_pre_chain=formatter["foreign_pre_chain"], processors=formatter["processors"]
    )

    def line_of(logger: str) -> str:
        try:
            raise SuspiciousOperation("evil.example")
        except SuspiciousOperation as error:
            raised = (type(error), error, error.__traceback__)
        record = logging.LogRecord(logger, logging.ERROR, "", 0, "evil.example", None, raised)
        return str(made.format(record))

    line = line_of(f"django.security.{kind}")
    assert " level=warning " in line
    assert "Traceback" not in line
    assert len(line) < 250
    # An error of ours is shown whole.
    assert "Traceback" in line_of("django.request")


def test_a_key_that_is_typed_into_the_chat_is_not_stored(mine: Client, session: Session) -> None:
    mine.post(f"/broadcast/{session.pk}/chat/", {"text": f"Use my key {KEY} please"})
    assert [each.text for each in Message.objects.filter(role="human")] == [
        "Use my key [hidden] please"
    ]


@pytest.mark.parametrize("topics", [None, 7, {"a": 1}, "tides", [1, None, ["x"], "tides"]])
def test_topics_of_an_imported_story_that_are_no_texts_are_left_out(topics: Any) -> None:
    assert texts_of(topics) == (["tides"] if isinstance(topics, list) else [])


def test_the_mark_of_the_staff_alone_changes_nothing_of_the_workspace(
    client_of: Callable[[User], Client],
) -> None:
    """The admin and the settings ask for the same permission."""
    clerk = User.objects.create_user("clerk", password="clerk-has-a-password", is_staff=True)
    form = {"name": "New", "sources": "demo"}
    assert client_of(clerk).post("/settings/groups/", form).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="change_workspace"))
    assert client_of(clerk).post("/settings/groups/", form).status_code == 302


def test_who_may_only_view_decides_nothing_in_the_admin(
    client_of: Callable[[User], Client], owner: User
) -> None:
    clerk = User.objects.create_user("clerk", password="clerk-has-a-password", is_staff=True)
    models = ("apitoken", "quarantinedrecord", "failedwork")
    clerk.user_permissions.set(
        Permission.objects.filter(codename__in=[f"view_{name}" for name in models])
    )
    api_tokens.make(owner)
    client = client_of(clerk)
    for path, action in (
        ("sessions_app_apitoken", "revoke"),
        ("stories_quarantinedrecord", "adopt"),
        ("stories_quarantinedrecord", "discard"),
        ("sessions_app_failedwork", "try_again"),
    ):
        form = {"action": action, ACTION_CHECKBOX_NAME: [1]}
        assert client.post(reverse(f"admin:{path}_changelist"), form).status_code == 403
    assert len(api_tokens.valid(owner)) == 1


@settings_of_hypothesis(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=strategies.data())
def test_no_call_of_the_api_is_an_error_500(
    mine: Client, session: Session, data: strategies.DataObject
) -> None:
    """Every operation of the OpenAPI document, with parameters and bodies that fit it or do not."""
    path, methods = data.draw(strategies.sampled_from(sorted(DOCUMENT["paths"].items())))
    method = data.draw(strategies.sampled_from(sorted(methods)))
    odd = strategies.sampled_from(ODD)
    address = re.sub(
        r"\{(\w+)\}",
        lambda part: (
            str(session.pk)
            if part[1] == "session_id" and data.draw(strategies.booleans())
            else quote(str(data.draw(odd)) or "-", safe="")
        ),
        path,
    )
    parameters = [each["name"] for each in methods[method].get("parameters", ())]
    query = {name: str(data.draw(odd)) for name in parameters if data.draw(strategies.booleans())}
    fields = [*FIELDS, "command", "name"]
    body = data.draw(
        strategies.dictionaries(strategies.sampled_from(fields), odd, max_size=4) | odd
    )
    answer = mine.generic(
        method.upper(),
        f"{address}?{urlencode(query)}",
        json.dumps(body),
        content_type="application/json",
        headers={"Origin": "http://localhost:8000"},
    )
    is_json = answer["Content-Type"].startswith("application/json")
    assert answer.status_code < 500 or (is_json and answer.json()["code"] == "needs_human")
    # A quoted path may lead to a page instead of the operation.
    if answer.status_code >= 400 and is_json:
        assert answer.json().keys() >= {"code", "detail"}


PART = b'--x\r\nContent-Disposition: form-data; name="a"'
FORMS = {
    "whole": PART + b"\r\n\r\n1\r\n--x--\r\n",
    "no base64": PART + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!=\r\n--x--\r\n",
    "headers": PART + b"\r\n" + b"A: b\r\n" * 1200 + b"\r\n1\r\n--x--\r\n",
    "files": (PART + b'; filename="f"\r\n\r\n1\r\n') * 120 + b"--x--\r\n",
    "cut": PART,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_cannot_be_read_is_no_error_500(
    owner: User, session: Session, form: str
) -> None:
    """Also where no page takes one: the page that says so must not read the form."""
    origin = {"Origin": "http://localhost:8000"}
    strict = Client(enforce_csrf_checks=True, raise_request_exception=False, headers=origin)
    strict.cookies["csrftoken"] = "c" * 32
    addresses = ("/no", "/api/no", f"/watch/{'t' * 43}/no", "/static/no.css", "/login/")

    def post(path: str) -> Any:
        return strict.generic(
            "POST",
            path,
            FORMS[form],
            content_type="multipart/form-data; boundary=x",
            headers={"X-CSRFToken": "c" * 32},
        )

    for signed_in in (False, True):
        if signed_in:
            strict.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
        assert [post(path).status_code for path in addresses[:-1]] == [404] * 4
        assert post(addresses[-1]).status_code in {200, 302, 400, 403}
    for path in ("/api/sessions", f"/api/sessions/{session.pk}/messages"):
        answer = post(path)
        found = (answer.status_code, answer.json()["code"])
        assert found in {(400, "bad_request"), (422, "invalid")}
