"""Rate limits, counted in Redis per time window, and the growing delays after failed sign-ins.

A limit of 0 is off.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil
from secrets import token_hex
from typing import Any

import structlog
from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.db.models import Max, QuerySet, Sum
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from sessions_app.errors import SmnbError

log = structlog.get_logger(__name__)

# The first lock of a name and address; each further failure doubles it up to the longest.
FIRST_LOCK, LONGEST_LOCK = timedelta(seconds=30), timedelta(minutes=15)
# Checked passwords of one address per minute, whatever the names: each costs a slow hash.
SIGN_INS_OF_ADDRESS = 30
KNOWN_BROWSER, KNOWN_FOR = "smnb_browser", timedelta(days=365)
# Seconds in which a Redis that did not answer is not asked: a hung one holds each request for its
# time-out. An error that it answers with, as it is full, may concern one command or key alone.
PAUSE = 5.0
_paused = {"until": 0.0}


class TooMany(SmnbError):
    """The caller sends too many requests (HTTP 429); ``after`` is the wait in seconds."""

    code = "rate_limited"

    def __init__(self, sentence: str, *, after: int) -> None:
        super().__init__(sentence)
        self.after = after


def reached(number: int, limit: int) -> bool:
    """Whether there are as many as the limit allows."""
    return 0 < limit <= number


def count(name: str, who: object, limit: int, window: int = 60) -> None:
    """Counts one use of ``name`` by ``who``; raises TooMany above ``limit`` per window (seconds).

    Without Redis nothing is counted and nothing refused; no constraint depends on these limits.
    """
    if not limit or time.monotonic() < _paused["until"]:
        return
    import redis

    # The number of the window is part of the key, so counters never need to be reset.
    slot, passed = divmod(int(time.time()), window)
    key = f"limit:{name}:{who}:{slot}".replace(" ", "-")
    try:
        try:
            used = cache.incr(key)
        except ValueError:
            # The first use of the window. Only ``add`` sets the expiry time, and it leaves a counter
            # alone that another process has added meanwhile.
            cache.add(key, 0, timeout=2 * window)
            used = cache.incr(key)
    except redis.RedisError as error:
        log.warning("limit_not_counted", limit=name, error=type(error).__name__)
        if isinstance(error, redis.ConnectionError | redis.TimeoutError):
            _paused["until"] = time.monotonic() + PAUSE
        return
    # The counter expired between the two calls.
    except ValueError:
        return
    if used > limit:
        raise TooMany(f"At most {limit} {name} in {window} s. Try again.", after=window - passed)


def client_address(request: HttpRequest) -> str | None:
    """Returns the address by which a client is limited: one of IPv6 stands for its whole /64."""
    given = request.META.get("REMOTE_ADDR") or None
    return given and network_of(given)


def network_of(given: str) -> str:
    try:
        address = ip_address(given)
    except ValueError:
        return given
    if not isinstance(address, IPv6Address):
        return given
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    # A client with one address of IPv6 can use all that share its first 64 bits.
    return str(IPv6Network((int(address) >> 64 << 64, 64)).network_address)


def remember_browser(response: HttpResponseBase, username: str) -> None:
    """Marks the browser of a successful sign-in, so that failures of others do not lock it."""
    response.set_cookie(
        KNOWN_BROWSER,
        signing.dumps([username, token_hex(16)], salt=KNOWN_BROWSER),
        max_age=KNOWN_FOR,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )


def known_browser(request: HttpRequest, username: str | None) -> str:
    """Returns the mark of a browser that has signed in with this name before, or nothing."""
    try:
        cookie = request.COOKIES.get(KNOWN_BROWSER, "")
        name, mark = signing.loads(cookie, salt=KNOWN_BROWSER, max_age=KNOWN_FOR)
    except (signing.BadSignature, ValueError):
        return ""
    return str(mark) if name == username else ""


class SignInLock(AxesDatabaseHandler):  # type: ignore[misc]
    """Locks a name for an address, for longer after each further failure.

    A browser that has signed in with the name before is locked by its own failures alone, so a
    stranger at the same address does not lock the owner out.
    """

    def is_locked(self, request: Any, credentials: dict[str, str] | None = None) -> bool:
        """Also counts the attempt against the limit of the address."""
        if self.locked_for(request, credentials):
            return True
        if not known_browser(request, get_client_username(request, credentials)):
            try:
                count("sign-ins", request.axes_ip_address, SIGN_INS_OF_ADDRESS)
            except TooMany as error:
                request.smnb_address_locked_for = error.after
                return True
        return False

    def locked_for(self, request: Any, credentials: dict[str, str] | None) -> int:
        """Returns the seconds for which the name is still locked for this client."""
        [attempts] = self.get_user_attempts(request, credentials)
        found = attempts.aggregate(failures=Sum("failures_since_start"), last=Max("attempt_time"))
        further = (found["failures"] or 0) - settings.AXES_FAILURE_LIMIT
        if further < 0:
            return 0
        last: datetime = found["last"]
        until = last + min(FIRST_LOCK * 2 ** min(further, 10), LONGEST_LOCK)
        left: timedelta = until - request.axes_attempt_time
        return max(0, ceil(left.total_seconds()))

    def user_login_failed(
        self, sender: Any, credentials: dict[str, str], request: Any = None, **more: Any
    ) -> None:
        username = get_client_username(request, credentials)
        if request is not None and (mark := known_browser(request, username)):
            # Attempts are stored by name, address and user agent.
            request.axes_user_agent = mark
        super().user_login_failed(sender, credentials, request, **more)

    def filter_user_attempts(
        self, request: Any, credentials: dict[str, str] | None = None
    ) -> list[QuerySet[AccessAttempt]]:
        username = get_client_username(request, credentials)
        if mark := known_browser(request, username):
            return [AccessAttempt.objects.filter(username=username, user_agent=mark)]
        found: list[QuerySet[AccessAttempt]] = super().filter_user_attempts(request, credentials)
        return found
