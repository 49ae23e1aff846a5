"""What can go wrong, by what a person or a machine should do about it.

Every error carries a stable ``code`` for programs and a ``sentence`` for people; neither ever
holds a secret or a path.
"""

from __future__ import annotations

from datetime import datetime


class SmnbError(Exception):
    """Base of all our errors: ``code`` is stable, ``sentence`` says what happened and what to do."""

    code = "error"

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if code is not None:
            self.code = code


class Retry(SmnbError):
    """It may work if simply tried again, with back-off."""

    code = "retry"


class WaitUntil(SmnbError):
    """It will not work before ``until`` (aware datetime): a throttle, an overload with a time."""

    code = "throttled"

    def __init__(self, sentence: str, *, until: datetime, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.until = until


class NeedsHuman(SmnbError):
    """Only a person can mend it: a key, a budget, a wrong address."""

    code = "needs_human"


class NotFound(SmnbError):
    """The caller has no such object, whether or not somebody else has (HTTP 404)."""

    code = "not_found"


class Forbidden(SmnbError):
    """The caller may see it, but not change it (HTTP 403)."""

    code = "forbidden"


class Invalid(SmnbError):
    """The request cannot be understood as it is (HTTP 422)."""

    code = "invalid"


class Conflict(SmnbError):
    """The request does not fit the present state (HTTP 409); ``state`` names that state."""

    code = "conflict"

    def __init__(self, sentence: str, *, state: str = "", code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.state = state


class StaleClaim(SmnbError):
    """Somebody else took the work over; whoever sees this stops without writing."""

    code = "stale_claim"
