"""What goes wrong on the audience's pages: told to the session's log by nobody who is trusted."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from broadcast.public import views
from sessions_app import sessions
from sessions_app.files import storage
from sessions_app.models import Session
from sessions_app.session_logs import browser_errors, catalog, writer
from sessions_app.session_logs.reader import Line, LogQuery
from tests.broadcast.speech.recorded_session import recorded
from tests.markup import unbroken

pytestmark = pytest.mark.django_db

OURS = {"Origin": "http://localhost:8000"}
BROKEN = {"kind": "error", "message": "x is not defined", "source": "/static/js/live.js"}


@pytest.fixture
def shown(session: Session) -> Session:
    cache.clear()
    return sessions.show(session, True)


def tell(session: Session, headers: dict[str, str] = OURS, **more: str) -> Any:
    """What a page of the audience sends."""
    client = Client(enforce_csrf_checks=True)
    address = f"/watch/{session.watch_token}/errors/"
    return client.post(address, BROKEN | more, headers=headers)


def lines(session: Session) -> list[Line]:
    return catalog.find(session, LogQuery(environment="browser")).lines


def kept(session: Session, stem: str) -> str:
    file = writer.LogFile(session.folder, writer.DEVTOOLS, stem, datetime.now(UTC).date())
    path = storage.full_path(file.path)
    return path.read_text() if path.exists() else ""


def test_an_error_of_the_audience_becomes_a_line_that_says_so(shown: Session) -> None:
    answer = tell(shown, stack="x\n at y", line="7")
    assert (answer.status_code, answer.content) == (204, b"")
    (line,) = lines(shown)
    assert (line["message"], line["line"], line["told_by"]) == ("x is not defined", 7, "audience")
    assert (line["environment"], line["level"]) == ("browser", "error")
    assert (line["request"], line["session"]) == (answer["X-Request-ID"], str(shown.pk))
    assert "user" not in line
    found = json.loads(kept(shown, browser_errors.AUDIENCE_FILE))
    assert (found["id"], found["stack"]) == (line["id"], "x\n at y")
    assert kept(shown, browser_errors.FILE) == ""


def test_nothing_is_set_in_the_browser_of_who_tells(shown: Session) -> None:
    answer = tell(shown)
    assert not answer.cookies
    assert "Vary" not in answer
    assert answer["Cache-Control"] == "no-store"


def test_what_was_told_stands_on_the_log_page_without_its_markup(
    shown: Session, owner: User, client_of: Callable[[User], Client]
) -> None:
    tell(shown, message="<img src=x onerror=alert(1)>")
    answer = client_of(owner).get(f"/broadcast/{shown.pk}/log/?environment=browser")
    page = unbroken(answer.content.decode())
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img" not in page
    assert "<dt>told_by</dt><dd>audience</dd>" in page


def test_a_line_does_not_join_the_request_that_a_stranger_names(shown: Session) -> None:
    tell(shown, asked="a-request-9")
    (line,) = lines(shown)
    assert line["asked"] == "a-request-9"
    assert line["request"] != "a-request-9"
    assert catalog.find(shown, LogQuery(request="a-request-9")).lines == []


def test_what_is_too_long_is_cut(shown: Session) -> None:
    assert tell(shown, message="m" * 900, page="p" * 900, stack="s" * 9000).status_code == 204
    (line,) = lines(shown)
    assert (len(line["message"]), len(line["page"])) == (300, 200)
    assert len(json.loads(kept(shown, browser_errors.AUDIENCE_FILE))["stack"]) == 2000


def test_a_terminal_is_told_nothing_that_it_could_obey(shown: Session) -> None:
    tell(shown, message="red \x1b[31m\x9b0m\nlevel=critical \u202e\x00", stack="a\x1bb\nc")
    (line,) = lines(shown)
    assert line["message"] == "red  [31m 0m level=critical"
    assert json.loads(kept(shown, browser_errors.AUDIENCE_FILE))["stack"] == "a b\nc"


def test_the_address_that_opens_the_page_is_not_in_the_log(
    shown: Session, caplog: pytest.LogCaptureFixture
) -> None:
    tell(shown, page=f"/watch/{shown.watch_token}/overlay/")
    (line,) = lines(shown)
    assert line["page"] == "/watch/[hidden]/overlay/"
    assert shown.watch_token not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", **OURS},
        {"Sec-Fetch-Site": "same-site", **OURS},
    ],
)
def test_what_no_page_of_ours_sends_is_refused(shown: Session, headers: dict[str, str]) -> None:
    assert tell(shown, headers).status_code == 403
    assert lines(shown) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "http://testserver"},
    ],
)
def test_a_page_of_ours_is_known_by_what_its_browser_says(
    shown: Session, headers: dict[str, str]
) -> None:
    assert tell(shown, headers).status_code == 204


@pytest.mark.parametrize(
    "more",
    [{"kind": "joke"}, {"message": ""}, {"message": "\x00"}, {"line": "x"}, {"asked": "no id"}],
)
def test_what_is_no_report_is_refused(shown: Session, more: dict[str, str]) -> None:
    assert tell(shown, OURS, **more).status_code == 422
    assert lines(shown) == []


def test_what_is_too_much_is_refused_before_it_is_read(
    shown: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "AudienceErrorForm", None)
    assert tell(shown, stack="x" * views.LONGEST_REPORT).status_code == 413
    assert tell(shown, {**OURS, "Content-Length": ""}).status_code == 413


def test_a_link_that_was_withdrawn_takes_no_reports(shown: Session) -> None:
    old = Session.objects.get(pk=shown.pk)
    sessions.show(shown, False)
    assert tell(old).status_code == tell(shown).status_code == 404
    assert lines(shown) == []


def test_an_audience_that_does_not_stop_is_not_listened_to(
    shown: Session,
    owner: User,
    client_of: Callable[[User], Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(browser_errors, "AUDIENCE_A_MINUTE", 2)
    assert [tell(shown).status_code for _ in range(4)] == [204, 204, 429, 429]
    assert len(lines(shown)) == 2
    answer: Any = client_of(owner).post(f"/broadcast/{shown.pk}/log/browser/", BROKEN)
    assert answer.status_code == 204
    assert "told_by" not in lines(shown)[0]


def test_nor_is_it_all_day(shown: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_errors, "AUDIENCE_A_DAY", 1)
    assert [tell(shown).status_code for _ in range(2)] == [204, 429]


def test_one_session_s_audience_does_not_silence_that_of_another(
    shown: Session, make_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_errors, "AUDIENCE_A_MINUTE", 1)
    other = sessions.show(make_session("Evening"), True)
    assert [tell(each).status_code for each in (shown, shown, other)] == [204, 429, 204]


def test_a_refusal_leaves_nothing_in_the_session_s_folder(
    shown: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser_errors, "AUDIENCE_A_MINUTE", 1)
    tell(shown)
    before = catalog.find(shown, LogQuery()).lines
    long = tell(shown, stack="x" * views.LONGEST_REPORT)
    refused = [tell(shown), tell(shown, {}), tell(shown, kind="joke"), long]
    assert [answer.status_code for answer in refused] == [429, 403, 429, 413]
    unreadable: Any = {"data": b"x", "content_type": "multipart/form-data", "headers": OURS}
    assert Client().post(f"/watch/{shown.watch_token}/errors/", **unreadable).status_code == 429
    assert catalog.find(shown, LogQuery()).lines == before


@pytest.mark.parametrize("part", ["", "overlay/", "episodes/1/", "replay/1/"])
def test_every_page_of_the_audience_names_where_its_errors_go(shown: Session, part: str) -> None:
    recorded(shown)
    answer = Client().get(f"/watch/{shown.watch_token}/{part}")
    page = answer.content.decode()
    assert page.count(f'data-url="/watch/{shown.watch_token}/errors/"') == 1
    assert f'data-request="{answer["X-Request-ID"]}"' in page
    assert not answer.cookies
