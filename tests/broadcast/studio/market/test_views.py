"""Insight Market and Keyword Drafting: what the pages show, sort, link to and change."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sessions_app import commands
from sessions_app.background import steps
from sessions_app.models import Session
from stories.market import trends
from stories.models import BoardKeyword, Source, SourcePost, Story, Trend
from stories.posts import queue
from stories.types import FetchedPost
from tests.conftest import MakeSession, run_due_steps
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)

HTMX = {"HX-Request": "true"}
TITLES = (
    "The ferry of Port Elowen is late",
    "A bridge in Port Elowen is closed to lorries",
    "Divers near Tavish Reach find bells",
    "Teenagers of Tavish Reach mend a lighthouse",
    "Port Elowen votes on its night trams",
)


@pytest.fixture
def browser(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


def read(source: Source, *titles: str, score: int = 3) -> list[SourcePost]:
    start = SourcePost.objects.count()
    fetched = [FetchedPost(f"p{start + n}", t, score=score) for n, t in enumerate(titles)]
    with transaction.atomic():
        added = queue.add(source, fetched, steps.now())
        trends.add_posts(source, added.posts)
    return added.posts


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return unbroken(answer.content.decode())


def rows(page: str) -> list[str]:
    """The names in the table, in their order."""
    return re.findall(r'<th scope="row"><a [^>]*>([^<]+)</a>', page)


def trend(key: str) -> Trend:
    return Trend.objects.get(key=key)


def test_without_a_session_the_pages_say_what_to_do(browser: Client) -> None:
    for path in ("/market/", "/drafting/"):
        assert "No sessions yet" in text(browser.get(path))


def test_without_posts_the_market_says_what_to_do(browser: Client, session: Session) -> None:
    page = text(browser.get("/market/"))
    assert "No data yet" in page
    assert "press Go Live" in page


def test_the_market_shows_keywords_in_map_and_table(
    browser: Client, session: Session, source: Source
) -> None:
    read(source, *TITLES)
    page = text(browser.get(f"/market/?session={session.pk}"))
    assert rows(page) == ["Port Elowen", "Tavish Reach"]
    assert page.count('class="tile step') == 4  # two keywords on the wide and on the narrow map
    assert f"/market/{session.pk}/{trend('port elowen').pk}/" in page


def test_the_market_shows_sources(browser: Client, session: Session, source: Source) -> None:
    read(source, *TITLES)
    page = text(browser.get(f"/market/?session={session.pk}&kind=source"))
    assert rows(page) == ["demo recording"]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("sort=volume", "Port Elowen"),
        ("sort=volume&dir=asc", "Tavish Reach"),
        ("sort=label&dir=desc", "Tavish Reach"),
        ("sort=label", "Port Elowen"),
        ("sort=engagement", "Tavish Reach"),
        ("sort=nonsense&size=7&kind=ghost", "Port Elowen"),
    ],
)
def test_the_table_is_sorted_as_asked(
    browser: Client, session: Session, source: Source, query: str, first: str
) -> None:
    read(source, *TITLES)
    Trend.objects.filter(key="tavish reach").update(engagement=900)
    Trend.objects.filter(key="port elowen").update(told=3, quality=3)
    page = text(browser.get(f"/market/?session={session.pk}&{query}"))
    assert rows(page)[0] == first


def test_the_parts_of_a_score_add_up_on_the_page(
    browser: Client, session: Session, source: Source
) -> None:
    read(source, *TITLES)
    page = text(browser.get(f"/market/?session={session.pk}&sort=volume"))
    line = page[page.index('<th scope="row">') :].partition("</tr>")[0]
    score = float(re.findall(r"<strong>([\d.]+)</strong>", line)[0])
    added = [float(number) for number in re.findall(r"<small>\+([\d.]+)</small>", line)]
    assert len(added) == 6
    assert sum(added) == pytest.approx(score, abs=0.4)


def test_htmx_gets_the_part_that_follows_the_broadcast(
    browser: Client, session: Session, source: Source
) -> None:
    read(source, *TITLES)
    page = text(browser.get(f"/market/?session={session.pk}", headers=HTMX))
    assert "<html" not in page
    assert rows(page) == ["Port Elowen", "Tavish Reach"]


def test_off_air_the_page_says_that_it_stands_still(
    browser: Client, session: Session, source: Source, go_live: Callable[[Session], Any]
) -> None:
    read(source, *TITLES)
    assert "Frozen off air" in text(browser.get("/market/"))
    go_live(session)
    run_due_steps(session)
    assert "follows the broadcast" in text(browser.get("/market/"))


def test_a_keyword_leads_to_its_posts_and_their_story(
    browser: Client, session: Session, source: Source
) -> None:
    first, *_ = read(source, *TITLES)
    story = Story.objects.create(
        session=session,
        post=first,
        origin="extractive",
        title="Late again",
        narrative="It is.",
        word_count=2,
        duration=1,
        completed_at=steps.now(),
    )
    page = text(browser.get(f"/market/{session.pk}/{trend('port elowen').pk}/"))
    assert [title for title in TITLES if title in page] == [TITLES[0], TITLES[1], TITLES[4]]
    assert f'href="/broadcast/{session.pk}/stories/{story.pk}/"' in page
    assert "Late again" in page


def test_a_source_leads_to_its_posts_without_duplicates(
    browser: Client, session: Session, source: Source
) -> None:
    read(source, *TITLES, f"{TITLES[0]}!")
    page = text(browser.get(f"/market/{session.pk}/{Trend.objects.get(kind='source').pk}/?size=60"))
    assert page.count('class="behind-text"') == len(TITLES)
    assert "Add to board" not in page


@pytest.mark.parametrize("kind", ["source", "keyword"])
def test_posts_page_by_key(
    browser: Client, session: Session, source: Source, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(trends, "MOST", 2)
    read(source, TITLES[0], TITLES[1], TITLES[4])
    found = Trend.objects.filter(kind=kind).order_by("-posts").first()
    assert found is not None
    page = text(browser.get(f"/market/{session.pk}/{found.pk}/"))
    assert TITLES[0] not in page
    older = re.search(r'href="(\?size=5&amp;before=\d+)"', page)
    assert older is not None
    page = text(browser.get(f"/market/{session.pk}/{found.pk}/{older[1].replace('&amp;', '&')}"))
    assert TITLES[0] in page
    assert TITLES[1] not in page
    assert "Older posts" not in page


def test_the_chart_has_the_buckets_in_a_table(
    browser: Client, session: Session, source: Source
) -> None:
    read(source, *TITLES)
    page = text(browser.get(f"/market/{session.pk}/{trend('port elowen').pk}/?size=15"))
    assert 'id="table-trend"' in page
    assert page.count("<td>3</td>") == 1


def test_a_trend_of_another_session_does_not_exist(
    browser: Client, source: Source, make_session: MakeSession
) -> None:
    read(source, *TITLES)
    other = make_session("Evening")
    assert browser.get(f"/market/{other.pk}/{trend('port elowen').pk}/").status_code == 404


def test_hostile_names_are_shown_as_text(browser: Client, session: Session, source: Source) -> None:
    Source.objects.filter(pk=source.pk).update(kind="rss", locator="https://x.org/<script>'\"")
    read(Source.objects.get(pk=source.pk), *TITLES)
    for path in (
        "/market/?kind=source",
        f"/market/{session.pk}/{Trend.objects.get(kind='source').pk}/",
    ):
        page = text(browser.get(path))
        assert "<script>'" not in page
        assert "x.org/&lt;script&gt;" in page


@pytest.mark.parametrize("path", ["/market/", "/market/?kind=source", "/drafting/", "trend"])
def test_the_number_of_queries_does_not_grow(
    browser: Client, session: Session, source: Source, path: str
) -> None:
    counts = []
    for batch in (
        TITLES,
        [f"Isle{n % 9} sells boats to Port{n % 7} before dawn {n}" for n in range(40)],
    ):
        read(source, *batch)
        commands.run("board.add", session.owner, session, {"text": f"word {len(batch)}"})
        asked = f"/market/{session.pk}/{trend('port elowen').pk}/" if path == "trend" else path
        browser.get(asked)
        with CaptureQueriesContext(connection) as found:
            text(browser.get(asked))
        counts.append(len(found))
    assert counts[0] == counts[1] <= 15


def test_the_api_lists_the_market(browser: Client, session: Session, source: Source) -> None:
    read(source, *TITLES)
    answer = browser.get(f"/api/sessions/{session.pk}/market?kind=keyword&size=15").json()
    assert [item["label"] for item in answer["items"]] == ["Port Elowen", "Tavish Reach"]
    first = answer["items"][0]
    assert (first["posts"], sum(first["buckets"]), answer["size"]) == (3, 3, 15)
    assert set(first["parts"]) == {
        "volume",
        "momentum",
        "engagement",
        "priority",
        "freshness",
        "told",
    }
    assert browser.get(f"/api/sessions/{session.pk}/market?kind=ghost").status_code == 422


def test_a_keyword_is_put_on_a_board_from_its_page(
    browser: Client, session: Session, source: Source
) -> None:
    read(source, *TITLES)
    path = f"/market/{session.pk}/{trend('port elowen').pk}/"
    page = text(browser.get(path))
    assert f'action="/drafting/{session.pk}/add/"' in page
    answer = browser.post(
        f"/drafting/{session.pk}/add/", {"text": "Port Elowen", "board": "research"}
    )
    assert answer["Location"] == f"/drafting/?session={session.pk}"
    assert BoardKeyword.objects.get(session=session).board == "research"
    assert "On the board Research" in text(browser.get(path))


def test_a_keyword_is_added_moved_and_removed_with_htmx(browser: Client, session: Session) -> None:
    base = f"/drafting/{session.pk}"
    page = text(browser.post(f"{base}/add/", {"text": "ferry", "board": "ideas"}, headers=HTMX))
    assert "“ferry” is on the board Ideas" in page
    keyword = BoardKeyword.objects.get()
    data = {"keyword": keyword.pk, "board": "archive"}
    page = text(browser.post(f"{base}/move/", data, headers=HTMX))
    assert "“ferry” is on the board Archive" in page
    assert BoardKeyword.objects.get().board == "archive"
    page = text(browser.post(f"{base}/remove/", {"keyword": keyword.pk}, headers=HTMX))
    assert "“ferry” was removed" in page
    assert not BoardKeyword.objects.exists()


def test_a_refusal_of_the_boards_is_said_in_words(browser: Client, session: Session) -> None:
    base = f"/drafting/{session.pk}/add/"
    browser.post(base, {"text": "ferry", "board": "ideas"})
    refused = browser.post(base, {"text": "Ferry", "board": "ideas"}, headers=HTMX)
    assert refused.status_code == 409
    assert "already" in refused.content.decode()
    page = browser.post(base, {"text": "Ferry", "board": "ideas"}, follow=True)
    assert "already" in text(page)


def test_the_drafting_page_offers_what_rises_and_is_on_no_board(
    browser: Client, session: Session, source: Source
) -> None:
    old = read(source, TITLES[0], "Rain is due on the hills")
    read(source, *TITLES[1:])
    past = steps.now() - timedelta(hours=3)
    SourcePost.objects.filter(pk__in=[post.pk for post in old]).update(created_at=past)
    trends.rebuild(session)
    assert 'name="text" value="Port Elowen"' in text(browser.get("/drafting/"))
    browser.post(f"/drafting/{session.pk}/add/", {"text": "Port Elowen", "board": "trending"})
    assert 'name="text" value="Port Elowen"' not in text(browser.get("/drafting/"))
    assert BoardKeyword.objects.get().board == "trending"
