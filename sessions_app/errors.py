"""The errors of the project, by what the caller can do about them.

Each has a stable ``code`` for programs and a ``sentence`` for users; neither contains a secret or a
path.
"""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn


class SmnbError(Exception):
    """Base of all our errors; ``sentence`` says what happened and what the user can do."""

    code = "error"

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if code is not None:
            self.code = code


class Retry(SmnbError):
    """The operation may succeed if it is tried again, with back-off."""

    code = "retry"


class WaitUntil(SmnbError):
    """The operation cannot succeed before ``until`` (an aware datetime), e.g. after throttling."""

    code = "throttled"

    def __init__(self, sentence: str, *, until: datetime, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.until = until


class NeedsHuman(SmnbError):
    """Only the user can fix it, e.g. a missing key, a spent budget or a wrong address."""

    code = "needs_human"


class NotFound(SmnbError):
    """The caller has no such object, whether or not another user has (HTTP 404)."""

    code = "not_found"


class Forbidden(SmnbError):
    """The caller may see the object, but not change it (HTTP 403)."""

    code = "forbidden"


class Invalid(SmnbError):
    """The request is not valid (HTTP 422)."""

    code = "invalid"


class Conflict(SmnbError):
    """The request does not fit the current state, which ``state`` names (HTTP 409)."""

    code = "conflict"

    def __init__(self, sentence: str, *, state: str = "", code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.state = state


class StaleClaim(SmnbError):
    """Another worker has claimed the work; the handler stops without writing."""

    code = "stale_claim"


def refuse_constant(name: str) -> NoReturn:
    """Raises ValueError; as ``parse_constant`` of json.loads: NaN and Infinity are not JSON."""
    raise ValueError(f"{name} is not JSON")
