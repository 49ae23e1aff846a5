"""Rate limits, counted in Redis per time window; a limit of 0 is off."""

from __future__ import annotations

import time

import structlog
from django.core.cache import cache

from sessions_app.errors import SmnbError

log = structlog.get_logger(__name__)


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
    if not limit:
        return
    from redis import RedisError

    # The number of the window is part of the key, so counters never need to be reset.
    slot, passed = divmod(int(time.time()), window)
    key = f"limit:{name}:{who}:{slot}".replace(" ", "-")
    try:
        # Only ``add`` sets the expiry time, and it leaves an existing counter alone.
        cache.add(key, 0, timeout=2 * window)
        used = cache.incr(key)
    # ValueError: the counter expired between the two calls.
    except (RedisError, ValueError) as error:
        log.warning("limit_not_counted", limit=name, error=type(error).__name__)
        return
    if used > limit:
        raise TooMany(f"At most {limit} {name} in {window} s. Try again.", after=window - passed)
