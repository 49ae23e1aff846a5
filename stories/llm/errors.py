"""Errors of the Anthropic API as errors of this project; they never contain a key or a prompt."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sessions_app.errors import NeedsHuman, Retry, SmnbError, WaitUntil
from stories.llm.types import KEY_REFUSED

# A header may name days; a try after this time costs nothing if the limit still applies.
LONGEST_WAIT = timedelta(minutes=15)


class Refused(SmnbError):
    """The model or the API refused this question; another question may pass."""

    code = "refusal"


class PromptTooLong(Refused):
    """The question does not fit into the model's context."""

    code = "prompt_too_long"


class EmptyAnswer(SmnbError):
    """The model ended normally without any text."""

    code = "empty_answer"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer of the API, before or within a stream; ``kind`` is its ``error.type``."""

    status: int
    kind: str
    message: str
    error_code: str
    retry_after: str
    model: str


def broken() -> Retry:
    """Returns the error of a stream that broke or stalled before the answer was complete."""
    sentence = "The connection to Anthropic broke during an answer. It is tried again."
    return Retry(sentence, code="stream_broken")


def unreachable() -> Retry:
    """Returns the error of a request that cannot have arrived."""
    return Retry("Anthropic cannot be reached. It is tried again.", code="stream_broken")


def _bad_key(refusal: Refusal) -> SmnbError:
    return NeedsHuman(KEY_REFUSED, code="anthropic_key")


def _no_credit(refusal: Refusal) -> SmnbError:
    sentence = "The Anthropic account has no credit left. Add credit or raise its spend limit."
    return NeedsHuman(sentence, code="anthropic_credit")


def _unknown_model(refusal: Refusal) -> SmnbError:
    sentence = f"Anthropic does not know the model “{refusal.model[:80]}”. Choose another one."
    return NeedsHuman(sentence, code="model")


def _overloaded(refusal: Refusal) -> SmnbError:
    return Retry("Anthropic is overloaded. It is tried again.", code="overloaded")


def _too_long(refusal: Refusal) -> SmnbError:
    return PromptTooLong("The text is too long for the model.")


def _rate_limited(refusal: Refusal) -> SmnbError:
    wait = _wait_of(refusal.retry_after)
    if wait is None:
        return Retry("Anthropic limits the rate. It is tried again.", code="throttled")
    until = datetime.now(UTC) + min(wait, LONGEST_WAIT)
    return WaitUntil("Anthropic limits the rate. Work resumes automatically.", until=until)


def _wait_of(retry_after: str) -> timedelta | None:
    """Returns the wait of a header in seconds or as a date; None if it is missing or invalid."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        aware = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(aware - datetime.now(UTC), timedelta())
    if math.isnan(seconds) or seconds < 0:
        return None
    # Bounded before the conversion, which fails on very large numbers.
    return timedelta(seconds=min(seconds, LONGEST_WAIT.total_seconds()))


_Maker = Callable[[Refusal], SmnbError]

_BY_KIND: dict[str, _Maker] = {
    "authentication_error": _bad_key,
    "permission_error": _bad_key,
    "billing_error": _no_credit,
    "not_found_error": _unknown_model,
    "rate_limit_error": _rate_limited,
    "overloaded_error": _overloaded,
    # An internal error of the API passes as an overload does: by waiting.
    "api_error": _overloaded,
    "timeout_error": _overloaded,
    "conflict_error": _overloaded,
    "request_too_large": _too_long,
}
_BY_STATUS: dict[int, _Maker] = {
    401: _bad_key,
    402: _no_credit,
    403: _bad_key,
    404: _unknown_model,
    408: _overloaded,
    409: _overloaded,
    413: _too_long,
    429: _rate_limited,
}
_NO_CREDIT = re.compile(r"credit balance|spend(ing)? limit|usage limits", re.IGNORECASE)
_TOO_LONG = re.compile(r"prompt is too long|exceeds? (the )?context|too many tokens", re.IGNORECASE)
_SPEND_LIMITS = ("enforced_spend_limit_reached", "contract_spend_limit_reached")


def refused(refusal: Refusal) -> SmnbError:
    """Returns the error for an error answer: by its code, its type or its status, in this order."""
    # A spend limit comes as 429 or 400, but waiting does not help, so it is looked for first. Only
    # the message says that an account has no credit, or that a prompt is too long.
    if refusal.error_code in _SPEND_LIMITS or _NO_CREDIT.search(refusal.message):
        return _no_credit(refusal)
    if refusal.kind == "invalid_request_error" and _TOO_LONG.search(refusal.message):
        return _too_long(refusal)
    maker = _BY_KIND.get(refusal.kind) or _BY_STATUS.get(refusal.status)
    if maker is not None:
        return maker(refusal)
    if refusal.status >= 500:
        return _overloaded(refusal)
    sentence = f"Anthropic refused the request (HTTP {refusal.status}). Try another model."
    return NeedsHuman(sentence, code="bad_request")
