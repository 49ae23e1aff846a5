"""The list of the Session Manager: filtered, paged by key, in a constant number of queries."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from broadcast.models import Broadcast
from broadcast.studio.sessions import queries
from broadcast.studio.sessions.queries import Filter
from sessions_app import sessions
from sessions_app.models import Session, SessionStats
from tests.conftest import MakeSession
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)

HTMX = {"HX-Request": "true"}


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def text(answer: Any) -> str:
    return unbroken(answer.content.decode())


def names(answer: Any) -> list[str]:
    return re.findall(r"<h3><a [^>]*>([^<]*)</a></h3>", text(answer))


def many(owner: User, number: int) -> None:
    """Sessions of the owner, of which each pair was made at the same moment."""
    now = timezone.now()
    for each in range(number):
        session = Session.objects.create(owner=owner, name=f"S{each:03}")
        SessionStats.objects.create(session=session)
        made = now - timedelta(minutes=each // 2)
        Session.objects.filter(pk=session.pk).update(created_at=made)


def test_the_list_shows_the_owners_sessions_alone(
    browser: Client, session: Session, stranger: User, client_of: Callable[[User], Client]
) -> None:
    assert names(browser.get("/sessions/")) == ["Morning"]
    assert names(client_of(stranger).get("/sessions/")) == []


@pytest.fixture
def three(make_session: MakeSession, go_live: Callable[[Session], Any]) -> None:
    """One on air, one in the archive, one for writing."""
    go_live(make_session("Live news"))
    sessions.archive(make_session("Old news"))
    Session.objects.filter(pk=make_session("Essay 100%").pk).update(type="writing")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"Live news", "Essay 100%"}),
        ("status=active", {"Live news", "Essay 100%"}),
        ("status=archived", {"Old news"}),
        ("status=all", {"Live news", "Old news", "Essay 100%"}),
        ("q=NEWS", {"Live news"}),
        ("q=news&status=all", {"Live news", "Old news"}),
        ("q=0%25", {"Essay 100%"}),
        ("q=_", set()),
        ("type=writing", {"Essay 100%"}),
        ("air=on", {"Live news"}),
        ("air=off", {"Essay 100%"}),
        ("air=sideways&type=nonsense", {"Live news", "Essay 100%"}),
        ("before=nonsense", {"Live news", "Essay 100%"}),
    ],
)
def test_the_list_is_filtered(browser: Client, three: None, query: str, found: set[str]) -> None:
    answer = browser.get(f"/sessions/?{query}")
    assert set(names(answer)) == found
    assert f"{len(found)} session" in text(answer)


def test_htmx_gets_the_rows_alone_and_the_number_of_them(browser: Client, three: None) -> None:
    answer = browser.get("/sessions/?q=live", headers=HTMX)
    assert names(answer) == ["Live news"]
    assert "<html" not in text(answer)
    assert 'hx-swap-oob="innerHTML:#found"' in text(answer)
    assert "HX-Request" in answer["Vary"]
    assert "HX-Request" in browser.get("/sessions/")["Vary"]


def test_what_is_typed_stands_in_the_form_again(browser: Client, three: None) -> None:
    page = text(browser.get("/sessions/?q=live&air=on"))
    assert 'value="live"' in page
    assert '<option value="on" selected>' in page


def test_an_empty_list_says_what_to_do_next(browser: Client) -> None:
    assert "No sessions yet" in text(browser.get("/sessions/"))
    assert "No matching sessions" in text(browser.get("/sessions/?q=x"))


def test_all_pages_together_are_the_whole_list_newest_first(browser: Client, owner: User) -> None:
    many(owner, 121)
    seen: list[str] = []
    path = "/sessions/?status=all"
    while path:
        answer = browser.get(path)
        seen += names(answer)
        found = re.search(r'rel="next" href="([^"]*)"', text(answer))
        path = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 121
    order = Session.objects.order_by("-created_at", "id").values_list("name", flat=True)
    assert seen == list(order)


def test_the_list_costs_the_same_for_sixty_sessions(
    browser: Client, owner: User, make_session: MakeSession, go_live: Callable[[Session], Any]
) -> None:
    go_live(make_session("Live"))
    with CaptureQueriesContext(
        connection,
    ) as few:
        browser.get("/sessions/")
    many(owner, 60)
    for session in Session.objects.all():
        Broadcast.objects.create(session=session, number=7, since=timezone.now())
    with CaptureQueriesContext(connection) as full:
        answer = browser.get("/sessions/")
    assert len(names(answer)) == queries.PER_PAGE
    assert len(few) == len(full) <= 7


def test_a_row_shows_the_latest_run(
    browser: Client, session: Session, go_live: Callable[[Session], Any]
) -> None:
    Broadcast.objects.create(session=session, number=1, since=timezone.now())
    assert "Off air" in text(browser.get("/sessions/"))
    go_live(session)
    assert "Going live" in text(browser.get("/sessions/"))


def test_a_page_is_read_over_the_index(owner: User) -> None:
    many(owner, 3)
    newest = Session.objects.order_by("-created_at", "id")[0]
    key = f"{newest.created_at.isoformat()}_{newest.pk}"
    with CaptureQueriesContext(connection) as caught:
        queries.page(owner, Filter(before=key))
    query = next(each["sql"] for each in caught if "ORDER BY" in each["sql"])
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "session_owner (owner_id=? AND created_at<?)" in plan
        assert "TEMP B-TREE" not in plan


def test_archive_and_restore_stand_in_each_row(browser: Client, three: None) -> None:
    page = text(browser.get("/sessions/?status=all"))
    assert page.count('value="archive"') == 2
    assert page.count('value="restore"') == 1
    assert page.count("/clone/") == 3


def test_a_session_is_found_by_its_id_or_the_beginning_of_it(
    browser: Client, make_session: MakeSession
) -> None:
    session = make_session("Evening")
    make_session("Morning")
    for text_ in (str(session.pk), session.pk.hex, str(session.pk)[:11].upper(), f" {session.pk} "):
        assert names(browser.get("/sessions/", {"q": text_})) == ["Evening"], text_
    assert names(browser.get("/sessions/", {"q": "f" * 32})) == []
