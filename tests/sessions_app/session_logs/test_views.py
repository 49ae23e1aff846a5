"""The log's page, and what browsers add to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from sessions_app import context
from sessions_app.files import storage
from sessions_app.models import Session
from sessions_app.session_logs import browser_errors, catalog, writer
from sessions_app.session_logs.reader import LogQuery
from tests.markup import unbroken

pytestmark = pytest.mark.django_db

log = structlog.get_logger("tests")


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    cache.clear()
    return client_of(owner)


def say(session: Session, event: str, number: int = 1, **fields: Any) -> None:
    with context.scope(
        **context.session_fields(session), environment="worker", request="a-request-1"
    ):
        for _ in range(number):
            log.warning(event, **fields)


def test_the_page_shows_lines_with_what_is_in_them(browser: Client, session: Session) -> None:
    say(session, "a_line_of_ours", answer="<b>42</b>")
    page = browser.get(f"/broadcast/{session.pk}/log/").content.decode()
    assert "a_line_of_ours" in page
    assert "&lt;b&gt;42&lt;/b&gt;" in page
    assert "?request=a-request-1" in page


def test_each_filter_leaves_out_what_it_should(browser: Client, session: Session) -> None:
    say(session, "a_line_of_ours")
    address = f"/broadcast/{session.pk}/log/"
    for asked in ("environment=worker", "level=warning", "request=a-request-1", "text=OF_OURS"):
        assert b"a_line_of_ours" in browser.get(f"{address}?{asked}").content, asked
    for asked in ("environment=server", "level=error", "request=a-request-2", "text=nowhere"):
        assert b"a_line_of_ours" not in browser.get(f"{address}?{asked}").content, asked


def test_older_lines_are_one_link_away_with_the_same_filter(
    browser: Client, session: Session
) -> None:
    say(session, "early")
    say(session, "late", catalog.LINES)
    shown = browser.get(f"/broadcast/{session.pk}/log/?environment=worker")
    page = unbroken(shown.content.decode())
    assert "<strong>early</strong>" not in page
    link = page.split('class="lines-more"><a class="button" href="')[1].split('"')[0]
    older = browser.get(f"/broadcast/{session.pk}/log/{link.replace('&amp;', '&')}")
    assert b"<strong>early</strong>" in older.content
    assert b"<strong>late</strong>" not in older.content


def test_a_part_is_answered_to_a_part_of_the_page(browser: Client, session: Session) -> None:
    htmx: Any = {"headers": {"HX-Request": "true"}}
    part = browser.get(f"/broadcast/{session.pk}/log/", **htmx).content.decode()
    assert "<html" not in part


def report(browser: Client, session: Session, **more: str) -> int:
    found = {"kind": "error", "message": "x is not defined", "source": "/static/js/live.js"} | more
    answer: Any = browser.post(f"/broadcast/{session.pk}/log/browser/", found)
    return int(answer.status_code)


def test_an_error_in_the_browser_becomes_a_line_and_a_file(
    browser: Client, session: Session
) -> None:
    assert report(browser, session, stack="x\n at y", asked="a-request-9", line="7") == 204
    (line,) = catalog.find(session, LogQuery(environment="browser")).lines
    assert (line["message"], line["level"], line["line"]) == ("x is not defined", "error", 7)
    assert (line["request"], line["stack"]) == ("a-request-9", "error")
    file = writer.LogFile(session.folder, "devtools", browser_errors.FILE, datetime.now(UTC).date())
    details = json.loads(storage.full_path(file.path).read_text())
    assert (details["id"], details["stack"]) == (line["id"], "x\n at y")


@pytest.mark.parametrize("more", [{"kind": "joke"}, {"message": ""}, {"stack": "x" * 5000}])
def test_what_is_no_report_is_refused(
    browser: Client, session: Session, more: dict[str, str]
) -> None:
    assert report(browser, session, **more) == 422
    assert catalog.find(session, LogQuery(environment="browser")).lines == []


def test_a_browser_that_does_not_stop_is_not_listened_to(
    browser: Client, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_errors, "A_MINUTE", 2)
    assert [report(browser, session) for _ in range(3)] == [204, 204, 429]
    assert len(catalog.find(session, LogQuery(environment="browser")).lines) == 2


def test_a_page_of_a_session_names_where_its_errors_go_and_its_request(
    browser: Client, session: Session
) -> None:
    answer = browser.get(f"/broadcast/{session.pk}/")
    page = answer.content.decode()
    assert f'data-url="/broadcast/{session.pk}/log/browser/"' in page
    assert f'data-request="{answer["X-Request-ID"]}"' in page
