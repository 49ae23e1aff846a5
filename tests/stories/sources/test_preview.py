"""Testing a source: its posts or the reason for none are reported, and nothing is stored."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from sessions_app.errors import NotFound
from sessions_app.models import Session
from stories.models import Source, SourcePost
from stories.sources import registry
from stories.sources.http_client import GuardedClient
from stories.sources.preview import ago, choice, count_test, probe, probe_source
from stories.sources.rss import RssSource
from stories.types import Fetched, FetchedPost
from tests.conftest import MakeSession
from tests.standins.feeds import FeedStandIn

pytestmark = pytest.mark.django_db(transaction=True)


class Slow:
    """A source that answers when the test allows it."""

    kind = "rss"

    def __init__(self) -> None:
        self.let = threading.Event()

    def clean_locator(self, locator: str) -> str:
        return locator

    def fetch(self, locator: str, sort: str, cursor: dict[str, Any]) -> Fetched:
        self.let.wait(30)
        return Fetched([FetchedPost("1", "A bridge closes")], notice="Read without keys.")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[FeedStandIn]:
    """A site in a private network that only this test may reach."""
    client = GuardedClient(allow_private=True, user_agent="smnb-tests", deadline=2)
    monkeypatch.setitem(registry._adapters(), "rss", RssSource(client))
    with FeedStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    source = Slow()
    monkeypatch.setitem(registry._adapters(), "rss", source)
    yield source
    source.let.set()


def test_a_feed_that_works_says_how_many_posts_and_how_new(site: FeedStandIn, owner: User) -> None:
    address = site.publish_distinct("news", 25)
    result = probe("rss", address, "", owner)
    assert result.ok
    assert result.count == 25
    assert re.fullmatch(r"Fetched 25 posts, newest \d+ \w+ ago\.", result.sentence)
    assert result.newest_at is not None


def test_the_recording_works_with_no_network(owner: User) -> None:
    assert probe("recording", "demo", "", owner).sentence == (
        "Fetched 6 posts, newest 1 minute ago."
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/page", "is a web page, not a feed"),
        ("/gone", "410"),
        ("/throttled", "asks us to wait"),
        ("/nothing", "404"),
        ("/trickle", "did not answer in time"),
    ],
)
def test_a_source_that_fails_says_why(
    site: FeedStandIn, owner: User, path: str, reason: str
) -> None:
    result = probe("rss", site.url + path, "", owner)
    assert not result.ok
    assert result.count == 0
    assert result.sentence.endswith((".", "xml"))
    assert reason in result.sentence


HOME = b"".join(
    b'<link rel="alternate" type="application/rss+xml" title="%s" href="/feed/%s.xml">'
    % (name, name)
    for name in (b"News", b"Sport")
)


def test_the_feeds_of_a_page_are_offered_to_choose_from(site: FeedStandIn, owner: User) -> None:
    address = site.answer("/home", 200, [("Content-Type", b"text/html")], b"<html>" + HOME)
    result = probe(None, f"\u201c{address}\u201d", "", owner)
    assert (result.ok, result.count) == (False, 0)
    assert result.sentence == f"{address} announces 2 feeds. Add the one you want."
    assert [(feed.title, feed.url) for feed in result.feeds] == [
        ("News", f"{site.url}/feed/News.xml"),
        ("Sport", f"{site.url}/feed/Sport.xml"),
    ]
    assert choice(None, address, owner) == result


@pytest.mark.parametrize(
    ("kind", "locator", "requests"),
    [
        (None, "/feed/news.xml", 0),
        ("rss", "/page", 2),
        (None, "r/science", 0),
        (None, "not an address", 0),
    ],
)
def test_an_address_is_added_unless_there_is_something_to_choose(
    site: FeedStandIn, owner: User, kind: str | None, locator: str, requests: int
) -> None:
    address = site.url + locator if locator.startswith("/") else locator
    assert choice(kind, address, owner) is None
    assert len(site.requests) == requests


def test_after_ten_tests_in_a_minute_an_address_is_added_unseen(
    site: FeedStandIn, owner: User
) -> None:
    address = site.answer("/home", 200, [("Content-Type", b"text/html")], b"<html>" + HOME)
    for _ in range(10):
        count_test(owner)
    assert choice(None, address, owner) is None
    assert site.requests == []


def test_an_address_of_our_own_network_is_refused(owner: User) -> None:
    result = probe("rss", "http://127.0.0.1/feed.xml", "", owner)
    assert not result.ok
    assert "127.0.0.1" in result.sentence


@pytest.mark.parametrize(("kind", "locator"), [("rss", ""), ("reddit", "not a name"), ("x", "y")])
def test_what_is_no_address_is_said_without_asking_anybody(
    owner: User, kind: str, locator: str
) -> None:
    assert not probe(kind, locator, "", owner).ok


def test_a_source_that_hangs_is_not_waited_for(slow: Slow, owner: User) -> None:
    result = probe("rss", "https://slow.test/", "", owner, seconds=0.05)
    assert (result.ok, result.sentence) == (
        False,
        "https://slow.test/ did not answer within 0.05 seconds.",
    )


def test_a_notice_is_passed_on_and_posts_may_have_no_date(slow: Slow, owner: User) -> None:
    slow.let.set()
    assert probe("rss", "https://slow.test/", "", owner).sentence == (
        "Fetched 1 post; none of them has a date. Read without keys."
    )


def test_a_feed_without_posts_works(slow: Slow, owner: User, monkeypatch: Any) -> None:
    monkeypatch.setattr(slow, "fetch", lambda *_: Fetched([]))
    result = probe("rss", "https://slow.test/", "", owner)
    assert result.ok
    assert "no posts at the moment" in result.sentence


def test_a_test_stores_nothing(session: Session, source: Source, owner: User) -> None:
    before = Source.objects.values().get()
    result = probe_source(session, source.pk, owner)
    assert result.sentence.startswith("demo: Fetched 6 posts")
    assert Source.objects.values().get() == before
    assert not SourcePost.objects.exists()


def test_the_source_of_another_session_is_not_found(
    make_session: MakeSession, source: Source, owner: User
) -> None:
    with pytest.raises(NotFound):
        probe_source(make_session("Other"), source.pk, owner)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (-5, "just now"),
        (0, "just now"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3 * 3600, "3 hours ago"),
        (2 * 86_400, "2 days ago"),
    ],
)
def test_an_age_is_written_in_its_largest_unit(age: int, expected: str) -> None:
    assert ago(timedelta(seconds=age)) == expected
