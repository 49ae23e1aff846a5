"""Feeds whose entries differ in one thing only: each entry becomes a post, and each is told once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.db import transaction

from sessions_app.background import steps
from sessions_app.models import Session
from stories.models import Source, SourcePost
from stories.posts import queue
from stories.sources import rss, service
from stories.sources.feed_parser import parsed
from stories.sources.http_client import Headers, Response
from stories.sources.rss import posts_of, read_feed
from stories.sources.service import SourceSpec
from stories.types import Cursor, FetchedPost

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # feedparser warns of each entry without a date of its own.
    pytest.mark.filterwarnings("ignore:To avoid breaking existing software"),
]

NOW = datetime(2026, 11, 28, 21, tzinfo=UTC)
TITLES = (
    "Ferry adds a morning boat",
    "Library opens on Sundays",
    "Bakery wins a prize in Bern",
)
DATE = "<pubDate>Sat, 28 Nov 2026 16:30:06 +0000</pubDate>"


@pytest.fixture(autouse=True)
def parsed_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting the parser for each document would take longer than the tests."""
    monkeypatch.setattr(
        rss, "_parse", lambda response: parsed(response.body, response.headers["content-type"])
    )


@pytest.fixture
def feed(session: Session) -> Source:
    return service.add(session, SourceSpec(kind="rss", locator="https://feed.example/rss"))


def document(*items: str) -> bytes:
    inside = "".join(f"<item>{item}</item>" for item in items)
    return (
        '<rss version="2.0"><channel><title>t</title><link>https://news.example/</link>'
        f"{inside}</channel></rss>"
    ).encode()


def read(body: bytes) -> list[FetchedPost]:
    headers = Headers([("Content-Type", "application/xml")])
    return posts_of(Response(200, "https://feed.example/rss", headers, body), NOW)


def add(source: Source, *items: str) -> list[SourcePost]:
    with transaction.atomic():
        return queue.add(source, read(document(*items)), steps.now()).posts


def item(
    title: str = TITLES[0],
    link: str = "",
    guid: str = "",
    text: str = "The council met on Monday. It agreed on a timetable, which begins in spring.",
    date: str = DATE,
) -> str:
    parts = [f"<title>{title}</title>", f"<description>{text}</description>", date]
    parts += [f"<link>{link}</link>"] if link else []
    parts += [f'<guid isPermaLink="false">{guid}</guid>'] if guid else []
    return "".join(parts)


LINKS = [
    [f"https://news.example/notes#v{at}" for at in range(3)],
    [f"https://news.example/#!/post/{at}" for at in range(3)],
    [f"https://news.example/#/post/{at}" for at in range(3)],
    [f"https://news.example/story?ref={at}" for at in range(3)],
    [f"https://news.example/?p={at}" for at in range(3)],
    [f"https://news.example/watch?si={at}" for at in range(3)],
    [f"https://news.example/read?share_id={at}" for at in range(3)],
    [f"https://news.example/read?rss={at}" for at in range(3)],
    [f"https://news.example/read?id={at}" for at in range(3)],
    [f"https://news.example/a;jsessionid={at}" for at in range(3)],
    ["https://news.example/a", "https://news.example/A", "https://news.example/a/"],
    ["https://news.example/?", "https://news.example/?a", "https://news.example/?a="],
]


@pytest.mark.parametrize("guid", ["", "one for all"])
@pytest.mark.parametrize("links", LINKS, ids=lambda links: links[1])
def test_entries_with_links_of_their_own_are_posts_with_the_link_as_published(
    feed: Source, links: list[str], guid: str
) -> None:
    entries = [item(title, link, guid) for title, link in zip(TITLES, links, strict=True)]
    posts = add(feed, *entries)
    assert [(post.title, post.url, post.state) for post in posts] == [
        (title, link, "queued") for title, link in zip(TITLES, links, strict=True)
    ]
    assert add(feed, *entries) == []


@pytest.mark.parametrize("link", ["", "https://news.example/"])
def test_entries_with_guids_of_their_own_are_posts(feed: Source, link: str) -> None:
    entries = [item(title, link, f"g{at}") for at, title in enumerate(TITLES)]
    assert [post.state for post in add(feed, *entries)] == ["queued"] * 3
    assert add(feed, *entries[1:]) == []
    assert [post.external_id for post in add(feed, item("Harbour bridge closes", link, "g9"))] == [
        "g9"
    ]


def test_a_guid_that_is_the_link_of_several_entries_is_no_id(feed: Source) -> None:
    home = "https://news.example/"
    assert len(add(feed, *(item(title, home, home) for title in TITLES))) == 3


def test_entries_without_guid_and_link_are_told_apart_by_title_date_and_then_text(
    feed: Source,
) -> None:
    later = "<pubDate>Sat, 28 Nov 2026 17:30:06 +0000</pubDate>"
    entries = [
        item(),
        item(TITLES[1]),
        item(date=later),
        item(text="The last boat leaves at nine."),
    ]
    assert len({post.external_id for post in read(document(*entries))}) == 4
    assert len(read(document(item(), item()))) == 1


MOVES = [
    ("http://news.example/a", "https://news.example/a"),
    ("https://news.example/a", "http://news.example/a"),
    ("http://www.news.example/a", "https://news.example/a"),
    ("https://news.example/a", "https://www.news.example/a"),
]
TRACKED = [
    ("https://news.example/a?utm_source=rss", "https://news.example/a?utm_source=feed&fbclid=1"),
    ("https://news.example/a?utm_source=rss", "https://news.example/a"),
]


@pytest.mark.parametrize(("before", "after"), MOVES + TRACKED)
@pytest.mark.parametrize("guid", ["", "g1"])
def test_a_link_that_moved_is_the_same_entry_however_much_later(
    feed: Source, before: str, after: str, guid: str
) -> None:
    assert len(add(feed, item(link=before, guid=guid))) == 1
    SourcePost.objects.update(created_at=steps.now() - timedelta(days=400))
    assert add(feed, item(link=after, guid=guid)) == []


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_a_guid_that_moved_is_the_same_entry_however_much_later(
    feed: Source, before: str, after: str
) -> None:
    assert len(add(feed, item(guid=before))) == 1
    SourcePost.objects.update(created_at=steps.now() - timedelta(days=400))
    # Edited meanwhile, so that nothing else is the same.
    assert add(feed, item("Ferry adds two boats", guid=after, text="They leave at six.")) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"guid": "g1"}, {"guid": "urn:g1"}),
        ({"guid": "g1"}, {"guid": ""}),
        ({"guid": ""}, {"guid": "g1"}),
        ({"guid": "https://news.example/a#0"}, {"guid": "https://news.example/a#1"}),
        ({"guid": "g1"}, {"guid": "g1", "title": "Ferry adds two boats"}),
        ({"guid": "g1"}, {"guid": "g1", "link": "https://news.example/moved"}),
        ({"guid": ""}, {"guid": "", "title": "Ferry adds two boats"}),
        (
            {"guid": "https://news.example/a#0"},
            {"guid": "https://news.example/a#1", "title": "Ferry adds two boats"},
        ),
    ],
)
def test_an_entry_that_changed_in_one_thing_is_read_once(
    feed: Source, before: dict[str, str], after: dict[str, str]
) -> None:
    usual = {"link": "https://news.example/a"}
    assert len(add(feed, item(**{**usual, **before}))) == 1
    assert add(feed, item(**{**usual, **after})) == []


def test_a_guid_that_a_later_document_shares_finds_the_posts_of_the_former_one(
    feed: Source,
) -> None:
    links = [f"https://news.example/{at}" for at in range(3)]
    first, second, third = (item(t, link, "same") for t, link in zip(TITLES, links, strict=True))
    assert len(add(feed, first)) == 1
    assert [post.title for post in add(feed, second, first)] == [TITLES[1]]
    assert [post.title for post in add(feed, third, second)] == [TITLES[2]]


def test_rows_of_the_former_version_are_found_by_their_ids(feed: Source) -> None:
    long = "x" * 300
    entries = [
        item(TITLES[0], "https://news.example/a?ref=1#top"),
        item(TITLES[1], "https://news.example/b", long),
        item(TITLES[2], "https://news.example/c", "http://news.example/?p=1"),
    ]
    # Made by the former version from these entries.
    stored = (
        "sha256:e00b3430a0be7320aeb5ec6c3b5354e4f3681731fb1afdcac461490b30a706cb",
        "sha256:0d4e2ca9e9cbced7a7a5380eb29e1a3783b9b6d0db72de36a1051038e1c1fbc7",
        "http://news.example/?p=1",
    )
    for name, title in zip(stored, TITLES, strict=True):
        SourcePost.objects.create(session=feed.session, source=feed, external_id=name, title=title)
    assert add(feed, *entries) == []


def chapter(number: int, *, dated: bool = True) -> str:
    day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number)
    date = f"<pubDate>{format_datetime(day)}</pubDate>" if dated else ""
    title = f"Chapter {number} of the log"
    return item(title, f"https://news.example/c{number}", f"c{number}", date=date)


def fetched(cursor: Cursor, *items: str) -> tuple[list[int], Cursor]:
    """Reads a document after an earlier one; returns the numbers of its chapters, and the cursor."""
    headers = Headers([("Content-Type", "application/xml"), ("ETag", '"1"')])
    response = Response(200, "https://feed.example/rss", headers, document(*items))
    result = read_feed(response, NOW, cursor)
    return [int(post.external_id[1:]) for post in result.posts], result.cursor


@pytest.mark.parametrize("last", [101, 2300])
@pytest.mark.slow
def test_of_a_feed_that_is_oldest_first_the_newest_hundred_are_read_and_then_the_later_ones(
    last: int,
) -> None:
    log = [chapter(number) for number in range(1, last + 1)]
    numbers, cursor = fetched({}, *log)
    assert numbers == list(range(last, last - 100, -1))
    assert cursor["etag"] == '"1"'
    # The older ones were passed over and do not come up later.
    log += [chapter(last + 1), chapter(last + 2)]
    numbers, cursor = fetched(cursor, *log)
    assert numbers == list(range(last + 2, last - 98, -1))


def test_what_a_reading_cuts_comes_at_the_next() -> None:
    log = [chapter(number) for number in range(1, 121)]
    _, cursor = fetched({}, *log)
    log += [chapter(number) for number in range(121, 351)]
    numbers, cursor = fetched(cursor, *log)
    assert numbers == list(range(350, 250, -1))
    # Without validators, or the server would answer that the feed is unchanged.
    assert set(cursor) == {"read"}
    log.append(chapter(351))
    numbers, cursor = fetched(cursor, *log)
    assert numbers == list(range(351, 251 - 1, -1))[:1] + list(range(250, 151, -1))
    numbers, cursor = fetched(cursor, *log)
    assert set(range(151, 120, -1)) <= set(numbers)
    assert cursor["etag"] == '"1"'


def test_a_feed_that_outgrows_a_hundred_entries_between_two_readings_loses_none() -> None:
    log = [chapter(number) for number in range(1, 81)]
    _, cursor = fetched({}, *log)
    log += [chapter(number) for number in range(81, 201)]
    first, cursor = fetched(cursor, *log)
    second, _ = fetched(cursor, *log)
    assert set(first) | set(second) >= set(range(81, 201))


def test_without_dates_a_document_whose_numbers_rise_is_read_from_its_end() -> None:
    log = [chapter(number, dated=False) for number in range(1, 151)]
    numbers, cursor = fetched({}, *log)
    assert numbers == list(range(150, 50, -1))
    numbers, _ = fetched(cursor, *log, chapter(151, dated=False))
    assert numbers == list(range(151, 51, -1))


def test_without_dates_the_order_of_another_document_counts() -> None:
    newest_first = list(range(150, 0, -1))
    mixed = [number * 71 % 151 for number in range(1, 151)]
    for order in (newest_first, mixed):
        log = [chapter(number, dated=False) for number in order]
        assert fetched({}, *log)[0] == order[:100]


def test_an_entry_without_a_date_stays_with_its_neighbour() -> None:
    numbers, _ = fetched({}, chapter(9), chapter(8, dated=False), chapter(7), chapter(6))
    assert numbers == [9, 8, 7, 6]


def test_the_date_of_the_update_counts_when_that_of_the_publication_makes_no_sense() -> None:
    entry = (
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><entry><id>1</id><title>One</title>'
        "<published>1970-01-01T00:00:00Z</published><updated>2026-11-28T09:00:00Z</updated>"
        "</entry></feed>"
    )
    (post,) = read(entry.encode())
    assert post.published_at == datetime(2026, 11, 28, 9, tzinfo=UTC)
