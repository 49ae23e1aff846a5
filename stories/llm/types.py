"""Types of the gateway: credentials, questions and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sessions_app.errors import NeedsHuman

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


def part(json: JsonObject, name: str) -> JsonObject:
    """Returns the object under ``name``, or an empty one."""
    value = json.get(name)
    return value if isinstance(value, dict) else {}
