"""Finds the feeds of a web page: those it announces, and the addresses where feeds usually are."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from sessions_app.errors import NeedsHuman
from stories.sources import pasted
from stories.sources.feed_document import decoded
from stories.sources.http_client import Response
from stories.text.addresses import published_url
from stories.text.cleaning import clean_line

PAGE = 3_000_000  # bytes; the head of some pages comes after megabytes of script
MOST = 20
SHOWN = 3  # in a sentence
MAX_TITLE = 80

_TAG = re.compile(r"<(link|a|base)\s([^<>]{1,2000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""(?<![\w-])([a-z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE
)
_FEED_TYPE = re.compile(
    r"(?:application/(?:(?:rss|atom|rdf|x\.atom|x-rss)\+xml|feed\+json|xml)|text/xml)(?:\s*;.*)?",
    re.IGNORECASE,
)
_FEED_PATH = re.compile(
    r"(?:/|\b)(?:feed|rss|atom|rdf)(?:\.xml|\.json|\.rdf|\.php)?/?\Z", re.IGNORECASE
)
# WordPress announces its API, and the comments of all posts, like feeds.
_NO_FEED = re.compile(r"/wp-json/|/oembed", re.IGNORECASE)
_COMMENTS = re.compile(r"comment|kommentar|commentaire|comentario", re.IGNORECASE)
_FORMAT = re.compile(r"\b(?:rss|atom|rdf|json|feed|xml|[012]\.\d+)\b|\W+", re.IGNORECASE)
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_USUAL = ("feed", "rss", "feed.xml", "atom.xml", "rss.xml")


@dataclass(frozen=True, slots=True)
class Announced:
    """A feed that a page announces."""

    url: str
    title: str


class NotAFeed(NeedsHuman):
    """An address has something else than a feed."""

    def __init__(self, sentence: str, response: Response) -> None:
        super().__init__(sentence, code="not_a_feed")
        self.response = response


class SeveralFeeds(NeedsHuman):
    """A page announces several feeds, and only a person can choose."""

    def __init__(self, host: str, feeds: list[Announced]) -> None:
        named = "; ".join(f"“{feed.title}” {feed.url[:100]}" for feed in feeds[:SHOWN])
        more = f"; and {len(feeds) - SHOWN} more" if len(feeds) > SHOWN else ""
        super().__init__(
            f"{host} announces {len(feeds)} feeds. Add the one you want: {named}{more}.",
            code="several_feeds",
        )
        self.feeds = feeds


def announced(response: Response) -> list[Announced]:
    """Returns the feeds that a page announces, each once, those of comments last."""
    whole = decoded(response.body[:PAGE], response.headers.get("content-type", ""))
    # Without comments; no regular expression, as an open comment would be slow to find.
    first, *rest = whole.split("<!--")
    page = first + "".join(part.partition("-->")[2] for part in rest)
    base = response.url
    links: dict[str, Announced] = {}
    anchors: dict[str, Announced] = {}
    for element, inside in _TAG.findall(page):
        tag = element.lower()
        attributes: dict[str, str] = {}
        for key, double, single, bare in _ATTRIBUTE.findall(inside):
            attributes.setdefault(key.lower(), html.unescape(double or single or bare))
        href = attributes.get("href", "")
        if tag == "base":
            base = urljoin(base, href)
            continue
        url = published_url(href, base)
        if not url or _NO_FEED.search(url) or url == response.url:
            continue
        parts = urlsplit(url)
        name = attributes.get("title", "").strip() or f"{parts.hostname}{parts.path}"
        feed = Announced(url, clean_line(name, MAX_TITLE))
        kind = attributes.get("type", "").strip().lower()
        if tag == "a":
            same_site = urlsplit(url).netloc == urlsplit(response.url).netloc
            if same_site and _FEED_PATH.search(urlsplit(url).path):
                anchors.setdefault(url, feed)
        elif not {"alternate", "feed"} & set(attributes.get("rel", "").lower().split()):
            continue
        elif _FEED_TYPE.fullmatch(kind):
            links.setdefault(url, feed)
        elif kind == "application/json":
            # JSON Feed is announced like this too, and so are interfaces that are no feeds.
            anchors.setdefault(url, feed)
    if not links and (channel := pasted.channel_feed_in(response.url, page)):
        return [Announced(channel, "Videos of the channel")]
    found = sorted((links or anchors).values(), key=_is_of_comments)
    return found[:MOST]


def chosen(feeds: list[Announced]) -> Announced | None:
    """Returns the feed that can only be meant, or None: formats of one feed are no choice."""
    news = [feed for feed in feeds if not _is_of_comments(feed)] or feeds
    return news[0] if len({_FORMAT.sub("", feed.title).lower() for feed in news}) == 1 else None


def usual_addresses(response: Response) -> list[str]:
    """Returns where the feed of a site usually is, for a home page that announces none."""
    parts = urlsplit(response.url)
    path = parts.path.strip("/")
    # Below an article many sites have a feed of its comments.
    if not _PAGE.search(response.body[:PAGE]) or "/" in path or "." in path:
        return []
    folder = f"{parts.scheme}://{parts.netloc}/{path}".rstrip("/")
    return [f"{folder}/{name}" for name in _USUAL]


def _is_of_comments(feed: Announced) -> bool:
    return bool(_COMMENTS.search(feed.title) or _COMMENTS.search(urlsplit(feed.url).path))
