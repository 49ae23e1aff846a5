"""Reddit: read through PRAW when there are API keys, else by the public feed of the subreddit."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, unquote

from sessions_app.errors import Invalid, NeedsHuman, Retry, SmnbError, WaitUntil
from stories.sources import rss
from stories.sources.http_answers import retry_after_of
from stories.sources.http_client import GuardedClient
from stories.sources.pasted import tidy
from stories.text.addresses import published_url
from stories.text.cleaning import clean_line, clean_text
from stories.text.dates import plausible
from stories.text.furniture import REMOVED, reason_to_skip, without_furniture
from stories.text.markup import decoded
from stories.types import Cursor, Fetched, FetchedPost

SORTS = ("hot", "new", "top", "rising")
MAX_POSTS = 100
TIMEOUT = "5"  # seconds a read; PRAW takes it from the environment only
SITE = "https://www.reddit.com"

NO_KEYS = "No Reddit keys are set, so the public feed of {} is read instead."
THROTTLED = "Reddit asks us to wait. Reading resumes automatically after that."
KEYS_REFUSED = "Reddit refused the keys. Check REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET."

LONGEST_PAUSE_IN_PLACE = timedelta(seconds=1)
DEFAULT_WAIT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(hours=24)

_NAME = r"[A-Za-z0-9][A-Za-z0-9_]{1,20}"
_USER = r"[A-Za-z0-9_-]{2,20}"
# The forms of a locator: subreddits, posts of a user, a user's multireddit.
_SUBREDDITS = re.compile(rf"{_NAME}(?:\+{_NAME}){{0,19}}")
_HOST = re.compile(
    r"(?:https?://)?(?:[\w-]+\.)*(reddit\.com|redd\.it)(?::\d+)?(?=[/?#]|\Z)", re.IGNORECASE
)
_BARE = re.compile(r"/?(?:r|u|user)/", re.IGNORECASE)
_ENDING = re.compile(r"/?\.(?:rss|json|xml|compact|mobile)\Z|(?<!/)/+\Z", re.IGNORECASE)
_ORDERS = frozenset({*SORTS, "best", "controversial"})
_PAGES = frozenset({"about", "submit", "wiki", "w", "comments", "s", "duplicates", "gallery"})
_ID = re.compile(r"\bt3_([a-z0-9]+)|/comments/([a-z0-9]+)")

# What PRAW raises on answers that are not Reddit's.
_UNEXPECTED = (AttributeError, LookupError, TypeError, ValueError)


def is_reddit(line: str) -> bool:
    """Whether a line typed by a person names something on Reddit that can be a source."""
    host = _HOST.match(line)
    path = line[host.end() :] if host else ""
    # A feed of the front page, a domain or a search is read as the feed that it is.
    listing = re.match(r"/(?:r|u|user)/|/?\Z", path, re.IGNORECASE)
    return bool(_BARE.match(line) or (host and (listing or ".rss" not in path)))


def sort_of(line: str) -> str:
    """Returns the order that a line names, as in /r/science/top/?t=week, or ""; Invalid for others."""
    if not (_HOST.match(line) or _BARE.match(line)):
        return ""
    order = _split(line)[2]
    if order == "controversial":
        raise Invalid(f"sort must be one of {', '.join(SORTS)}.")
    # "best" is what the front page calls hot.
    return "hot" if order == "best" else order


def _split(line: str) -> tuple[str, list[str], str]:
    """Returns the host of an address, or "", the segments of its path, and the order it names."""
    host = _HOST.match(line)
    address, _, query = (line[host.end() :] if host else line).partition("#")[0].partition("?")
    segments = [segment for segment in _ENDING.sub("", unquote(address)).split("/") if segment]
    # An order comes after a name; there are subreddits and multireddits named like one.
    after_a_name = len(segments) == (3 if _BARE.match(address) else 1 if host else 0)
    after_a_multi = len(segments) == 5 and segments[2].lower() == "m"
    order = ""
    if segments and (after_a_name or after_a_multi) and segments[-1].lower() in _ORDERS:
        order = segments.pop().lower()
    asked = parse_qs(query).get("sort", [""])[-1].lower()
    return host[1].lower() if host else "", segments, asked if asked in _ORDERS else order


def _located(line: str) -> str:
    """Returns ``r/NAME``, ``u/NAME`` or ``u/NAME/m/NAME``, or "" for what is none of them."""
    host, segments, _ = _split(line)
    # A page, or one post, means the subreddit that it is part of.
    match segments:
        case []:
            return "r/popular" if host == "reddit.com" else ""
        case [str(r), name, *rest] if r.lower() == "r":
            if rest and rest[0].lower() not in _PAGES:
                return ""
        case [str(u), name, m, multi] if u.lower() in {"u", "user"} and m.lower() == "m":
            valid = re.fullmatch(_USER, name) and re.fullmatch(_NAME, multi)
            return f"u/{name}/m/{multi}" if valid and name.lower() != "me" else ""
        case [str(u), name, *_] if u.lower() in {"u", "user"}:
            return f"u/{name}" if re.fullmatch(_USER, name) and name.lower() != "me" else ""
        case [name] if not host:
            pass
        case _:
            return ""
    return f"r/{name}" if _SUBREDDITS.fullmatch(name) else ""


class RedditSource:
    """The adapter of kind "reddit".

    A locator is ``r/NAME``, several as ``r/ONE+TWO``, a user as ``u/NAME``, or a user's multireddit
    as ``u/NAME/m/NAME``.

    With API keys the cursor is empty; without, it holds the validators of the public feed.
    """

    kind = "reddit"

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        user_agent: str,
        reddit_url: str,
        oauth_url: str,
        client: GuardedClient,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = (client_id, client_secret)
        self._user_agent = user_agent
        self._reddit_url, self._oauth_url = reddit_url, oauth_url
        self._client = client
        self._now = now

    def clean_locator(self, locator: str) -> str:
        """Returns the locator from any way people write it, or raises Invalid."""
        line = tidy(locator)
        if located := _located(line):
            return located
        if re.search(r"redd\.it/|/(?:comments|gallery|search)\b", line):
            raise Invalid(
                "This is the address of one post or of a search. Give its subreddit, such as r/science."
            )
        raise Invalid(
            "locator: must be a subreddit such as r/science, a user such as u/name, or a public "
            "multireddit such as u/name/m/science."
        )

    def fetch(self, locator: str, sort: str, cursor: Cursor) -> Fetched:
        """Returns the first 100 posts of the subreddit in the order ``sort`` (default: hot)."""
        if sort and sort not in SORTS:
            raise NeedsHuman(f"sort must be one of {', '.join(SORTS)}.", code="sort")
        if all(self._keys):
            return self._by_api(locator, sort or "hot")
        return self._by_feed(locator, sort or "hot", cursor)

    def _by_feed(self, locator: str, sort: str, cursor: Cursor) -> Fetched:
        page = locator.replace("u/", "user/", 1) if locator.startswith("u/") else locator
        if _is_user(locator):
            # The pages of users have no "rising".
            order = {"top": "?sort=top&t=day", "hot": "?sort=hot"}.get(sort, "?sort=new")
            url = f"{self._reddit_url}/{page}/submitted/.rss{order}"
        else:
            order = "" if sort == "hot" else f"{sort}/"
            url = f"{self._reddit_url}/{page}/{order}.rss"
        try:
            response = self._client.get(
                url, rss.conditions(cursor), trusted=True, within=f"/{page}/"
            )
        except NeedsHuman as error:
            # Reddit redirects from an unknown subreddit to its search page.
            if error.code in {"elsewhere", "missing"}:
                raise _unknown(locator) from None
            raise
        notice = NO_KEYS.format(locator)
        if response.status == 304:
            return Fetched([], cursor, notice)
        posts = []
        for post in rss.posts_of(response, self._now()):
            # The same id and author as the API gives, so that a post is new only once when the
            # owner adds or removes keys.
            match = _ID.search(post.external_id) or _ID.search(post.url)
            external_id = f"t3_{match[1] or match[2]}" if match else post.external_id
            author = post.author.removeprefix("/u/")
            posts.append(replace(post, external_id=external_id, author=author))
        return Fetched(posts, rss.validators(response.headers), notice)

    @cached_property
    def _reddit(self) -> Any:
        """PRAW's client: made at the first poll, so after the fork, and used by one thread."""
        os.environ.setdefault("PRAWCORE_TIMEOUT", TIMEOUT)
        import praw

        # PRAW would also read a praw.ini from the current folder; only its own defaults are used.
        shipped = ConfigParser(interpolation=None)
        shipped.read_string(files("praw").joinpath("praw.ini").read_text("utf-8"))
        praw.config.Config.CONFIG = shipped
        return praw.Reddit(
            client_id=self._keys[0],
            client_secret=self._keys[1],
            user_agent=self._user_agent,
            reddit_url=self._reddit_url,
            oauth_url=self._oauth_url,
            # The check would ask PyPI on the first use.
            check_for_updates=False,
        )

    def _by_api(self, locator: str, sort: str) -> Fetched:
        import praw.exceptions
        import prawcore

        reddit = self._reddit
        # PRAW's rate limiter would sleep inside the call, and the lease of the step could expire.
        pause = _pause(reddit)
        if pause > LONGEST_PAUSE_IN_PLACE:
            raise WaitUntil(THROTTLED, until=self._now() + pause)
        listings = _listings(reddit, locator)
        # Without a filter "top" means the best of all time, which is not news.
        options = {"time_filter": "day"} if sort == "top" else {}
        if _is_user(locator) and sort == "rising":
            sort = "new"
        try:
            listing = getattr(listings, sort)(limit=MAX_POSTS, **options)
            fields = [vars(submission) for submission in listing]
            # PRAW takes some answers that are no listings for empty ones.
            if not isinstance(getattr(listing._listing, "children", None), list):
                raise TypeError("not a listing")
        except prawcore.PrawcoreException as error:
            raise _api_error(error, locator, self._now()) from None
        except (praw.exceptions.PRAWException, *_UNEXPECTED) as error:
            # PRAW raises KeyError for a refusal that has no www-authenticate header.
            if isinstance(error, KeyError) and "www-authenticate" in str(error):
                raise NeedsHuman(KEYS_REFUSED, code="reddit_key") from None
            sentence = "Reddit's answer could not be read. It is tried again later."
            raise Retry(sentence, code="nonsense") from None
        posts = [post for submission in fields if (post := _from_api(submission, self._now()))]
        # The limiter knows from the answer's headers when the next request is allowed.
        return Fetched(posts, not_before=self._now() + _pause(reddit))


def _is_user(locator: str) -> bool:
    return locator.startswith("u/") and "/m/" not in locator


def _listings(reddit: Any, locator: str) -> Any:
    """Returns PRAW's object with the listings of a locator; no request is sent yet."""
    if locator.startswith("r/"):
        return reddit.subreddit(locator.removeprefix("r/"))
    name, _, multi = locator.removeprefix("u/").partition("/m/")
    if multi:
        return reddit.multireddit(redditor=name, name=multi)
    return reddit.redditor(name).submissions


def _unknown(locator: str) -> NeedsHuman:
    if locator.startswith("r/"):
        sentence = f"There is no subreddit {locator}, or it was banned. Check the name."
    else:
        sentence = f"There is no {locator} on Reddit, or it is not public. Check the name."
    return NeedsHuman(sentence, code="unknown_subreddit")


def _pause(reddit: Any) -> timedelta:
    """Returns how long PRAW's rate limiter would sleep before the next request."""
    due = reddit._core.rate_limiter.next_request_timestamp_ns
    if due is None:
        return timedelta()
    return max(timedelta(), timedelta(microseconds=(due - time.monotonic_ns()) / 1000))


def _api_error(error: Any, locator: str, now: datetime) -> SmnbError:
    """Returns what a fault of prawcore means to the owner of the source."""
    import prawcore

    if isinstance(error, (prawcore.Redirect, prawcore.NotFound)):
        return _unknown(locator)
    if isinstance(error, (prawcore.OAuthException, prawcore.exceptions.InvalidToken)):
        return NeedsHuman(KEYS_REFUSED, code="reddit_key")
    response = getattr(error, "response", None)
    if response is None:
        return Retry("Reddit cannot be reached. It is tried again later.", code="unreachable")
    status = response.status_code
    if status == 429:
        until = retry_after_of(response.headers.get("retry-after", ""), now) or now + DEFAULT_WAIT
        return WaitUntil(THROTTLED, until=min(until, now + LONGEST_WAIT))
    if status in {400, 401}:
        return NeedsHuman(KEYS_REFUSED, code="reddit_key")
    if status == 403:
        sentence = f"{locator} is private or quarantined, so it cannot be read. Choose another."
        return NeedsHuman(sentence, code="forbidden")
    if status == 451:
        return NeedsHuman(f"{locator} is closed for legal reasons. Choose another.", code="legal")
    return Retry(f"Reddit cannot answer at the moment ({status}). It is tried again later.")


def _from_api(fields: Mapping[str, Any], now: datetime) -> FetchedPost | None:
    """Returns the post of a submission's fields, or None for one that is not to be read.

    The fields are read from a mapping, because ``getattr`` on a missing one would cost a request.
    """
    # Pinned notes, advertisements and adult content are left out.
    flags = ("stickied", "promoted", "over_18")
    # PRAW asks for raw_json=1, so that nothing is escaped: the title is plain, the text Markdown.
    title = clean_line(str(fields.get("title") or ""), 500)
    if any(fields.get(flag) for flag in flags) or not title or not fields.get("id"):
        return None
    text = clean_text(decoded(str(fields.get("selftext") or ""), "markdown", 20_000), 20_000)
    removed = REMOVED if fields.get("removed_by_category") else ""
    page = f"{SITE}{fields.get('permalink') or ''}"
    # A text post has no link of its own, so its page is its address.
    url = page if fields.get("is_self") else str(fields.get("url") or page)
    author = fields.get("author")
    return FetchedPost(
        external_id=f"t3_{clean_line(str(fields['id']), 200)}",
        title=title,
        body=without_furniture(text),
        author=clean_line(str(getattr(author, "name", "") or ""), 200),
        url=published_url(url, SITE),
        score=_count(fields.get("score")),
        comments=_count(fields.get("num_comments")),
        published_at=_time(fields.get("created_utc"), now),
        skip=removed or reason_to_skip(title, text),
    )


def _count(value: Any) -> int:
    """Returns a count of Reddit's answer; 0 for what is no number."""
    # An integer may be too large for a float, so only a float is asked whether it is finite.
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else 0
    return value if isinstance(value, int) else 0


def _time(value: Any, now: datetime) -> datetime | None:
    """Returns a time of Reddit's answer; None for what is no time of the last decades."""
    try:
        return plausible(datetime.fromtimestamp(value, UTC), now)
    except (OSError, OverflowError, TypeError, ValueError):
        return None


KEY_TEST_TIMEOUT = 4.0  # seconds to connect, and again for the answer

REFUSED = "Reddit refused these keys. Check the client id and the secret of the application."


def check(client_id: str, client_secret: str, user_agent: str, reddit_url: str) -> None:
    """Tests Reddit keys by fetching a token; raises NeedsHuman or Retry when that fails."""
    import prawcore

    requestor = prawcore.Requestor(
        user_agent=user_agent, reddit_url=reddit_url, timeout=KEY_TEST_TIMEOUT
    )
    authenticator = prawcore.TrustedAuthenticator(
        client_id=client_id, client_secret=client_secret, requestor=requestor
    )
    failure: SmnbError
    try:
        prawcore.ReadOnlyAuthorizer(authenticator=authenticator).refresh()
    # prawcore's exceptions hold the request with its keys, so none of them is chained or logged:
    # the error is raised after the except clauses.
    except prawcore.OAuthException:
        failure = NeedsHuman(REFUSED, code="reddit_key")
    except prawcore.ResponseException as error:
        status = error.response.status_code
        if status in {400, 401, 403}:
            failure = NeedsHuman(REFUSED, code="reddit_key")
        elif status == 429:
            failure = Retry("Reddit asks us to wait. Try again in a few minutes.", code="throttled")
        else:
            failure = Retry(f"Reddit cannot answer at the moment ({status}). Try again later.")
    except prawcore.PrawcoreException:
        failure = Retry("Reddit cannot be reached. Try again later.", code="unreachable")
    except (LookupError, TypeError, ValueError):
        failure = Retry("Reddit's answer could not be read. Try again later.", code="nonsense")
    else:
        return
    finally:
        requestor.close()
    raise failure
