"""From what the SDK raises to what somebody should do about it; never with a key or a prompt."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sessions_app.errors import NeedsHuman, Retry, SmnbError, WaitUntil
from stories.llm.types import KEY_REFUSED

LONGEST_WAIT = timedelta(minutes=15)


class Refused(SmnbError):
    """The model or the API would not answer this question; another one may pass."""

    code = "refusal"


class PromptTooLong(Refused):
    """The question does not fit the model's context."""

    code = "prompt_too_long"


class EmptyAnswer(SmnbError):
    """The model ended properly without a word."""

    code = "empty_answer"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer of the API, before or inside a stream; ``kind`` is its ``error.type``."""

    status: int
    kind: str
    message: str
    error_code: str
    retry_after: str
    model: str


def broken() -> Retry:
    """The stream ended, stalled or was garbled before the answer was complete."""
    sentence = "The connection to Anthropic broke in the middle of an answer. It is tried again."
    return Retry(sentence, code="stream_broken")


def unreachable() -> Retry:
    """No request can have arrived."""
    return Retry("Anthropic cannot be reached. It is tried again.", code="stream_broken")


def _key(refusal: Refusal) -> SmnbError:
    return NeedsHuman(KEY_REFUSED, code="anthropic_key")


def _credit(refusal: Refusal) -> SmnbError:
    sentence = "Anthropic says the account has no credit left. Add credit or raise its spend limit."
    return NeedsHuman(sentence, code="anthropic_credit")


def _model(refusal: Refusal) -> SmnbError:
    sentence = f"Anthropic does not know the model “{refusal.model[:80]}”. Choose another one."
    return NeedsHuman(sentence, code="model")


def _overloaded(refusal: Refusal) -> SmnbError:
    return Retry("Anthropic is overloaded. It is tried again.", code="overloaded")


def _too_long(refusal: Refusal) -> SmnbError:
    return PromptTooLong("The text is too long for the model.")


def _malformed(refusal: Refusal) -> SmnbError:
    sentence = f"Anthropic refused the request (HTTP {refusal.status}). Try another model."
    return NeedsHuman(sentence, code="bad_request")


def _throttled(refusal: Refusal) -> SmnbError:
    wait = _seconds(refusal.retry_after)
    if wait is None:
        return Retry("Anthropic limits the rate. It is tried again.", code="throttled")
    until = datetime.now(UTC) + min(wait, LONGEST_WAIT)
    return WaitUntil("Anthropic limits the rate. It goes on by itself.", until=until)


def _seconds(retry_after: str) -> timedelta | None:
    """The header as seconds or as a date; None where it is missing or senseless."""
    try:
        seconds = float(retry_after)
    except ValueError:
        return _until(retry_after)
    if math.isnan(seconds) or seconds < 0:
        return None
    return timedelta(seconds=min(seconds, LONGEST_WAIT.total_seconds()))


def _until(date: str) -> timedelta | None:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(at - datetime.now(UTC), timedelta())


_Maker = Callable[[Refusal], SmnbError]

_BY_KIND: dict[str, _Maker] = {
    "authentication_error": _key,
    "permission_error": _key,
    "billing_error": _credit,
    "not_found_error": _model,
    "rate_limit_error": _throttled,
    "overloaded_error": _overloaded,
    "api_error": _overloaded,
    "timeout_error": _overloaded,
    "conflict_error": _overloaded,
    "request_too_large": _too_long,
}
_BY_STATUS: dict[int, _Maker] = {
    401: _key,
    402: _credit,
    403: _key,
    404: _model,
    408: _overloaded,
    409: _overloaded,
    413: _too_long,
    429: _throttled,
}
_NO_CREDIT = re.compile(r"credit balance|spend(ing)? limit|usage limits", re.IGNORECASE)
_TOO_LONG = re.compile(r"prompt is too long|exceeds? (the )?context|too many tokens", re.IGNORECASE)
_SPEND_LIMITS = ("enforced_spend_limit_reached", "contract_spend_limit_reached")


def refused(refusal: Refusal) -> SmnbError:
    """The typed error for an error answer: by its code, its type, its status, in this order.

    A spend limit comes as 429 or 400 and no waiting helps, so it is looked for first; that an
    account has no credit, and that a prompt is too long, stands in the message alone.
    """
    if refusal.error_code in _SPEND_LIMITS or _NO_CREDIT.search(refusal.message):
        return _credit(refusal)
    if refusal.kind == "invalid_request_error" and _TOO_LONG.search(refusal.message):
        return _too_long(refusal)
    maker = _BY_KIND.get(refusal.kind) or _BY_STATUS.get(refusal.status)
    if maker is None:
        maker = _overloaded if refusal.status >= 500 else _malformed
    return maker(refusal)
