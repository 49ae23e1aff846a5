"""RSS, Atom, RDF and JSON feeds: conditional requests, and a parser that assumes hostile input."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from typing_extensions import TypedDict

from sessions_app.errors import Invalid, NeedsHuman, Retry, WaitUntil
from stories.sources import feed_parser, pasted
from stories.sources.discovery import NotAFeed, SeveralFeeds, announced, chosen, usual_addresses
from stories.sources.http_client import GuardedClient, Response
from stories.sources.identity import MAX_ID, EntryKeys, Identity, identities
from stories.sources.pasted import tidy
from stories.sources.ssrf import target_of
from stories.text.addresses import published_url
from stories.text.cleaning import clean_line, clean_text
from stories.text.dates import read_date
from stories.text.furniture import is_placeholder, reason_to_skip, without_furniture
from stories.text.markup import TextType, decoded, type_of_description, type_of_title
from stories.text.sentences import sentences
from stories.types import Cursor, Fetched, FetchedPost

MAX_POSTS = 100
MAX_LOCATOR = 2000
MAX_TITLE = 500
MAX_BODY = 20_000
MAX_AUTHOR = 200
MAX_OUTLET = 120
MAX_MADE_TITLE = 100  # of a title made from the text
MAX_VALIDATOR = 500
# With fewer entries, a feed does not outgrow one reading between two polls.
REMEMBERED_FROM = 50
FEED = "feed"  # key of the cursor
READ, MARK = "read", 8  # key of the cursor, characters of an entry

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:(?!\d)")
_NAMES: tuple[Literal["author"], Literal["outlet"]] = ("author", "outlet")


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
    updated: str


class ParsedFeed(TypedDict):
    """The output of feed_parser.py."""

    version: str
    link: str
    entries: list[ParsedEntry]


class RssSource:
    """The adapter of kind "rss": a locator is the address of a feed.

    The cursor holds the validators of the last answer, of a long feed the entries that were read or
    passed over, and of a web page the address of its feed:
    ``{"etag"?: str, "modified"?: str, "read"?: str, "feed"?: str}``.
    """

    kind = "rss"

    def __init__(
        self, client: GuardedClient, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._client = client
        self._now = now

    def clean_locator(self, locator: str) -> str:
        """Returns an absolute http(s) address with a lower-case host and no fragment, or Invalid."""
        typed = tidy(locator)
        if not typed:
            raise Invalid("locator: must be the address of a feed.")
        if len(typed) > MAX_LOCATOR:
            raise Invalid(f"locator must not exceed {MAX_LOCATOR} characters.")
        typed = pasted.profile_of(typed) or typed
        url = typed if _SCHEME.match(typed) else "https://" + typed.removeprefix(":").lstrip("/")
        try:
            target = target_of(url, any_port=True)
        except NeedsHuman as error:
            raise Invalid(f"locator: {error.sentence}") from None
        parts = urlsplit(url)
        address = urlunsplit((target.scheme, target.authority, parts.path or "/", parts.query, ""))
        return pasted.feed_of(address) or address

    def fetch(self, locator: str, sort: str, cursor: Cursor) -> Fetched:
        """Reads the feed unless it is unchanged; a feed has no order, so ``sort`` is ignored.

        Of a web page the feed is read that it announces, if there is only one.
        """
        if feed := str(cursor.get(FEED) or ""):
            try:
                return self._announced(feed, cursor)
            except NeedsHuman:
                cursor = {}  # the page may announce another one by now
        try:
            return self._read(locator, cursor)
        except NeedsHuman:
            # /@name is not only how servers of the Fediverse name a profile.
            if not (page := pasted.page_of_profile(locator)):
                raise
            return self._read(page, {})

    def _read(self, address: str, cursor: Cursor, cookie: str = "") -> Fetched:
        """Reads a feed, or the one that a page announces."""
        cookies = {"Cookie": cookie} if cookie else {}
        response = self._client.get(address, {**conditions(cursor), **cookies})
        try:
            result = read_feed(response, self._now(), cursor)
        except NotAFeed as error:
            asked_for = pasted.behind_consent(response.url)
            if asked_for and not cookie:
                return self._read(asked_for, {}, pasted.REFUSES_CONSENT)
            return self._of_page(error)
        return replace(result, notice=_moved(address, response.moved_to))

    def _announced(self, feed: str, cursor: Cursor) -> Fetched:
        """Reads the feed of a page and remembers its address for the next time."""
        response = self._client.get(feed, conditions(cursor))
        result = read_feed(response, self._now(), cursor)
        notice = f"Read from {feed}, the feed of this page."
        return replace(result, cursor={**result.cursor, FEED: feed}, notice=notice)

    def _of_page(self, error: NotAFeed) -> Fetched:
        """Reads the feed that belongs to a page; SeveralFeeds, or the error, when none is found."""
        feeds = announced(error.response)
        if feed := chosen(feeds) if feeds else None:
            try:
                return self._announced(feed.url, {})
            except NeedsHuman as refusal:
                raise NotAFeed(
                    f"This address of {_host(error.response)} is a web page, not a feed. "
                    f"Its feed {feed.url} cannot be read: {refusal.sentence}",
                    error.response,
                ) from None
        if feeds:
            raise SeveralFeeds(_host(error.response), feeds)
        for address in usual_addresses(error.response):
            try:
                return self._announced(address, {})
            except NeedsHuman:
                continue
            except (Retry, WaitUntil):
                break
        raise error


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


_LAST_NUMBER = re.compile(r"(\d{1,18})\D*$")
_FEWEST_RISING = 5  # pairs of neighbours


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry with what its place in the feed depends on; the date is None where it is unknown."""

    parsed: ParsedEntry
    identity: Identity
    url: str
    published_at: datetime | None


def posts_of(response: Response, now: datetime) -> list[FetchedPost]:
    """Returns the newest 100 posts of a feed, newest first; NeedsHuman when it is no feed."""
    return read_feed(response, now, {}).posts


def read_feed(response: Response, now: datetime, cursor: Cursor) -> Fetched:
    """Returns the newest 100 posts of a feed; of a longer one, those that were not read before first.

    At the first reading older entries are passed over. Entries that are cut at a later one are new,
    so they are left for the next, which then must not be answered with "unchanged".
    """
    if response.status == 304:
        return Fetched([], cursor)
    feed = _parse(response)
    # feedparser never fails: for a page that is no feed it returns neither version nor entries.
    if not feed["version"] and not feed["entries"]:
        raise NotAFeed(
            f"What {_host(response)} has at this address is not a feed, and it names none. "
            "Give the address of its RSS or Atom feed.",
            response,
        )
    entries = _newest_first(
        feed["entries"], published_url(feed["link"], response.url), response, now
    )
    memory = str(cursor.get(READ) or "")
    read = {memory[at : at + MARK] for at in range(0, len(memory), MARK)}
    # Eight characters represent an entry in the cursor.
    ids = (entry.identity.id.encode("utf-8", "replace") for entry in entries)
    digests = (hashlib.sha256(id_).digest() for id_ in ids)
    marks = [base64.urlsafe_b64encode(digest)[:MARK].decode() for digest in digests]
    # A stable order: the unread ones first, each part from new to old.
    order = sorted(range(len(entries)), key=lambda at: bool(read) and marks[at] in read)
    posts: dict[int, FetchedPost] = {}
    looked_at = set()
    for at in order:
        if len(posts) == MAX_POSTS:
            break
        looked_at.add(marks[at])
        if post := _post(entries[at]):
            posts[at] = post
    after = [mark for mark in marks if not read or mark in read or mark in looked_at]
    left = len(after) < len(marks)
    following: Cursor = {} if left else validators(response.headers)
    if len(entries) > REMEMBERED_FROM:
        following[READ] = "".join(after)
    return Fetched([posts[at] for at in sorted(posts)], following)


def _newest_first(
    parsed: Sequence[ParsedEntry], link: str, response: Response, now: datetime
) -> list[_Entry]:
    """Returns the entries, each once, newest first; one without a date stays with its neighbour."""
    urls = [published_url(entry["link"], link or response.url) for entry in parsed]
    keys = [
        EntryKeys(
            guid=clean_line(entry["id"], MAX_ID * 20),
            link=entry["link"],
            url=url if entry["link"] else "",
            title=entry["title"],
            date=entry["date"],
            text=entry["text"],
        )
        for entry, url in zip(parsed, urls, strict=True)
    ]
    entries: dict[str, _Entry] = {}
    for entry, key, identity in zip(parsed, keys, identities(keys), strict=True):
        date = read_date(entry["date"], now) or read_date(entry["updated"], now)
        # A feed may list an entry twice; the first one counts.
        entries.setdefault(identity.id, _Entry(entry, identity, key.url, date))
    before = next((entry.published_at for entry in entries.values() if entry.published_at), now)
    dated: list[tuple[datetime, _Entry]] = []
    in_order = list(entries.values())
    if _numbered_upwards(in_order):
        in_order.reverse()
    for each in in_order:
        before = each.published_at or before
        dated.append((before, each))
    return [each for _, each in sorted(dated, key=lambda pair: pair[0], reverse=True)]


def _numbered_upwards(entries: Sequence[_Entry]) -> bool:
    """Whether entries without dates are oldest first, as the numbers in their links rise."""
    if any(entry.published_at for entry in entries):
        return False
    found = (_LAST_NUMBER.search(entry.url or entry.identity.id) for entry in entries)
    numbers = [int(match[1]) for match in found if match]
    rising = sum(one < other for one, other in pairwise(numbers))
    falling = sum(one > other for one, other in pairwise(numbers))
    return rising >= _FEWEST_RISING and rising > 4 * falling


def _host(response: Response) -> str:
    return urlsplit(response.url).hostname or "The site"


def _parse(response: Response) -> ParsedFeed:
    """Parses the document in a process of its own, which a hostile feed may bring down."""
    if not response.body.strip():
        raise Retry(f"{_host(response)} sent an empty answer. It is tried again later.")
    content_type = response.headers.get("content-type", "")
    try:
        feed: ParsedFeed = feed_parser.parser.parse(response.body, content_type)
    except OSError:
        raise Retry("Reading the feed took too long. It is tried again later.") from None
    except feed_parser.Unsafe:
        raise NeedsHuman(
            f"The feed of {_host(response)} cannot be read safely: it is damaged, too complicated "
            "or declares entities of its own. Choose another feed.",
            code="unsafe_feed",
        ) from None
    return feed


def _title_and_text(parsed: ParsedEntry) -> tuple[str, str, str]:
    """Returns the headline and the text of an entry, and the reason not to queue it, if any."""
    text_type = parsed["text_type"] or type_of_description(parsed["text"])
    text = clean_text(decoded(parsed["text"], text_type, MAX_BODY), MAX_BODY)
    title_type = parsed["title_type"] or type_of_title(parsed["title"])
    title = clean_line(decoded(parsed["title"], title_type, MAX_TITLE), MAX_TITLE)
    body = without_furniture(text)
    reason = reason_to_skip(title, text)
    if body and not reason and (not title or is_placeholder(title)):
        title = "".join(sentences(body[: MAX_MADE_TITLE * 10])[:1])
        title = clean_line(title, MAX_MADE_TITLE)
    return title or clean_line(text, MAX_MADE_TITLE), body, reason


def _post(entry: _Entry) -> FetchedPost | None:
    """Returns one entry as a post, or None when it has neither title nor text."""
    parsed = entry.parsed
    title, body, reason = _title_and_text(parsed)
    if not title:
        return None
    # Atom's names are plain text; RSS leaves the type of a title, a name and an outlet open.
    declared: TextType | None = "plain" if parsed["title_type"] else None
    author, outlet = (
        decoded(parsed[name], declared or type_of_title(parsed[name]), MAX_AUTHOR)
        for name in _NAMES
    )
    return FetchedPost(
        external_id=entry.identity.id,
        title=title,
        body=body,
        author=clean_line(author, MAX_AUTHOR),
        outlet=clean_line(outlet, MAX_OUTLET),
        url=entry.url,
        published_at=entry.published_at,
        aliases=entry.identity.aliases,
        skip=reason,
    )
