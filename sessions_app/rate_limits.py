"""Rate limits, counted in Redis by the minute; a limit of 0 is off."""

from __future__ import annotations

import time

import structlog
from django.core.cache import cache
from redis import RedisError

from sessions_app.errors import SmnbError

log = structlog.get_logger(__name__)


class TooMany(SmnbError):
    """The caller asks too often (HTTP 429); ``after`` is in seconds."""

    code = "rate_limited"

    def __init__(self, sentence: str, *, after: int) -> None:
        super().__init__(sentence)
        self.after = after


def reached(number: int, limit: int) -> bool:
    """Whether there are as many as there may be."""
    return 0 < limit <= number


def count(name: str, who: object, limit: int, window: int = 60) -> None:
    """Count one use of ``name`` by ``who``; raises TooMany above ``limit`` a window (seconds).

    Without Redis nothing is counted: the database refuses what must not happen twice.
    """
    if not limit:
        return
    slot, passed = divmod(int(time.time()), window)
    key = f"limit:{name}:{who}:{slot}".replace(" ", "-")
    try:
        cache.add(key, 0, timeout=2 * window)
        used = cache.incr(key)
    except (RedisError, ValueError) as error:
        log.warning("limit_not_counted", limit=name, error=type(error).__name__)
        return
    if used > limit:
        raise TooMany(f"At most {limit} {name} in {window} s. Try again.", after=window - passed)
