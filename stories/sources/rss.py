"""RSS, Atom and RDF feeds, read politely (conditional requests) and without trusting a byte."""

from __future__ import annotations

import hashlib
import html
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sessions_app.errors import Invalid, NeedsHuman, Retry
from stories.sources.http_client import GuardedClient, Response
from stories.sources.ssrf import target_of
from stories.text import canonical_url, clean_line, clean_text, sentences
from stories.types import Fetched, FetchedPost

MAX_POSTS = 100
_MAX_LOCATOR = 2000
_TITLE, _BODY, _AUTHOR, _ID = 500, 20_000, 200, 255
_SPOKEN_TITLE = 100
_VALIDATOR = 500
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:(?!\d)")
_LINK = re.compile(r"<link\s[^<>]{1,2000}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-z]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_FEED_TYPE = re.compile(r"application/(rss|atom|rdf)\+xml", re.IGNORECASE)
_SLASHED = re.compile(r"\s*(\d{4})/(\d{1,2})/(\d{1,2})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?\b")
_PAGE_HEAD = 200_000  # bytes
_PARSER_SECONDS = 30.0  # on the clock; the parser limits its own computing
PARSER = Path(__file__).with_name("feed_parser.py")


def _now() -> datetime:
    return datetime.now(UTC)


class RssSource:
    """The adapter of kind "rss": a locator is the address of a feed.

    The cursor keeps the validators of the last answer: ``{"etag": str, "modified": str}``.
    """

    kind = "rss"

    def __init__(self, client: GuardedClient, now: Callable[[], datetime] = _now) -> None:
        self._client = client
        self._now = now

    def clean_locator(self, locator: str) -> str:
        """An absolute http(s) address with a lower-case host and no fragment, or Invalid."""
        typed = locator.strip()
        if not typed:
            raise Invalid("locator: give the address of a feed.")
        if len(typed) > _MAX_LOCATOR:
            raise Invalid(f"locator: at most {_MAX_LOCATOR} characters.")
        typed = re.sub(r"^feed:(//)?(?=https?:)|^feed(?=://)", "", typed, flags=re.IGNORECASE)
        url = typed if _SCHEME.match(typed) else "https://" + typed.removeprefix(":").lstrip("/")
        try:
            target = target_of(url, any_port=True)
        except NeedsHuman as error:
            raise Invalid(f"locator: {error.sentence}") from None
        parts = urlsplit(url)
        return urlunsplit((target.scheme, target.authority, parts.path or "/", parts.query, ""))

    def fetch(self, locator: str, sort: str, cursor: dict[str, Any]) -> Fetched:
        """Read the feed unless it is unchanged; ``sort`` means nothing to a feed."""
        response = self._client.get(locator, conditions(cursor))
        if response.status == 304:
            return Fetched([], cursor)
        return Fetched(posts_of(response, self._now()), validators(response.headers))


def conditions(cursor: Mapping[str, Any]) -> dict[str, str]:
    """Request fields for a feed that may be unchanged since the cursor was made."""
    fields = {"If-None-Match": cursor.get("etag"), "If-Modified-Since": cursor.get("modified")}
    return {
        "Accept": "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.5",
        **{name: str(value) for name, value in fields.items() if value},
    }


def validators(headers: Mapping[str, str]) -> dict[str, Any]:
    """The cursor an answer gives: ``{"etag"?: str, "modified"?: str}``."""
    fields = {"etag": headers.get("etag", ""), "modified": headers.get("last-modified", "")}
    return {name: value for name, value in fields.items() if 0 < len(value) <= _VALIDATOR}


def posts_of(response: Response, now: datetime) -> list[FetchedPost]:
    """The newest 100 posts of a feed, newest first; NeedsHuman when it is no feed."""
    if response.status == 304:
        return []
    feed = _parsed(response)
    if not feed["version"] and not feed["entries"]:
        raise _no_feed(response)
    base = _joined(response.url, feed["link"])
    unique: dict[str, FetchedPost] = {}
    for entry in feed["entries"]:
        post = _post(entry, base, now)
        if post is not None:
            unique.setdefault(post.external_id, post)
    earliest = datetime.min.replace(tzinfo=UTC)
    ranked = sorted(unique.values(), key=lambda post: post.published_at or earliest, reverse=True)
    return ranked[:MAX_POSTS]


def _joined(url: str, link: str) -> str:
    return canonical_url(link, url) or url


def _host(response: Response) -> str:
    return urlsplit(response.url).hostname or "The site"


def _parsed(response: Response) -> dict[str, Any]:
    """What the parser made of the document, in a process of its own that may die of it."""
    if not response.body.strip():
        raise Retry(f"{_host(response)} sent an empty answer. It is tried again later.")
    content_type = response.headers.get("content-type", "")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(PARSER), content_type],
            input=response.body,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PARSER_SECONDS,
            check=True,
            env={},
        )
    except (OSError, subprocess.TimeoutExpired):
        raise Retry("The feed could not be read for want of time. It is tried again.") from None
    except subprocess.CalledProcessError:
        raise NeedsHuman(
            f"The feed of {_host(response)} cannot be read safely: it is damaged, too complicated "
            "or declares entities of its own. Choose another feed.",
            code="unsafe_feed",
        ) from None
    feed: dict[str, Any] = json.loads(done.stdout)
    return feed


def _no_feed(response: Response) -> NeedsHuman:
    """Names the feed that the page announces, if it is a page that announces one."""
    for link in _LINK.findall(response.body[:_PAGE_HEAD].decode("utf-8", "replace")):
        found = {name.lower(): a or b or c for name, a, b, c in _ATTRIBUTE.findall(link)}
        address = canonical_url(html.unescape(found.get("href", "")), response.url)
        announced = "alternate" in found.get("rel", "").lower()
        if announced and address and _FEED_TYPE.fullmatch(found.get("type", "").strip()):
            return NeedsHuman(
                f"This address of {_host(response)} is a web page, not a feed. "
                f"Its feed is {address}",
                code="not_a_feed",
            )
    return NeedsHuman(
        f"What {_host(response)} has at this address is not a feed. "
        "Give the address of its RSS or Atom feed.",
        code="not_a_feed",
    )


def _post(entry: Mapping[str, str], base: str, now: datetime) -> FetchedPost | None:
    """One entry, or None when it says nothing at all."""
    body = clean_text(entry["text"], _BODY)
    title = clean_line(entry["title"], _TITLE) or _opening(body)
    if not title:
        return None
    return FetchedPost(
        external_id=_external_id(entry),
        title=title,
        body=body,
        author=clean_line(entry["author"], _AUTHOR),
        url=canonical_url(entry["link"], base) if entry["link"] else "",
        published_at=_published(entry, now),
    )


def _opening(body: str) -> str:
    """A headline for an entry without one: the first words of its text."""
    first = sentences(body[: _SPOKEN_TITLE * 10])[:1]
    return clean_line(first[0], _SPOKEN_TITLE) if first else ""


def _external_id(entry: Mapping[str, str]) -> str:
    """The id the feed gives; hashed when too long or missing (from link, title and date)."""
    given = clean_line(entry["id"], _ID * 20)
    if given and len(given) <= _ID:
        return given
    known = given or "\n".join((entry["link"], entry["title"], entry["date"]))
    return "sha256:" + hashlib.sha256(known.encode("utf-8", "replace")).hexdigest()


def _published(entry: Mapping[str, str], now: datetime) -> datetime | None:
    """The parser takes "2020/1/10" for November, so that one is read here."""
    try:
        if slashed := _SLASHED.match(entry["date"]):
            date = datetime(*map(int, slashed.groups(default="0")), tzinfo=UTC)  # type: ignore[arg-type, misc]
        else:
            date = datetime.fromisoformat(entry["moment"])
    except ValueError:
        return None
    return min(date, now)
