"""A key is nowhere to be read: not in the database's bytes, the log, a page, the admin, an error."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import MultiFernet
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.views.debug import ExceptionReporter

from sessions_app import api_tokens, credentials
from sessions_app.errors import SmnbError
from sessions_app.models import SealedKey, Session
from stories.llm import credentials as llm_credentials
from stories.sources.registry import adapter
from tests.api_clients import Api
from tests.conftest import run_due_steps
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.reddit import RedditStandIn

pytestmark = pytest.mark.django_db(transaction=True)

ANTHROPIC = "sk-ant-CANARY-anthropic-0001"
REDDIT = {"client_id": "CANARY-reddit-id-0002", "client_secret": "CANARY-reddit-secret-0003"}
ClientOf = Callable[[User], Client]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, down to the chattiest line, as the handler would write it."""
    found = io.StringIO()
    handler, root = logging.StreamHandler(found), logging.getLogger()
    handler.setFormatter(root.handlers[0].formatter if root.handlers else None)
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield found
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def services(settings: Any) -> Iterator[None]:
    with AnthropicStandIn() as anthropic, RedditStandIn() as reddit:
        addresses = {
            "anthropic_base_url": anthropic.url,
            "reddit_url": reddit.url,
            "reddit_oauth_url": reddit.url,
        }
        settings.SMNB = settings.SMNB.model_copy(update=addresses)
        yield


@pytest.fixture
def browser(owner: User, client_of: ClientOf, services: None, log: io.StringIO) -> Client:
    """A browser whose person has set both keys through the pages, and tested them."""
    browser = client_of(owner)
    browser.post("/account/keys/anthropic/", {"api_key": ANTHROPIC})
    browser.post("/account/keys/reddit/", REDDIT)
    for service in ("anthropic", "reddit"):
        assert llm_credentials.check_key(owner, service).startswith("Works")
    return browser


def test_the_key_is_in_no_byte_of_the_database_and_its_journal(
    browser: Client, session: Session
) -> None:
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            rows += cursor.fetchall()
    assert len(rows) > 5
    assert "CANARY" not in str(rows)
    name = str(connection.settings_dict["NAME"])
    for path in Path(name).parent.glob(f"{Path(name).name}*"):
        assert b"CANARY" not in path.read_bytes()


def test_the_key_is_in_no_line_of_the_log(
    browser: Client,
    owner: User,
    session: Session,
    go_live: Callable[[Session], Any],
    log: io.StringIO,
) -> None:
    session.model = "claude-haiku-4-5"
    session.save(update_fields=["model"])
    go_live(session)
    run_due_steps(session, most=4)
    with pytest.raises(SmnbError):
        adapter("reddit", owner).fetch("r/nowhere", "hot", {})
    assert log.getvalue().count("\n") > 10
    assert "CANARY" not in log.getvalue()


def test_the_key_is_on_no_page_and_in_no_answer_of_the_api(
    browser: Client, owner: User, session: Session
) -> None:
    for path in ("/account/", "/settings/", "/sessions/", f"/sessions/{session.pk}/"):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert b"CANARY" not in answer.content
    for path in ("sessions", f"sessions/{session.pk}", f"sessions/{session.pk}/events"):
        assert "CANARY" not in str(Api(owner).get(f"/{path}"))


@pytest.mark.slow
def test_the_admin_shows_no_key(browser: Client, editor: User, client_of: ClientOf) -> None:
    staff = client_of(editor)
    index = staff.get("/admin/")
    lists = {part.split('"')[0] for part in index.content.decode().split('href="')[1:]}
    read = [path for path in lists if path.count("/") == 4 and path.startswith("/admin/")]
    assert len(read) > 10
    for path in read:
        answer = staff.get(path)
        assert b"CANARY" not in answer.content
        sealed = SealedKey.objects.values_list("sealed", flat=True)
        assert not any(each.encode() in answer.content for each in sealed)


def shown(text: str) -> list[str]:
    """The keys that occur in a text (which may quote this file)."""
    return [secret for secret in (ANTHROPIC, *REDDIT.values()) if secret in text]


def report(error: Exception) -> str:
    """Django's own error page, with the local variables of every frame."""
    reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
    return str(reporter.get_traceback_html())


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The vault breaks where it holds a key in its hands, and the studio runs for a developer."""

    def breaks(*_args: Any, **_more: Any) -> str:
        raise RuntimeError("broken on purpose")

    settings.DEBUG = True
    monkeypatch.setattr("sessions_app.credentials.json.dumps", breaks)
    monkeypatch.setattr(MultiFernet, "decrypt", lambda *_: breaks())


def test_an_error_page_for_a_developer_has_no_key(
    browser: Client, owner: User, breaking: None
) -> None:
    for act in (
        lambda: credentials.save(owner, "reddit", REDDIT),
        lambda: credentials.parts(owner, "reddit"),
        lambda: llm_credentials.anthropic_of(owner),
    ):
        with pytest.raises(RuntimeError) as broken:
            act()
        found = report(broken.value)
        assert "broken on purpose" in found
        assert shown(found) == []


def test_the_answer_to_a_form_that_broke_has_no_key(browser: Client, breaking: None) -> None:
    browser.raise_request_exception = False
    answer = browser.post("/account/keys/reddit/", REDDIT)
    assert answer.status_code == 500
    assert "broken on purpose" in answer.content.decode()
    assert shown(answer.content.decode()) == []


def test_a_token_is_in_no_line_of_the_log_and_in_no_byte_of_the_database(
    browser: Client, log: io.StringIO
) -> None:
    page = browser.post("/account/tokens/", {"name": "weekly report"}).content.decode()
    token = page.split('id="new-token" type="text" value="')[1].split('"')[0]
    assert token.startswith(api_tokens.PREFIX)
    assert token not in log.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM sessions_app_apitoken")
        assert token not in str(cursor.fetchall())
