"""Types of the gateway: credentials, questions, answers, and the counts of Anthropic's ``usage``.

The numbers of ``message_delta`` are cumulative: each that is not null replaces that of
``message_start``; none is ever added. Only ``message_start`` splits cache writes by lifetime; what a
later total has beyond it was written for five minutes, the default.

``usage.iterations`` lists every sampling pass. Passes of type ``message`` and ``fallback_message``
make up the top-level numbers. All others (``advisor_message``, ``compaction``, future types) were
served, and are billed, in addition.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sessions_app.errors import NeedsHuman
from stories.usage.types import Counts, Pass

JsonObject = Mapping[str, object]

# The API adds tokens of its own: its framing, and its instructions for a JSON schema.
_FRAMING_TOKENS = 1024

KEY_REFUSED = (
    "Anthropic refused the API key. Check your key under User Settings, or ANTHROPIC_API_KEY."
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The key, which is not in the repr, and the address of the API (None: Anthropic's own)."""

    api_key: str = field(repr=False)
    base_url: str | None = None

    def check(self) -> None:
        """Raises NeedsHuman for a key that is missing or not valid in a header."""
        if not self.api_key:
            raise NeedsHuman("There is no API key. Set ANTHROPIC_API_KEY.", code="anthropic_key")
        # Anything else could not be sent in a header, or would end it.
        if not (self.api_key.isascii() and self.api_key.isprintable()) or " " in self.api_key:
            raise NeedsHuman(KEY_REFUSED, code="anthropic_key")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; ``role`` is "user" or "assistant"."""

    role: Literal["user", "assistant"]
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. ``schema`` is the JSON schema of the answer; ``operation`` is booked.

    ``history`` goes before the prompt, oldest first. With ``cached`` the system text is written to
    the provider's cache for five minutes; it must then be the same from question to question.
    """

    model: str
    system: str = field(repr=False)
    prompt: str = field(repr=False)
    max_tokens: int
    schema: JsonObject | None = field(default=None, repr=False)
    operation: str = "narrate"
    history: tuple[Turn, ...] = field(default=(), repr=False)
    cached: bool = False

    def input_upper(self) -> int:
        """Returns an upper bound of the input tokens: a token is at least one byte of UTF-8."""
        schema = json.dumps(self.schema) if self.schema else ""
        texts = (self.system, self.prompt, schema, *(turn.text for turn in self.history))
        return sum(len(text.encode(errors="replace")) for text in texts) + _FRAMING_TOKENS


@dataclass(frozen=True, slots=True)
class Answer:
    """The model's answer; ``complete`` is False when it was cut at a length limit."""

    text: str
    stop_reason: str
    model: str
    complete: bool


_IN_TOP_LEVEL = ("message", "fallback_message")


def part(json: JsonObject, name: str) -> JsonObject:
    """Returns the object under ``name``, or an empty one."""
    value = json.get(name)
    return value if isinstance(value, dict) else {}


def _number(json: JsonObject, name: str) -> int:
    value = json.get(name)
    return value if isinstance(value, int) and value > 0 else 0


def counts_of(usage: JsonObject) -> Counts:
    """Returns the top-level numbers of a usage object; a missing or null field counts as zero."""
    split = part(usage, "cache_creation")
    one_hour = _number(split, "ephemeral_1h_input_tokens")
    written = one_hour + _number(split, "ephemeral_5m_input_tokens")
    if usage.get("cache_creation_input_tokens") is not None:
        written = _number(usage, "cache_creation_input_tokens")
    # The total wins over the split, which an old API or a proxy may leave out.
    one_hour = min(one_hour, written)
    return Counts(
        input=_number(usage, "input_tokens"),
        output=_number(usage, "output_tokens"),
        cache_read=_number(usage, "cache_read_input_tokens"),
        cache_write_5m=written - one_hour,
        cache_write_1h=one_hour,
        web_searches=_number(part(usage, "server_tool_use"), "web_search_requests"),
    )


def passes_of(usage: JsonObject, model: str) -> tuple[Pass, ...]:
    """Returns the passes that are not in the top-level numbers; ``model`` is their default."""
    entries = usage.get("iterations")
    return tuple(
        Pass(str(entry.get("model") or model)[:80], counts_of(entry))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and entry.get("type") not in _IN_TOP_LEVEL
    )


def tier_of(usage: JsonObject) -> str | None:
    """Returns the service tier; the fast mode counts as one, because it has prices of its own."""
    if usage.get("speed") == "fast":
        return "fast"
    tier = usage.get("service_tier")
    return tier[:20] if isinstance(tier, str) else None
