"""What is asked of a model, with which key, and what comes back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from sessions_app.errors import NeedsHuman

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
