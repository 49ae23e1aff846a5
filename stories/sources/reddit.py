"""Reddit: through PRAW with the operator's keys, or by a subreddit's public feed without them.

Trying Reddit keys: a token for the application alone is fetched and thrown away.
"""

from __future__ import annotations

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

from sessions_app.errors import Invalid, NeedsHuman, Retry, SmnbError, WaitUntil
from stories.sources import rss
from stories.sources.http_client import GuardedClient, asked_wait
from stories.text import canonical_url, clean_line, clean_text
from stories.types import Fetched, FetchedPost

SORTS = ("hot", "new", "top", "rising")

MAX_POSTS = 100

TIMEOUT = "5"  # seconds a read; the only way to say so is the environment

NO_KEYS = "No Reddit keys are set, so the public feed of {} is read instead."

_SHORT_SLEEP = timedelta(seconds=1)

_UNTOLD_WAIT = timedelta(minutes=5)

_LONGEST_WAIT = timedelta(hours=24)

_NAME = r"[A-Za-z0-9][A-Za-z0-9_]{1,20}"

_LOCATOR = re.compile(
    rf"(?:https?://(?:\w+\.)?reddit\.com)?/?(?:r/)?({_NAME}(?:\+{_NAME}){{0,19}})/?", re.IGNORECASE
)

_ID = re.compile(r"\bt3_([a-z0-9]+)|/comments/([a-z0-9]+)")

_SITE = "https://www.reddit.com"


def _now() -> datetime:
    return datetime.now(UTC)


class RedditSource:
    """The adapter of kind "reddit": a locator is ``r/NAME``, or several as ``r/ONE+TWO``.

    With keys nothing is kept in the cursor; without, it keeps the feed's validators.
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
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._keys = (client_id, client_secret)
        self._user_agent = user_agent
        self._reddit_url, self._oauth_url = reddit_url, oauth_url
        self._client = client
        self._now = now

    def clean_locator(self, locator: str) -> str:
        """``r/NAME`` from any way people write it, or Invalid."""
        found = _LOCATOR.fullmatch(locator.strip())
        if found is None:
            raise Invalid("locator: a subreddit such as r/science; letters, digits and _ only.")
        return f"r/{found[1]}"

    def fetch(self, locator: str, sort: str, cursor: dict[str, Any]) -> Fetched:
        """The newest 100 posts of the subreddit in the order ``sort`` (hot unless said)."""
        if sort and sort not in SORTS:
            raise NeedsHuman(f"sort: one of {', '.join(SORTS)}.", code="sort")
        if all(self._keys):
            return self._by_api(locator, sort or "hot")
        return self._by_feed(locator, sort or "hot", cursor)

    def _by_feed(self, locator: str, sort: str, cursor: dict[str, Any]) -> Fetched:
        order = "" if sort == "hot" else f"{sort}/"
        url = f"{self._reddit_url}/{locator}/{order}.rss"
        try:
            response = self._client.get(
                url, rss.conditions(cursor), trusted=True, within=f"/{locator}/"
            )
        except NeedsHuman as error:
            if error.code in {"elsewhere", "missing"}:
                raise _unknown(locator) from None
            raise
        notice = NO_KEYS.format(locator)
        if response.status == 304:
            return Fetched([], cursor, notice)
        posts = [_from_feed(post) for post in rss.posts_of(response, self._now())]
        return Fetched(posts, rss.validators(response.headers), notice)

    @cached_property
    def _reddit(self) -> Any:
        """One client per process, made at its first poll: after the fork, and used by one thread."""
        os.environ.setdefault("PRAWCORE_TIMEOUT", TIMEOUT)
        import praw

        # Only the defaults PRAW ships, not the praw.ini of whatever folder we were started in.
        shipped = ConfigParser(interpolation=None)
        shipped.read_string(files("praw").joinpath("praw.ini").read_text("utf-8"))
        praw.config.Config.CONFIG = shipped
        return praw.Reddit(
            client_id=self._keys[0],
            client_secret=self._keys[1],
            user_agent=self._user_agent,
            reddit_url=self._reddit_url,
            oauth_url=self._oauth_url,
            check_for_updates=False,
        )

    def _by_api(self, locator: str, sort: str) -> Fetched:
        import praw.exceptions
        import prawcore

        reddit = self._reddit
        # The limiter would sleep inside the call, with the step leased all the while.
        pause = _pause(reddit)
        if pause > _SHORT_SLEEP:
            raise WaitUntil(_THROTTLED, until=self._now() + pause)
        listing = getattr(reddit.subreddit(locator.removeprefix("r/")), sort)
        more = {"time_filter": "day"} if sort == "top" else {}
        try:
            found = _listed(listing(limit=MAX_POSTS, **more))
        except prawcore.PrawcoreException as error:
            raise _typed(error, locator, self._now()) from None
        except (praw.exceptions.PRAWException, *_NONSENSE) as error:
            raise _odd(error) from None
        posts = [post for each in found if (post := _from_api(each, self._now()))]
        return Fetched(posts, not_before=self._now() + _pause(reddit))


_NONSENSE = (AttributeError, LookupError, TypeError, ValueError)

_THROTTLED = "Reddit asks us to wait. It is read again by itself after that."

_KEYS_REFUSED = "Reddit refused the keys. Check REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET."


def _listed(listing: Any) -> list[dict[str, Any]]:
    """The fields of what a listing holds. PRAW takes some answers that are none for empty ones."""
    found = [vars(each) for each in listing]
    if not isinstance(getattr(listing._listing, "children", None), list):
        raise TypeError("not a listing")
    return found


def _unknown(locator: str) -> NeedsHuman:
    sentence = f"There is no subreddit {locator}, or it was banned. Check the name."
    return NeedsHuman(sentence, code="unknown_subreddit")


def _pause(reddit: Any) -> timedelta:
    """How long PRAW's limiter would sleep before the next request."""
    due = reddit._core.rate_limiter.next_request_timestamp_ns
    if due is None:
        return timedelta()
    return max(timedelta(), timedelta(microseconds=(due - time.monotonic_ns()) / 1000))


def _odd(error: Exception) -> SmnbError:
    """A refusal without www-authenticate comes out as a KeyError; anything else is nonsense."""
    if isinstance(error, KeyError) and "www-authenticate" in str(error):
        return NeedsHuman(_KEYS_REFUSED, code="reddit_key")
    return Retry("Reddit's answer made no sense. It is tried again later.", code="nonsense")


def _typed(error: Any, locator: str, now: datetime) -> SmnbError:
    """What a fault of prawcore means to the owner."""
    import prawcore

    if isinstance(error, (prawcore.Redirect, prawcore.NotFound)):
        return _unknown(locator)
    if isinstance(error, (prawcore.OAuthException, prawcore.exceptions.InvalidToken)):
        return NeedsHuman(_KEYS_REFUSED, code="reddit_key")
    response = getattr(error, "response", None)
    if response is None:
        return Retry("Reddit cannot be reached. It is tried again later.", code="unreachable")
    return _by_status(response.status_code, response.headers, locator, now)


def _by_status(status: int, headers: Mapping[str, str], locator: str, now: datetime) -> SmnbError:
    if status == 429:
        until = asked_wait(headers.get("retry-after", ""), now) or now + _UNTOLD_WAIT
        return WaitUntil(_THROTTLED, until=min(until, now + _LONGEST_WAIT))
    if status in {400, 401}:
        return NeedsHuman(_KEYS_REFUSED, code="reddit_key")
    if status == 403:
        sentence = f"{locator} is private or quarantined, so it cannot be read. Choose another."
        return NeedsHuman(sentence, code="forbidden")
    if status == 451:
        return NeedsHuman(f"{locator} is closed for legal reasons. Choose another.", code="legal")
    return Retry(f"Reddit cannot answer at the moment ({status}). It is tried again later.")


def _unwanted(post: Mapping[str, Any]) -> bool:
    """Pinned notes, advertisements, what was taken down, and what is not for every audience."""
    flags = ("stickied", "promoted", "removed_by_category", "over_18")
    return any(post.get(flag) for flag in flags)


def _from_api(post: Mapping[str, Any], now: datetime) -> FetchedPost | None:
    """A submission's own fields; ``getattr`` on a missing one would cost a request."""
    title = clean_line(str(post.get("title") or ""), 500)
    if _unwanted(post) or not title or not post.get("id"):
        return None
    page = f"{_SITE}{post.get('permalink') or ''}"
    url = page if post.get("is_self") else str(post.get("url") or page)
    author = post.get("author")
    created = post.get("created_utc")
    return FetchedPost(
        external_id=f"t3_{post['id']}",
        title=title,
        body=clean_text(str(post.get("selftext") or ""), 20_000),
        author=clean_line(str(getattr(author, "name", "") or ""), 200),
        url=canonical_url(url, _SITE),
        score=int(post.get("score") or 0),
        comments=int(post.get("num_comments") or 0),
        published_at=min(datetime.fromtimestamp(created, UTC), now) if created else None,
    )


def _from_feed(post: FetchedPost) -> FetchedPost:
    """The same post as the API would give: its id and its author's bare name."""
    found = _ID.search(post.external_id) or _ID.search(post.url)
    key = f"t3_{found[1] or found[2]}" if found else post.external_id
    return replace(post, external_id=key, author=post.author.removeprefix("/u/"))


KEY_TEST_TIMEOUT = 4.0  # seconds to connect, and again for the answer

REFUSED = "Reddit refused these keys. Check the client id and the secret of the application."


def check(client_id: str, client_secret: str, user_agent: str, reddit_url: str) -> None:
    """Return when Reddit gives a token for these keys; raises NeedsHuman or Retry with the reason."""
    import prawcore

    requestor = prawcore.Requestor(
        user_agent=user_agent, reddit_url=reddit_url, timeout=KEY_TEST_TIMEOUT
    )
    authenticator = prawcore.TrustedAuthenticator(
        client_id=client_id, client_secret=client_secret, requestor=requestor
    )
    try:
        prawcore.ReadOnlyAuthorizer(authenticator=authenticator).refresh()
    # What prawcore raises holds the request with its keys, so nothing of it goes on.
    except prawcore.OAuthException:
        failure: SmnbError = NeedsHuman(REFUSED, code="reddit_key")
    except prawcore.ResponseException as error:
        failure = _key_error(error.response.status_code)
    except prawcore.PrawcoreException:
        failure = Retry("Reddit cannot be reached. Try again later.", code="unreachable")
    except (LookupError, TypeError, ValueError):
        failure = Retry("Reddit's answer made no sense. Try again later.", code="nonsense")
    else:
        return
    finally:
        requestor.close()
    raise failure


def _key_error(status: int) -> SmnbError:
    if status in {400, 401, 403}:
        return NeedsHuman(REFUSED, code="reddit_key")
    if status == 429:
        return Retry("Reddit asks us to wait. Try again in a few minutes.", code="throttled")
    return Retry(f"Reddit cannot answer at the moment ({status}). Try again later.")
