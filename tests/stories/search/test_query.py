"""Search in one session by words and filters, with pages by key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.timezone import get_current_timezone

from broadcast.studio.search.views import SearchForm
from sessions_app.models import Session
from stories.models import QuarantinedRecord, Source, Story
from stories.quarantine import records
from stories.search import index
from stories.search import query as search_query
from stories.search.query import Query, terms_of
from tests.conftest import MakeSession, make_post

DAY = timedelta(days=1)
pytestmark = pytest.mark.django_db(transaction=True)


def write(session: Session, title: str, narrative: str = "", **more: Any) -> Story:
    return Story.objects.create(
        session=session,
        origin="manual",
        title=title,
        narrative=narrative or f"{title}.",
        **{"tone": "developing", "priority": "medium", **more},
        word_count=3,
        duration=1,
        completed_at=timezone.now(),
    )


def titles(session: Session, text: str, **filters: str) -> list[str]:
    page = search_query.page(session, Query("stories", terms_of(text), filters))
    return [row["title"] for row in page.items]


@pytest.fixture
def news(session: Session) -> Session:
    write(session, "Ferry suspended", "A fire in the engine room stopped the ferry.")
    write(session, "Bridge closed", "Repairs take a week, said Zoë Müller.", tone="breaking")
    write(session, "Ferry resumes", "The ferry sails again after repairs.")
    return session


@pytest.mark.databases
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ferry", ["Ferry resumes", "Ferry suspended"]),
        ("FERRY repairs", ["Ferry resumes"]),
        ("repair", ["Ferry resumes", "Bridge closed"]),
        ('"engine room"', ["Ferry suspended"]),
        ('"room engine"', []),
        ("müller", ["Bridge closed"]),
        ("", ["Ferry resumes", "Bridge closed", "Ferry suspended"]),
    ],
)
def test_words_and_beginnings_of_words_are_found_newest_first(
    news: Session, text: str, expected: list[str]
) -> None:
    assert titles(news, text) == expected


@pytest.mark.databases
def test_no_word_is_taken_for_an_operator(news: Session) -> None:
    hostile = [
        '"',
        "'",
        "a' OR 1=1 --",
        "NEAR(x, 2)",
        "ferry*",
        "-ferry",
        "title:ferry",
        "(((",
        "AND",
        "%",
        "\\",
        "ferry\x00",
        "💥",
        "& | ! <->",
        ":*",
    ]
    for text in hostile:
        titles(news, text)


@pytest.mark.databases
def test_another_session_has_the_same_word_and_stays_unfound(
    news: Session, make_session: MakeSession
) -> None:
    write(make_session("Other"), "Ferry elsewhere")
    assert "Ferry elsewhere" not in titles(news, "ferry")


@pytest.mark.databases
def test_filters_narrow_what_words_find(news: Session) -> None:
    assert titles(news, "repairs", tone="breaking") == ["Bridge closed"]
    assert titles(news, "", tone="breaking", priority="high") == []


@pytest.mark.databases
def test_bookmarked_stories_can_be_asked_for_alone(news: Session) -> None:
    Story.objects.filter(title="Ferry resumes").update(bookmarked_at=timezone.now())
    assert titles(news, "", bookmarked="1") == ["Ferry resumes"]


@pytest.mark.databases
def test_a_corrected_text_is_found_by_its_new_words_and_not_by_the_old(news: Session) -> None:
    Story.objects.filter(title="Bridge closed").update(narrative="It reopens on Friday.")
    assert titles(news, "friday") == ["Bridge closed"]
    assert "Bridge closed" not in titles(news, "repairs")


@pytest.mark.databases
def test_what_is_rolled_back_is_not_found(news: Session) -> None:
    with transaction.atomic():
        write(news, "Phantom")
        transaction.set_rollback(True)
    assert titles(news, "phantom") == []


@pytest.mark.databases
def test_posts_are_found_by_title_body_and_author(source: Source) -> None:
    make_post(source, "a", "Lighthouse lit again")
    page = search_query.page(source.session, Query("posts", terms_of("keeper monday")))
    assert [row["title"] for row in page.items] == ["Lighthouse lit again"]


@pytest.mark.databases
def test_pages_follow_each_other_by_key_without_gap_or_double(session: Session) -> None:
    written = [write(session, f"Tide {n}").pk for n in range(search_query.PAGE * 2 + 5)]
    before, seen = None, []
    while True:
        page = search_query.page(session, Query("stories", terms_of("tide")), before)
        seen += [row["id"] for row in page.items]
        if (before := page.next) is None:
            break
    assert seen == written[::-1]


@pytest.mark.databases
def test_a_hit_is_marked_where_it_stands() -> None:
    assert search_query.marked("The ferry's fire", (("fer",),)) == [
        ("The ", False),
        ("ferry", True),
        ("'s fire", False),
    ]


@pytest.mark.databases
def test_the_index_that_a_migration_lost_is_built_anew(news: Session) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute('DROP TRIGGER "stories_story_text_insert"')
        else:
            cursor.execute('DROP INDEX "stories_story_text"')
    write(news, "Written unseen")
    assert index.missing(connections["default"])
    with CaptureQueriesContext(connection) as asked:
        index.restore("default")
    lifted = "SET LOCAL statement_timeout = 0" in [query["sql"] for query in asked]
    assert lifted == (connection.vendor == "postgresql")
    assert index.missing(connections["default"]) == []
    assert titles(news, "unseen") == ["Written unseen"]


def on(session: Session, since: date | None, until: date | None) -> list[str]:
    page = search_query.page(session, Query("stories", since=since, until=until))
    return [row["title"] for row in page.items]


@pytest.mark.databases
def test_days_are_asked_for_from_and_to_with_both_ends(news: Session) -> None:
    noon = datetime.combine(date(2026, 3, 10), time(12), tzinfo=get_current_timezone())
    for days, story in enumerate(Story.objects.order_by("pk")):
        Story.objects.filter(pk=story.pk).update(created_at=noon + timedelta(days=days))
    first, second, third = (date(2026, 3, day) for day in (10, 11, 12))
    assert on(news, second, None) == ["Ferry resumes", "Bridge closed"]
    assert on(news, None, second) == ["Bridge closed", "Ferry suspended"]
    assert on(news, second, second) == ["Bridge closed"]
    assert on(news, third + timedelta(days=1), None) == on(news, None, first - DAY) == []


@pytest.mark.databases
def test_a_story_stored_late_is_found_on_the_day_it_was_made(news: Session) -> None:
    midnight = datetime.combine(date(2026, 3, 10), time(0), tzinfo=get_current_timezone())
    first, second, third = Story.objects.order_by("pk")
    for story, seconds in ((first, 1), (second, -1), (third, 2)):
        moment = midnight + timedelta(seconds=seconds)
        Story.objects.filter(pk=story.pk).update(created_at=moment)
    assert on(news, date(2026, 3, 10), None) == ["Ferry resumes", "Ferry suspended"]
    assert on(news, None, date(2026, 3, 9)) == ["Bridge closed"]


@pytest.mark.databases
@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(filters={"tone": "opinion"}), "story_by_tone"),
        (Query(filters={"state": "killed"}), "story_by_state"),
        (Query(filters={"priority": "high"}), "story_by_priority"),
        (Query(since=date(2026, 3, 10)), "story_newest"),
    ],
)
def test_a_filter_walks_an_index_in_the_order_of_the_page(
    news: Session, query: Query, index: str
) -> None:
    plan = (
        search_query.stories(news, query)[:30].explain() if connection.vendor == "sqlite" else index
    )
    assert index in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("what", ["stories", "posts"])
def test_every_filter_has_its_control(session: Session, what: search_query.What) -> None:
    assert set(search_query.FILTERS[what]) <= set(SearchForm(session, {"what": what}).fields)


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def test_the_page_shows_hits_and_the_way_to_older_ones(browser: Client, session: Session) -> None:
    for n in range(search_query.PAGE + 1):
        write(session, f"Tide <b>{n}</b>")
    answer = browser.get(f"/sessions/{session.pk}/search/", {"q": "tide", "tone": "developing"})
    text = answer.content.decode()
    assert text.count('<li class="result"') == search_query.PAGE
    assert "<mark>Tide</mark> &lt;b&gt;" in text
    assert "q=tide&amp;tone=developing&amp;before=" in text


def test_htmx_gets_the_results_alone(browser: Client, news: Session) -> None:
    answer = browser.get(
        f"/sessions/{news.pk}/search/", {"q": "bridge"}, headers={"HX-Request": "true"}
    )
    assert "<html" not in answer.content.decode()
    assert "<mark>Bridge</mark>" in answer.content.decode()


def test_a_bad_date_is_said_and_nothing_is_lost(browser: Client, news: Session) -> None:
    answer = browser.get(f"/sessions/{news.pk}/search/", {"q": "ferry", "since": "tomorrow"})
    assert answer.status_code == 422
    assert "Enter a valid date" in answer.content.decode()
    assert 'value="ferry"' in answer.content.decode()


def test_a_stranger_finds_no_page(
    stranger: User, news: Session, client_of: Callable[[User], Client]
) -> None:
    assert client_of(stranger).get(f"/sessions/{news.pk}/search/").status_code == 404


def on_days(session: Session, day: date) -> list[str]:
    return [story.title for story in search_query.stories(session, Query(since=day, until=day))]


def test_days_are_found_though_a_session_adopted_older_rows(news: Session, owner: User) -> None:
    """Adopted rows have higher ids than rows with later times."""
    noon = datetime.combine(date(2026, 3, 10), time(12), tzinfo=get_current_timezone())
    Story.objects.update(created_at=noon + 5 * DAY)
    adopted = write(news, "Adopted")
    Story.objects.filter(pk=adopted.pk).update(created_at=noon)
    record = records.put("story", {"a": 1}, old_session="", old_id="x", reason="Lost.")
    QuarantinedRecord.objects.filter(pk=record.pk).update(adopted_by=news)
    assert on_days(news, date(2026, 3, 10)) == ["Adopted"]
