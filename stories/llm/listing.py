"""Asking which models a key may use: an authenticated request that costs nothing."""

from __future__ import annotations

import threading

import httpx2

from sessions_app.errors import NeedsHuman, Retry, SmnbError, WaitUntil
from stories.llm.errors import refused
from stories.llm.gateway import anthropic_sdk, cut_after, refusal_of
from stories.llm.shapes import Credentials

# Connecting, waiting for the answer and reading it: within ten seconds altogether.
_CONNECT, _READ, _WHOLE = 3.0, 3.0, 3.0


def count_models(credentials: Credentials) -> int:
    """How many models there are for this key; raises NeedsHuman or Retry, with the reason."""
    credentials.check()
    anthropic = anthropic_sdk()
    client = anthropic.Anthropic(
        api_key=credentials.api_key,
        base_url=credentials.base_url,
        timeout=httpx2.Timeout(connect=_CONNECT, read=_READ, write=_READ, pool=_READ),
        max_retries=0,
        open_telemetry=False,
    )
    try:
        with (
            client,
            client.models.with_streaming_response.list(limit=1000) as response,
            cut_after(_WHOLE, threading.Event(), response.http_response),
        ):
            return len(response.parse().data)
    except anthropic.APIStatusError as error:
        failure = _typed(refused(refusal_of(error, "")))
    except (anthropic.APIConnectionError, httpx2.HTTPError, OSError):
        failure = Retry("Anthropic cannot be reached. Test again later.", code="unreachable")
    except (anthropic.AnthropicError, AttributeError, TypeError, ValueError, httpx2.InvalidURL):
        failure = _nonsense()
    raise failure


def _typed(found: SmnbError) -> SmnbError:
    """What concerns the key as it is; everything else in words that fit a test."""
    if found.code in {"anthropic_key", "anthropic_credit"}:
        return found
    if isinstance(found, (Retry, WaitUntil)):
        return Retry("Anthropic is busy at the moment. Test again in a minute.", code=found.code)
    return _nonsense()


def _nonsense() -> SmnbError:
    sentence = "What answers at Anthropic's address is not Anthropic. Check ANTHROPIC_BASE_URL."
    return NeedsHuman(sentence, code="nonsense")
