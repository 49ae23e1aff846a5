"""Feeds of many kinds, read by the real client from a real server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from typing import cast
from urllib.parse import quote

import pytest

from sessions_app.errors import Invalid, NeedsHuman, Retry
from stories.posts.events import Index, Report, judge
from stories.sources import pasted
from stories.sources.discovery import SeveralFeeds
from stories.sources.http_client import GuardedClient, Headers, Response
from stories.sources.rss import MAX_POSTS, RssSource, posts_of
from stories.types import Cursor, Fetched, FetchedPost
from tests.standins.feeds import FeedStandIn
from tests.standins.headlines import distinct
from tests.standins.recorded import recorded

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FEEDS = recorded("feeds", "*.xml")
# Valid feeds whose entries have no text, and one document that is no feed.
SILENT = {"empty.xml", "atom_missing_fields.xml"}
NO_FEED = {"unrecognized_version.xml"}
RSS = b'<rss version="2.0"><channel><title>x</title>'


@pytest.fixture
def site() -> Iterator[FeedStandIn]:
    with FeedStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def rss() -> RssSource:
    client = GuardedClient(allow_private=True, user_agent="smnb-tests")
    return RssSource(client, now=lambda: NOW)


def read(body: bytes, content_type: str = "application/xml") -> list[FetchedPost]:
    headers = Headers([("Content-Type", content_type)])
    return posts_of(Response(200, "https://site.example/feed.xml", headers, body), NOW)


def own(site: FeedStandIn, rss: RssSource, name: str) -> dict[str, FetchedPost]:
    fetched = rss.fetch(f"{site.url}/file/{name}.xml", "", {})
    return {post.external_id: post for post in fetched.posts}


def assert_clean(post: FetchedPost) -> None:
    assert 0 < len(post.external_id) <= 255
    assert 0 < len(post.title) <= 500
    assert "\n" not in post.title
    assert len(post.body) <= 20_000
    assert post.url == "" or post.url.startswith(("http://", "https://"))
    assert post.published_at is None or post.published_at <= NOW
    for text in (post.title, post.body, post.author):
        assert not any(mark in text for mark in ("<script", "<p>", "\0", "\u202e", "\ufffd"))


def test_every_feed_becomes_clean_posts(site: FeedStandIn, rss: RssSource) -> None:
    for path in FEEDS:
        if path.name in NO_FEED:
            with pytest.raises(NeedsHuman, match="not a feed"):
                rss.fetch(f"{site.url}/file/{path.name}", "", {})
            continue
        posts = rss.fetch(f"{site.url}/file/{path.name}", "", {}).posts
        assert bool(posts) is (path.name not in SILENT), path.name
        assert len({post.external_id for post in posts}) == len(posts) <= MAX_POSTS, path.name
        for post in posts:
            assert_clean(post)


def test_a_feed_read_twice_has_the_same_posts(site: FeedStandIn, rss: RssSource) -> None:
    assert own(site, rss, "no-guid") == own(site, rss, "no-guid")


def test_rss_has_its_text_author_date_and_published_link(site: FeedStandIn, rss: RssSource) -> None:
    post = own(site, rss, "rss20")["courier-3"]
    assert post.title == "Harbour master counts 41 seals & one walrus"
    assert post.body == "The seals came overnight.\n\nThe walrus came later."
    assert post.author == "Ada Nordquist"
    assert post.url == "https://courier.example/seals?utm_source=rss"
    assert post.published_at == datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def test_atom_text_is_decoded_by_its_declared_type(site: FeedStandIn, rss: RssSource) -> None:
    posts = own(site, rss, "declared-types")
    assert {name: (post.title, post.body) for name, post in posts.items()} == {
        "text": (
            "How to centre a <div> in a page",
            "Write <b> and &amp; as they are. a < b && c > d",
        ),
        "no-type": ("R &amp; D explained <today>", "AT&amp;T typed by a person"),
        "html": ("A bold move & a <div>", "One.\n\nTwo."),
        "xhtml": ("Less <than> more", "A <div> is text.\n\nSo is &amp; here."),
        "markdown": ("**Not** bold", "Bold and linked"),
    }


def test_furniture_is_left_out_and_posts_of_nothing_else_say_so(
    site: FeedStandIn, rss: RssSource
) -> None:
    posts = own(site, rss, "furniture")
    assert {name: (post.title, post.body, post.skip) for name, post in posts.items()} == {
        "reddit-link": ("The tide mill of Port Elowen turns again", "", ""),
        "reddit-removed": ("A long story about the harbour", "", "Removed at the source."),
        "hn": ("Show HN: A clock that runs on tides", "It gains a second a year.", ""),
        "bluesky-text": (
            "Ferry is late today & the cafe is closed",
            "Ferry is late today & the cafe is closed",
            "",
        ),
        "bluesky-empty": (
            "[contains quote post or other embedded content]",
            "",
            "The source shows only a placeholder for this post.",
        ),
        "wordpress": (
            "Library opens on Sundays",
            "The library opens at ten from Sunday on.",
            "",
        ),
        "placeholder-title": (
            "The lifeboat crew practised in the bay.",
            "The lifeboat crew practised in the bay.",
            "",
        ),
        "placeholder-only": (
            "Posted a video",
            "",
            "The source shows only a placeholder for this post.",
        ),
        "enclosure-only": ("Episode 12: The salt road", "", ""),
    }


def test_the_newest_post_comes_first(site: FeedStandIn, rss: RssSource) -> None:
    assert list(own(site, rss, "rss20")) == ["courier-3", "courier-2", "courier-1"]


def test_atom_links_are_joined_with_the_base_of_the_document(
    site: FeedStandIn, rss: RssSource
) -> None:
    frost, cider = own(site, rss, "atom").values()
    assert frost.url == "https://orchard.example/notes/frost.html"
    assert cider.url == "https://orchard.example/cider.html"
    assert frost.title == "First frost spares the pears"
    assert frost.published_at == datetime(2026, 11, 20, 4, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("document", "outlet"),
    [
        (
            RSS + b"<item><title>A</title><link>https://a.example/1</link>"
            b'<source url="https://north.example/">The North Post</source></item></channel></rss>',
            "The North Post",
        ),
        (
            b'<feed xmlns="http://www.w3.org/2005/Atom"><title>Planet</title><entry><id>1</id>'
            b"<title>A</title><source><title>Elowen Courier</title></source></entry></feed>",
            "Elowen Courier",
        ),
        (RSS + b"<item><title>A</title></item></channel></rss>", ""),
    ],
)
def test_an_item_of_an_aggregator_names_its_outlet(document: bytes, outlet: str) -> None:
    assert [post.outlet for post in read(document)] == [outlet]


def test_rdf_is_read_too(site: FeedStandIn, rss: RssSource) -> None:
    dated, undated = own(site, rss, "rdf").values()
    assert dated.title == "Line 7 runs on Sundays"
    assert (undated.author, undated.published_at) == ("Depot", None)


def test_relative_links_are_joined_with_the_feeds_own_and_only_the_web_is_linked(
    site: FeedStandIn, rss: RssSource
) -> None:
    posts = own(site, rss, "relative-links")
    assert posts["a"].url == "https://relative.example/story/a"
    assert posts["b"].url == "https://relative.example/news/b.html"
    assert posts["c"].url == posts["d"].url == ""


def test_a_feed_without_a_link_of_its_own_is_joined_with_its_address() -> None:
    [post] = read(RSS + b"<item><title>a</title><link>b</link></item></channel></rss>")
    assert post.url == "https://site.example/b"


def test_an_old_russian_encoding_is_read(site: FeedStandIn, rss: RssSource) -> None:
    [post] = own(site, rss, "windows-1251").values()
    assert (post.title, post.body) == ("Мост открыт после ремонта", "Работы заняли полгода.")


def test_bytes_that_are_not_in_the_encoding_declared_are_read_all_the_same(
    site: FeedStandIn, rss: RssSource
) -> None:
    [post] = own(site, rss, "wrong-encoding").values()
    assert post.title == "Café reopens with new crêpes"


def test_the_encoding_of_the_headers_counts() -> None:
    body = (RSS + b"<item><title>%s</title></item></channel></rss>") % "Мост".encode("cp1251")
    [post] = read(body, "application/xml; charset=windows-1251")
    assert post.title == "Мост"


def test_a_damaged_feed_gives_what_it_has(site: FeedStandIn, rss: RssSource) -> None:
    titles = [post.title for post in own(site, rss, "malformed").values()]
    assert titles == ["Fish & chips cheaper", "Second story survives"]


def test_without_a_guid_link_title_and_date_tell_posts_apart(
    site: FeedStandIn, rss: RssSource
) -> None:
    posts = own(site, rss, "no-guid")
    assert [post.title for post in posts.values()] == ["Bakery wins prize", "Mill sold"]
    assert all(key.startswith("sha256:") for key in posts)


def test_a_guid_of_two_entries_identifies_neither_and_an_endless_one_is_shortened(
    site: FeedStandIn, rss: RssSource
) -> None:
    posts = own(site, rss, "duplicate-guids")
    assert [post.title for post in posts.values()] == [
        "Told first",
        "Told again",
        "An endless guid",
    ]
    assert all(key.startswith("sha256:") for key in posts)


def test_an_entry_without_a_title_is_named_by_its_first_words(
    site: FeedStandIn, rss: RssSource
) -> None:
    [post] = own(site, rss, "no-titles").values()
    assert post.title == "The pier is closed today."


def test_dates_are_never_in_the_future_and_unknown_when_unreadable(
    site: FeedStandIn, rss: RssSource
) -> None:
    dates = {key: post.published_at for key, post in own(site, rss, "odd-dates").items()}
    assert dates == {
        "future": None,
        "none": None,
        "slashed": datetime(2020, 1, 10, 14, 33, tzinfo=UTC),
        "zero": None,
    }


def test_dates_have_the_zone_that_they_name(site: FeedStandIn, rss: RssSource) -> None:
    dates = {key: post.published_at for key, post in own(site, rss, "zones").items()}
    morning = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    unknown = dict.fromkeys(("IST", "epoch", "1970", "ahead"))
    assert dates == {
        **unknown,
        **dict.fromkeys(("CET", "JST", "PST", "none"), morning),
        "tonight": NOW,
        "hour24": datetime(2026, 11, 20, tzinfo=UTC),
        "portuguese": datetime(2026, 2, 20, 8, 30, tzinfo=UTC),
    }


def test_markup_that_means_harm_is_gone(site: FeedStandIn, rss: RssSource) -> None:
    [post] = own(site, rss, "hostile-markup").values()
    assert post.title == "Good news for all"
    assert post.body == "Read\n\non."
    assert post.author == "Mallory"


def test_of_many_entries_the_newest_hundred_are_kept() -> None:
    items = b"".join(
        b"<item><title>t%d</title><pubDate>%s</pubDate></item>"
        % (day, (NOW - timedelta(days=day)).isoformat().encode())
        for day in range(250, 0, -1)
    )
    posts = read(RSS + items + b"</channel></rss>")
    assert [post.title for post in posts] == [f"t{day}" for day in range(1, 101)]


def test_an_unchanged_feed_is_not_sent_again(site: FeedStandIn, rss: RssSource) -> None:
    url = site.publish("news", [("One", "First.")])
    first = rss.fetch(url, "", {})
    again = rss.fetch(url, "", first.cursor)
    assert set(first.cursor) == {"etag", "modified"}
    assert again == Fetched([], first.cursor)
    assert site.requests[1].headers["If-None-Match"] == first.cursor["etag"]
    assert site.requests[1].headers["If-Modified-Since"] == first.cursor["modified"]


def test_a_feed_that_grew_brings_the_new_post_too(site: FeedStandIn, rss: RssSource) -> None:
    url = site.publish("news", [("One", "First.")])
    cursor = rss.fetch(url, "", {}).cursor
    site.publish("news", [("Two", "Second.")])
    assert [post.title for post in rss.fetch(url, "", cursor).posts] == ["Two", "One"]


def test_the_only_feed_of_a_page_is_read_and_remembered(site: FeedStandIn, rss: RssSource) -> None:
    feed = site.publish("news", [("One", "First.")])
    fetched = rss.fetch(f"{site.url}/page", "", {})
    assert [post.title for post in fetched.posts] == ["One"]
    assert fetched.notice == f"Read from {feed}, the feed of this page."
    site.requests.clear()
    again = rss.fetch(f"{site.url}/page", "", fetched.cursor)
    assert (again.posts, again.cursor, again.notice) == ([], fetched.cursor, fetched.notice)
    assert [request.path for request in site.requests] == ["/feed/news.xml"]


def test_a_page_that_announces_another_feed_by_now_is_read_again(
    site: FeedStandIn, rss: RssSource
) -> None:
    feed = site.publish("news", [("One", "First.")])
    cursor: Cursor = {"feed": f"{site.url}/feed/old.xml", "etag": '"old"'}
    fetched = rss.fetch(f"{site.url}/page", "", cursor)
    assert [post.title for post in fetched.posts] == ["One"]
    assert fetched.cursor["feed"] == feed
    # The old feed's validator is not sent to the page or to the new one.
    assert [request.headers.get("If-None-Match") for request in site.requests] == [
        '"old"',
        None,
        None,
    ]


def test_a_page_whose_feed_cannot_be_read_says_both(site: FeedStandIn, rss: RssSource) -> None:
    with pytest.raises(NeedsHuman) as caught:
        rss.fetch(f"{site.url}/page", "", {})
    assert caught.value.sentence == (
        "This address of 127.0.0.1 is a web page, not a feed. "
        f"Its feed {site.url}/feed/news.xml cannot be read: "
        "127.0.0.1 has nothing at this address (404). Check it."
    )


def test_a_page_that_announces_no_feed_is_searched_where_feeds_usually_are(
    site: FeedStandIn, rss: RssSource
) -> None:
    with pytest.raises(NeedsHuman, match="Give the address of its RSS or Atom feed"):
        rss.fetch(f"{site.url}/plain-page", "", {})
    usual = ["/feed", "/rss", "/feed.xml", "/atom.xml", "/rss.xml"]
    assert [request.path for request in site.requests] == [
        "/plain-page",
        *[f"/plain-page{path}" for path in usual],
    ]
    site.answer(
        "/plain-page/rss", 200, [], RSS + b"<item><title>One</title></item></channel></rss>"
    )
    fetched = rss.fetch(f"{site.url}/plain-page", "", {})
    assert [post.title for post in fetched.posts] == ["One"]
    assert fetched.cursor["feed"] == f"{site.url}/plain-page/rss"


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/picture", b"image/png", b"\x89PNG\r\n\x1a\n"),
        ("/2026/story.html", b"text/html", b"<!doctype html><title>x</title>"),
        ("/data", b"application/json", b'{"items": []}'),
    ],
)
def test_what_is_no_home_page_is_not_searched(
    site: FeedStandIn, rss: RssSource, path: str, kind: bytes, body: bytes
) -> None:
    site.answer(path, 200, [("Content-Type", kind)], body)
    with pytest.raises(NeedsHuman, match="is not a feed, and it names none"):
        rss.fetch(site.url + path, "", {})
    assert len(site.requests) == 1


def test_of_several_feeds_a_person_chooses(site: FeedStandIn, rss: RssSource) -> None:
    links = b"".join(
        b'<link rel="alternate" type="application/rss+xml" title="%s" href="/%s">' % (name, name)
        for name in (b"News", b"Sport", b"Weather", b"Comments")
    )
    address = site.answer("/home", 200, [("Content-Type", b"text/html")], b"<html>" + links)
    with pytest.raises(SeveralFeeds) as caught:
        rss.fetch(address, "", {})
    assert [feed.title for feed in caught.value.feeds] == ["News", "Sport", "Weather", "Comments"]
    assert caught.value.sentence == (
        f"127.0.0.1 announces 4 feeds. Add the one you want: “News” {site.url}/News; "
        f"“Sport” {site.url}/Sport; “Weather” {site.url}/Weather; and 1 more."
    )
    assert len(site.requests) == 1


def test_an_empty_answer_is_tried_again_later() -> None:
    with pytest.raises(Retry, match="empty answer"):
        read(b" \n")


def laughs(*, levels: int, times: int = 10) -> bytes:
    """A document whose entity ``z`` is ``times`` to the power of ``levels`` as long as its first."""
    names = [f"e{level}" for level in range(levels)]
    entities = ['<!ENTITY e0 "ha ">']
    entities += [f'<!ENTITY {b} "{f"&{a};" * times}">' for a, b in pairwise([*names, "z"])]
    item = b"<item><title>&z;</title></item></channel></rss>"
    return f"<!DOCTYPE rss [{''.join(entities)}]>".encode() + RSS + item


@pytest.mark.parametrize(
    "body",
    [
        laughs(levels=9),
        laughs(levels=9).decode().encode("utf-16"),
        laughs(levels=1).replace(b'"ha "', b'"&z;"'),
        laughs(levels=2).replace(b"&z;", b"&z;" * 4000),
        laughs(levels=4),
        laughs(levels=9, times=1),
        RSS + b"<item " + b" ".join(b'a%d=""' % n for n in range(120_000)) + b"/></channel></rss>",
        RSS + b"<item>" * 800_000,
    ],
    ids=[
        "entities",
        "entities-in-utf-16",
        "an-entity-of-itself",
        "an-entity-thousands-of-times",
        "one-entity-of-30000-characters",
        "ten-entities-within-each-other",
        "attributes",
        "nesting",
    ],
)
def test_a_document_made_to_hurt_is_refused_and_the_worker_lives(body: bytes) -> None:
    with pytest.raises(NeedsHuman, match=r"site\.example cannot be read safely"):
        read(body)


def test_entities_within_bounds_are_read() -> None:
    [post] = read(laughs(levels=2))
    assert post.title == " ".join(["ha"] * 100)


def test_a_plain_doctype_is_no_reason_to_refuse() -> None:
    doctype = b'<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "rss-0.91.dtd">'
    item = b"<item><title>Old but good</title></item></channel></rss>"
    [post] = read(doctype + RSS.replace(b"2.0", b"0.91") + item)
    assert post.title == "Old but good"


@pytest.mark.parametrize(
    ("typed", "locator"),
    [
        ("example.org/feed", "https://example.org/feed"),
        (" HTTP://Example.ORG/Feed?A=b#top ", "http://example.org/Feed?A=b"),
        ("example.org:8080/x", "https://example.org:8080/x"),
        ("//example.org", "https://example.org/"),
        ("feed://example.org/rss", "https://example.org/rss"),
        ("feed:https://example.org/rss", "https://example.org/rss"),
        ("https://example.org:443", "https://example.org/"),
        ("bücher.example", "https://xn--bcher-kva.example/"),
        ("http://127.0.0.1:9000/feed", "http://127.0.0.1:9000/feed"),
    ],
)
def test_a_locator_has_one_form(rss: RssSource, typed: str, locator: str) -> None:
    assert rss.clean_locator(typed) == locator
    assert rss.clean_locator(locator) == locator


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "  ",
        "ftp://example.org/",
        "javascript:alert(1)",
        "mailto:a@example.org",
        "two words",
        "https://user:word@example.org/",
        "https://",
        "http://[::1",
        "x" * 2001,
        "file:///etc/passwd",
    ],
)
def test_a_locator_that_is_no_web_address_is_refused_with_a_reason(
    rss: RssSource, typed: str
) -> None:
    with pytest.raises(Invalid, match=r"^locator:? .+\.$"):
        rss.clean_locator(typed)


def test_the_stand_in_has_as_many_stories_as_asked_for_and_none_is_like_another(
    site: FeedStandIn, rss: RssSource
) -> None:
    names = ("one", "two", "a", "b")
    fetched = [rss.fetch(site.publish_distinct(name, 25), "", {}).posts for name in names]
    assert [len(posts) for posts in fetched] == [25] * 4
    titles = list(enumerate(post.title for posts in fetched for post in posts))
    for number, title in titles:
        others = [(other, Report(line)) for other, line in titles if other != number]
        match = Index(others).best(Report(title))
        assert match is None or match.judgement.kind != "duplicate"
    assert all(post.url and post.body.count(". ") == 2 for posts in fetched for post in posts)


@pytest.mark.slow
def test_hundreds_of_invented_headlines_stay_apart() -> None:
    titles = [distinct(name, index)[0] for name in "abcdef" for index in range(60)]
    assert len(set(titles)) == len(titles)
    reports = map(Report, titles[:150])
    assert not any(judge(*pair).kind == "duplicate" for pair in combinations(reports, 2))


@pytest.mark.parametrize(
    ("status", "location", "moved"),
    [(301, "/feed/new.xml", True), (308, "/feed/new.xml", True), (302, "/feed/new.xml", False)],
)
def test_a_feed_that_moved_is_read_and_its_owner_gets_the_new_address(
    site: FeedStandIn, rss: RssSource, status: int, location: str, moved: bool
) -> None:
    site.publish("new", [("One headline", "One text.")])
    old = site.answer("/old", status, [("Location", location.encode())])
    fetched = rss.fetch(old, "", {})
    assert [post.title for post in fetched.posts] == ["One headline"]
    notice = f"This feed moved permanently to {site.url}/feed/new.xml. Add that address and remove"
    assert fetched.notice == (f"{notice} this one." if moved else "")
    # An unchanged feed repeats the notice, so that it does not come and go.
    again = rss.fetch(old, "", fetched.cursor)
    assert (again.posts, again.notice) == ([], fetched.notice)


def test_a_move_to_the_same_page_by_another_spelling_is_no_news(
    site: FeedStandIn, rss: RssSource
) -> None:
    site.answer("/old/", 200, [], RSS + b"</channel></rss>")
    old = site.answer("/old", 301, [("Location", b"/old/")])
    assert rss.fetch(old, "", {}).notice == ""


def test_a_profile_page_that_is_no_mastodon_is_read_by_the_feed_that_it_announces(
    site: FeedStandIn, rss: RssSource
) -> None:
    feed = site.publish("news", [("The ferry runs again", "It runs every hour.")])
    html = (
        f'<html><head><link rel="alternate" type="application/rss+xml" href="{feed}"></head></html>'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    site.answers["/@anna"] = lambda _: head + html.encode()
    locator = rss.clean_locator(f"{site.url}/@anna")
    assert locator == f"{site.url}/@anna.rss"
    fetched = rss.fetch(locator, "", {})
    assert [post.title for post in fetched.posts] == ["The ferry runs again"]
    assert fetched.notice == f"Read from {feed}, the feed of this page."
    assert fetched.cursor["feed"] == feed


def test_a_name_that_has_neither_feed_nor_page_is_refused(
    site: FeedStandIn, rss: RssSource
) -> None:
    with pytest.raises(NeedsHuman, match="has nothing at this address"):
        rss.fetch(f"{site.url}/@nobody.rss", "", {})


class Youtube:
    """Answers as YouTube does in Europe: without a cookie, with its question about cookies."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, url: str, headers: dict[str, str]) -> Response:
        self.asked.append(url)
        html = "<html><body>Before you continue</body></html>"
        if "feeds/videos.xml" in url:
            body = FEED_OF_CHANNEL
            return Response(200, url, Headers([("Content-Type", "text/xml")]), body)
        if headers.get("Cookie") == "SOCS=CAI":
            html = f'<html><link rel="canonical" href="https://www.youtube.com/channel/{CHANNEL}">'
        else:
            url = f"https://consent.youtube.com/m?continue={quote(url, safe='')}&gl=DE"
        return Response(200, url, Headers([("Content-Type", "text/html")]), html.encode())


CHANNEL = "UCabcdefghijklmnopqrstuv"
FEED_OF_CHANNEL = (
    b'<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title><entry><id>1</id>'
    b"<title>A video</title></entry></feed>"
)


def test_a_channel_is_found_behind_the_question_about_cookies() -> None:
    client = Youtube()
    rss = RssSource(cast("GuardedClient", client), now=lambda: NOW)
    fetched = rss.fetch("https://www.youtube.com/@name", "", {})
    assert [post.title for post in fetched.posts] == ["A video"]
    page, feed = "https://www.youtube.com/@name", "https://www.youtube.com/feeds/videos.xml"
    assert client.asked == [page, page, f"{feed}?channel_id={CHANNEL}"]


@pytest.mark.parametrize(
    "url",
    [
        "https://consent.youtube.com/m?continue=https%3A%2F%2Fevil.example%2F",
        "https://consent.example/m?continue=https%3A%2F%2Fwww.youtube.com%2F%40a",
        "https://consent.youtube.com/m",
    ],
)
def test_no_other_question_about_cookies_is_followed(url: str) -> None:
    assert pasted.behind_consent(url) == ""
