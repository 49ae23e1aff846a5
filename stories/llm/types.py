"""What is asked of a model, with which key, and what comes back.

From Anthropic's ``usage`` objects to counts.

The numbers of ``message_delta`` are cumulative: each that is not null replaces what
``message_start`` said, and none is ever added. The split of cache writes by lifetime comes only in
``message_start``; what a later total has beyond it was written for five minutes, the default.

``usage.iterations`` lists every sampling pass. Those of type ``message`` and ``fallback_message``
make up the top-level numbers; all others (``advisor_message``, ``compaction``, and kinds yet to
come) were served, and are billed, in addition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sessions_app.errors import NeedsHuman
from stories.usage.types import Counts, Pass

# What the API adds of its own: its framing, and its instructions for a JSON schema.
_FRAMING_TOKENS = 1024

KEY_REFUSED = (
    "Anthropic refused the API key. Check your key under User Settings, or ANTHROPIC_API_KEY."
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key, which never shows in a repr, and the address of the API (None: Anthropic's own)."""

    api_key: str = field(repr=False)
    base_url: str | None = None

    def check(self) -> None:
        """Raise NeedsHuman for a key that is missing or cannot be put into a header."""
        if not self.api_key:
            raise NeedsHuman("There is no API key. Set ANTHROPIC_API_KEY.", code="anthropic_key")
        if not (self.api_key.isascii() and self.api_key.isprintable()) or " " in self.api_key:
            raise NeedsHuman(KEY_REFUSED, code="anthropic_key")


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said before in a conversation; ``role`` is "user" or "assistant"."""

    role: Literal["user", "assistant"]
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. ``schema`` is a JSON schema the answer must follow; ``operation`` is booked.

    ``history`` goes before the prompt, oldest first. With ``cached`` the system text, which must
    then be the same from question to question, is written to the provider's cache for five minutes.
    """

    model: str
    system: str = field(repr=False)
    prompt: str = field(repr=False)
    max_tokens: int
    schema: dict[str, Any] | None = field(default=None, repr=False)
    operation: str = "narrate"
    history: tuple[Turn, ...] = field(default=(), repr=False)
    cached: bool = False

    def input_upper(self) -> int:
        """More tokens than the question can be: a token is at least one byte of UTF-8."""
        schema = json.dumps(self.schema) if self.schema else ""
        texts = (self.system, self.prompt, schema, *(turn.text for turn in self.history))
        return sum(len(text.encode(errors="replace")) for text in texts) + _FRAMING_TOKENS


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said; ``complete`` is False where it was cut at a limit of length."""

    text: str
    stop_reason: str
    model: str
    complete: bool


_IN_TOP_LEVEL = ("message", "fallback_message")


def part(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under ``name``, or an empty one."""
    found = whole.get(name)
    return found if isinstance(found, dict) else {}


def overridden(usage: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """``usage`` with every field that ``later`` knows."""
    known = {name: value for name, value in later.items() if value is not None}
    return {**usage, **known}


def _number(whole: Mapping[str, Any], name: str) -> int:
    found = whole.get(name)
    return found if isinstance(found, int) and found > 0 else 0


def counts_of(usage: Mapping[str, Any]) -> Counts:
    """The top-level numbers of one usage object; a missing or null field counts zero."""
    split = part(usage, "cache_creation")
    one_hour = _number(split, "ephemeral_1h_input_tokens")
    written = one_hour + _number(split, "ephemeral_5m_input_tokens")
    if usage.get("cache_creation_input_tokens") is not None:
        written = _number(usage, "cache_creation_input_tokens")
    one_hour = min(one_hour, written)
    return Counts(
        input=_number(usage, "input_tokens"),
        output=_number(usage, "output_tokens"),
        cache_read=_number(usage, "cache_read_input_tokens"),
        cache_write_5m=written - one_hour,
        cache_write_1h=one_hour,
        web_searches=_number(part(usage, "server_tool_use"), "web_search_requests"),
    )


def passes_of(usage: Mapping[str, Any], model: str) -> tuple[Pass, ...]:
    """The passes that the top-level numbers leave out; one without a model was ``model``'s."""
    listed = usage.get("iterations")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return tuple(
        Pass(str(entry.get("model") or model)[:80], counts_of(entry))
        for entry in entries
        if entry.get("type") not in _IN_TOP_LEVEL
    )


def tier_of(usage: Mapping[str, Any]) -> str | None:
    """The service tier; fast mode, which has prices of its own, counts as one."""
    if usage.get("speed") == "fast":
        return "fast"
    tier = usage.get("service_tier")
    return tier[:20] if isinstance(tier, str) else None
