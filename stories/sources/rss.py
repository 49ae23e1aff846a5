"""RSS, Atom, RDF and JSON feeds: conditional requests, and a parser that assumes hostile input."""

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
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from typing_extensions import TypedDict

from sessions_app.errors import Invalid, NeedsHuman, Retry
from stories.sources.http_client import GuardedClient, Response
from stories.sources.ssrf import target_of
from stories.text.cleaning import clean_line, clean_text
from stories.text.markup import TextType, decoded, type_of_description, type_of_title
from stories.text.sentences import sentences
from stories.text.urls import canonical_url
from stories.types import Cursor, Fetched, FetchedPost

MAX_POSTS = 100
MAX_LOCATOR = 2000
MAX_TITLE, MAX_BODY, MAX_AUTHOR, MAX_OUTLET, MAX_ID = 500, 20_000, 200, 120, 255
MAX_MADE_TITLE = 100  # of a title made from the text
MAX_VALIDATOR = 500
PAGE_HEAD = 200_000  # bytes
PARSER_SECONDS = 30.0  # on the clock; the parser limits its own processor time
PARSER = Path(__file__).with_name("feed_parser.py")

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:(?!\d)")
_LINK = re.compile(r"<link\s[^<>]{1,2000}>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([a-z]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_FEED_TYPE = re.compile(r"application/(rss|atom|rdf)\+xml", re.IGNORECASE)
_SLASHED = re.compile(r"\s*(\d{4})/(\d{1,2})/(\d{1,2})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?\b")


class ParsedEntry(TypedDict):
    """One entry as feed_parser.py writes it; a type is empty where the format leaves it open."""

    id: str
    link: str
    title: str
    title_type: Literal["plain", "html", "markdown", ""]
    text: str
    text_type: Literal["plain", "html", "markdown", ""]
    author: str
    outlet: str
    date: str
    moment: str


class ParsedFeed(TypedDict):
    """The output of feed_parser.py."""

    version: str
    link: str
    entries: list[ParsedEntry]


class RssSource:
    """The adapter of kind "rss": a locator is the address of a feed.

    The cursor holds the validators of the last answer: ``{"etag": str, "modified": str}``.
    """

    kind = "rss"

    def __init__(
        self, client: GuardedClient, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._now = now

    def clean_locator(self, locator: str) -> str:
        """Returns an absolute http(s) address with a lower-case host and no fragment, or Invalid."""
        typed = locator.strip()
        if not typed:
            raise Invalid("locator must be the address of a feed.")
        if len(typed) > MAX_LOCATOR:
            raise Invalid(f"locator must not exceed {MAX_LOCATOR} characters.")
        # Browsers copy feed: addresses, both as feed:https://… and as feed://….
        typed = re.sub(r"^feed:(//)?(?=https?:)|^feed(?=://)", "", typed, flags=re.IGNORECASE)
        url = typed if _SCHEME.match(typed) else "https://" + typed.removeprefix(":").lstrip("/")
        try:
            target = target_of(url, any_port=True)
        except NeedsHuman as error:
            raise Invalid(f"locator: {error.sentence}") from None
        parts = urlsplit(url)
        return urlunsplit((target.scheme, target.authority, parts.path or "/", parts.query, ""))

    def fetch(self, locator: str, sort: str, cursor: Cursor) -> Fetched:
        """Reads the feed unless it is unchanged; a feed has no order, so ``sort`` is ignored."""
        response = self._client.get(locator, conditions(cursor))
        notice = _moved(locator, response.moved_to)
        if response.status == 304:
            return Fetched([], cursor, notice)
        return Fetched(posts_of(response, self._now()), validators(response.headers), notice)


def conditions(cursor: Mapping[str, object]) -> dict[str, str]:
    """Returns the request headers for a feed that may be unchanged since the cursor was made."""
    headers = {"If-None-Match": cursor.get("etag"), "If-Modified-Since": cursor.get("modified")}
    return {
        "Accept": "application/atom+xml, application/rss+xml, application/feed+json, "
        "application/xml;q=0.9, */*;q=0.5",
        **{name: str(value) for name, value in headers.items() if value},
    }


def _moved(locator: str, address: str) -> str:
    """Returns a notice for the owner when the feed moved to another address, else ""."""
    same_site = re.compile(r"^https?://(www\.)?|/$", re.IGNORECASE)
    # The source keeps its address, and its posts their identity: only the owner can tell a move
    # from a site that was sold.
    if not address or same_site.sub("", locator) == same_site.sub("", address):
        return ""
    return f"This feed moved permanently to {address}. Add that address and remove this one."


def validators(headers: Mapping[str, str]) -> Cursor:
    """Returns the cursor of an answer: ``{"etag"?: str, "modified"?: str}``."""
    values = {"etag": headers.get("etag", ""), "modified": headers.get("last-modified", "")}
    # A longer validator is left out: the feed is then read in full each time, which is always
    # right.
    return {name: value for name, value in values.items() if 0 < len(value) <= MAX_VALIDATOR}


def posts_of(response: Response, now: datetime) -> list[FetchedPost]:
    """Returns the newest 100 posts of a feed, newest first; NeedsHuman when it is no feed."""
    if response.status == 304:
        return []
    feed = _parse(response)
    # feedparser never fails: for a page that is no feed it returns neither version nor entries.
    if not feed["version"] and not feed["entries"]:
        raise _not_a_feed(response)
    base = canonical_url(feed["link"], response.url) or response.url
    unique: dict[str, FetchedPost] = {}
    for entry in feed["entries"]:
        post = _post(entry, base, now)
        if post is not None:
            # A broken feed may use one id for several entries; the first one counts.
            unique.setdefault(post.external_id, post)
    earliest = datetime.min.replace(tzinfo=UTC)
    newest_first = sorted(
        unique.values(), key=lambda post: post.published_at or earliest, reverse=True
    )
    return newest_first[:MAX_POSTS]


def _host(response: Response) -> str:
    return urlsplit(response.url).hostname or "The site"


def _parse(response: Response) -> ParsedFeed:
    """Parses the document in a process of its own, which a hostile feed may bring down."""
    if not response.body.strip():
        raise Retry(f"{_host(response)} sent an empty answer. It is tried again later.")
    content_type = response.headers.get("content-type", "")
    try:
        process = subprocess.run(
            # Isolated and without an environment, so that the parser has no secrets and imports
            # nothing of ours.
            [sys.executable, "-I", str(PARSER), content_type],
            input=response.body,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PARSER_SECONDS,
            check=True,
            env={},
        )
    except (OSError, subprocess.TimeoutExpired):
        raise Retry("Reading the feed took too long. It is tried again later.") from None
    except subprocess.CalledProcessError:
        raise NeedsHuman(
            f"The feed of {_host(response)} cannot be read safely: it is damaged, too complicated "
            "or declares entities of its own. Choose another feed.",
            code="unsafe_feed",
        ) from None
    feed: ParsedFeed = json.loads(process.stdout)
    return feed


def _not_a_feed(response: Response) -> NeedsHuman:
    """Returns the error for a page that is no feed; it names the feed that the page announces."""
    for link in _LINK.findall(response.body[:PAGE_HEAD].decode("utf-8", "replace")):
        attributes = {name.lower(): a or b or c for name, a, b, c in _ATTRIBUTE.findall(link)}
        address = canonical_url(html.unescape(attributes.get("href", "")), response.url)
        alternate = "alternate" in attributes.get("rel", "").lower()
        if alternate and address and _FEED_TYPE.fullmatch(attributes.get("type", "").strip()):
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


def _post(entry: ParsedEntry, base: str, now: datetime) -> FetchedPost | None:
    """Returns one entry as a post, or None when it has neither title nor text."""
    title, text, author = entry["title"], entry["text"], entry["author"]
    text_type = entry["text_type"] or type_of_description(text)
    body = clean_text(decoded(text, text_type, MAX_BODY), MAX_BODY)
    title_type = entry["title_type"] or type_of_title(title)
    title = clean_line(decoded(title, title_type, MAX_TITLE), MAX_TITLE)
    # Atom's names are plain text; RSS leaves the type of a title, a name and an outlet open.
    is_plain = bool(entry["title_type"])
    author_type: TextType = "plain" if is_plain else type_of_title(author)
    outlet_type: TextType = "plain" if is_plain else type_of_title(entry["outlet"])
    if not title:
        first_sentence = "".join(sentences(body[: MAX_MADE_TITLE * 10])[:1])
        title = clean_line(first_sentence, MAX_MADE_TITLE)
    if not title:
        return None
    external_id = clean_line(entry["id"], MAX_ID * 20)
    if not external_id or len(external_id) > MAX_ID:
        # Not the text, which feeds edit: an edited entry would become a new post.
        identity = external_id or "\n".join((entry["link"], entry["title"], entry["date"]))
        external_id = "sha256:" + hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()
    return FetchedPost(
        external_id=external_id,
        title=title,
        body=body,
        author=clean_line(decoded(author, author_type, MAX_AUTHOR), MAX_AUTHOR),
        outlet=clean_line(decoded(entry["outlet"], outlet_type, MAX_OUTLET), MAX_OUTLET),
        url=canonical_url(entry["link"], base) if entry["link"] else "",
        published_at=_published(entry, now),
    )


def _published(entry: ParsedEntry, now: datetime) -> datetime | None:
    """Returns when the entry was published, at most ``now``; None when its date is unreadable."""
    try:
        # feedparser reads "2020/1/10" as November, so this form is read here.
        if match := _SLASHED.match(entry["date"]):
            year, month, day, hour, minute, second = map(int, match.groups(default="0"))
            date = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        else:
            date = datetime.fromisoformat(entry["moment"])
    except ValueError:
        return None
    # Some feeds announce posts with a date in the future, which would stay at the top.
    return min(date, now)
