"""The feeds of a web page: which it announces, and when the choice is clear."""

from __future__ import annotations

import pytest

from stories.sources.discovery import Announced, announced, chosen, usual_addresses
from stories.sources.http_client import Headers, Response

CHANNEL = "UCabcdefghijklmnopqrstuv"
VIDEOS = f"https://www.youtube.com/feeds/videos.xml?channel_id={CHANNEL}"


def page(html: str | bytes, url: str = "https://site.example/news/") -> Response:
    body = html if isinstance(html, bytes) else html.encode()
    return Response(200, url, Headers([("Content-Type", "text/html")]), body)


def feeds(html: str, url: str = "https://site.example/news/") -> list[tuple[str, str]]:
    return [(feed.url, feed.title) for feed in announced(page(html, url))]


def link(kind: str, href: str, more: str = "") -> str:
    return f'<link rel="alternate" type="{kind}" href="{href}" {more}>'


@pytest.mark.parametrize(
    ("html", "url"),
    [
        (link("application/rss+xml", "/feed"), "https://site.example/feed"),
        (link("application/atom+xml", "feed.xml"), "https://site.example/news/feed.xml"),
        (link("APPLICATION/RSS+XML; charset=utf-8", "//cdn.example/f"), "https://cdn.example/f"),
        (link("application/feed+json", "/feed.json"), "https://site.example/feed.json"),
        (link("application/json", "/feed.json"), "https://site.example/feed.json"),
        (link("text/xml", "/rss"), "https://site.example/rss"),
        (link("application/rdf+xml", "/index.rdf"), "https://site.example/index.rdf"),
        ("<LINK TYPE=application/rss+xml REL=alternate HREF=/feed>", "https://site.example/feed"),
        (
            "<link href='/feed?a=1&amp;b=2' type='application/rss+xml' rel='feed'/>",
            "https://site.example/feed?a=1&b=2",
        ),
        (
            '<link rel="home alternate" data-type="x" type="application/rss+xml"\nhref="/feed">',
            "https://site.example/feed",
        ),
        (
            '<base href="https://other.example/x/">' + link("application/rss+xml", "feed"),
            "https://other.example/x/feed",
        ),
        (link("application/rss+xml", "/caf\u00e9 feed"), "https://site.example/caf%C3%A9%20feed"),
        (
            '<a class="rss" href="/rss.xml">RSS</a><a href="/news">News</a>',
            "https://site.example/rss.xml",
        ),
        ('<a href="/blog/feed/">Feed</a>', "https://site.example/blog/feed/"),
    ],
)
def test_a_feed_is_found_however_it_is_announced(html: str, url: str) -> None:
    assert [found for found, _ in feeds(f"<html><head>{html}</head></html>")] == [url]


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<!-- " + link("application/rss+xml", "/feed") + " -->",
        "<!-- " + link("application/rss+xml", "/feed"),
        link("application/rss+xml", ""),
        link("application/rss+xml", "javascript:alert(1)"),
        link("application/rss+xml", "https://user:word@site.example/feed"),
        link("application/json", "https://site.example/wp-json/wp/v2/pages/2"),
        link("application/json+oembed", "https://site.example/oembed?url=x"),
        link("text/html", "/de/", 'hreflang="de"'),
        '<link rel="stylesheet" type="application/rss+xml" href="/feed">',
        '<a href="https://other.example/rss.xml">Another site</a>',
        '<a href="/feedback">Tell us</a><a href="/press">Press</a>',
    ],
)
def test_what_is_no_announcement_is_left_out(html: str) -> None:
    assert feeds(f"<html><head>{html}</head></html>") == []


def test_feeds_are_named_each_once_and_those_of_comments_come_last() -> None:
    html = (
        link("application/rss+xml", "/comments/feed", 'title="Replies"')
        + link("application/rss+xml", "/feed", 'title="The &quot;Courier&quot;\u202e &amp; more"')
        + link("application/rss+xml", "/feed", 'title="Again"')
        + link("application/atom+xml", "/sport.atom")
    )
    assert feeds(html) == [
        ("https://site.example/feed", 'The "Courier" & more'),
        ("https://site.example/sport.atom", "site.example/sport.atom"),
        ("https://site.example/comments/feed", "Replies"),
    ]


def test_a_page_of_thousands_of_links_is_read_to_a_bound() -> None:
    html = "".join(link("application/rss+xml", f"/{n}") for n in range(5000)) + "<!--" * 100_000
    assert len(feeds(html)) == 20


@pytest.mark.parametrize(
    ("titles", "first"),
    [
        (["News"], True),
        (["The Courier RSS Feed", "The Courier Atom 1.0 feed", "The Courier (JSON)"], True),
        (["RSS 2.0", "Atom"], True),
        (["The Courier", "The Courier: Comments Feed"], True),
        (["Comments"], True),
        (["News", "Sport"], False),
        (["Comments of Ada", "Comments of Ben"], False),
    ],
)
def test_formats_and_comments_of_one_feed_are_no_choice(titles: list[str], first: bool) -> None:
    found = [Announced(f"https://site.example/{n}", title) for n, title in enumerate(titles)]
    assert chosen(found) == (found[0] if first else None)


@pytest.mark.parametrize(
    "html",
    [
        link("application/rss+xml", VIDEOS, 'title="RSS"'),
        f'<link rel="canonical" href="https://www.youtube.com/channel/{CHANNEL}">',
        f'<meta itemprop="identifier" content="{CHANNEL}">',
        f'<script>var d = {{"externalId":"{CHANNEL}","x":{{"channelId":"UC{"x" * 22}"}}}};</script>',
        f'<script>{{"videoDetails":{{"channelId": "{CHANNEL}"}}}}</script>',
    ],
)
def test_the_page_of_a_handle_leads_to_the_feed_of_its_channel(html: str) -> None:
    [(url, _)] = feeds(f"<html>{html}", "https://www.youtube.com/@name")
    assert url == VIDEOS


def test_another_site_is_not_searched_for_channels() -> None:
    html = f'<link rel="canonical" href="https://www.youtube.com/channel/{CHANNEL}">'
    assert feeds(html, "https://site.example/") == []


@pytest.mark.parametrize(
    ("url", "first"),
    [
        ("https://site.example/", "https://site.example/feed"),
        ("https://site.example/?lang=en", "https://site.example/feed"),
        ("https://site.example:8080/blog/", "https://site.example:8080/blog/feed"),
        ("https://site.example/2026/11/story", None),
        ("https://site.example/story.html", None),
    ],
)
def test_only_home_pages_are_searched_for_feeds_they_do_not_announce(
    url: str, first: str | None
) -> None:
    addresses = usual_addresses(page("<!doctype html><html>", url))
    assert (addresses[0] if addresses else None) == first
    assert len(addresses) in {0, 5}
