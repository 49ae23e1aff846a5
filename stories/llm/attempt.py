"""What is known of one attempt at every moment, so that it can be closed truthfully at any."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from stories.llm.errors import EmptyAnswer, Refused, broken
from stories.llm.types import Answer, Ask, counts_of, overridden, part, passes_of, tier_of
from stories.usage.types import Attempt, Close, Counts

_COMPLETE = ("end_turn", "stop_sequence")
_CUT = ("max_tokens", "model_context_window_exceeded")


def _name(whole: Mapping[str, Any], name: str, longest: int = 80) -> str:
    return str(whole.get(name) or "")[:longest]


class Exchange:
    """Takes the events of a stream; ``answer`` judges the end, ``closing`` describes it."""

    def __init__(self, ask: Ask, attempt: Attempt) -> None:
        self._ask, self._attempt = ask, attempt
        self._begun = time.monotonic()
        self._may_have_served = False
        self._started = self._ended = False
        self._usage: dict[str, Any] = {}
        self._model = ask.model
        self._message_id = ""
        self._stop_reason: str | None = None
        self._first_token_ms: int | None = None
        self.text = ""
        self.request_id = ""
        self.error: str | None = None

    def sending(self) -> None:
        """From here on, the API may serve something."""
        self._may_have_served = True

    def nothing_served(self) -> None:
        """The request never arrived, or was answered with an error instead of a stream."""
        self._may_have_served = False

    def take(self, event: Mapping[str, Any]) -> None:
        """Learn from one event."""
        match event.get("type"):
            case "message_start":
                self._start(part(event, "message"))
            case "content_block_start":
                self._open_block(part(event, "content_block"))
            case "content_block_delta":
                self._grow(part(event, "delta"))
            case "message_delta":
                self._usage = overridden(self._usage, part(event, "usage"))
                self._stop_reason = self._reason(part(event, "delta"))
            case "message_stop":
                self._ended = self._started

    def _start(self, message: Mapping[str, Any]) -> None:
        self._started = True
        self._usage = part(message, "usage")
        self._model = _name(message, "model") or self._model
        self._message_id = _name(message, "id")
        counts = counts_of(self._usage)
        self._attempt.started(self._model, self._message_id, self.request_id[:80], counts)

    def _open_block(self, block: Mapping[str, Any]) -> None:
        """A fallback block names the model that answers from here on: that one is priced."""
        if block.get("type") == "fallback":
            self._model = _name(part(block, "to"), "model") or self._model
        elif block.get("type") == "text":
            self._append(block.get("text"))

    def _grow(self, delta: Mapping[str, Any]) -> None:
        if delta.get("type") == "text_delta":
            self._append(delta.get("text"))

    def _append(self, text: object) -> None:
        if isinstance(text, str) and text:
            if self._first_token_ms is None:
                self._first_token_ms = self._elapsed_ms()
            self.text += text

    def _reason(self, delta: Mapping[str, Any]) -> str | None:
        return _name(delta, "stop_reason", 40) or self._stop_reason

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._begun) * 1000)

    def answer(self) -> Answer:
        """The answer, once the stream has ended; raises Retry, Refused or EmptyAnswer."""
        reason = self._stop_reason or ""
        if self._ended and reason == "refusal":
            raise Refused("The model refused to answer this.")
        if not self._ended or reason not in _COMPLETE + _CUT:
            raise broken()
        if not self.text.strip():
            raise EmptyAnswer("The model gave an empty answer.")
        return Answer(self.text, reason, self._model, complete=reason in _COMPLETE)

    def closing(self) -> Close:
        """How the attempt stands: exact once the API has said its last word, else bounded."""
        passes = passes_of(self._usage, self._model)
        counts = sum((extra.counts for extra in passes), counts_of(self._usage))
        exact = self._ended or not self._may_have_served
        lower, upper = counts.output, counts.output
        if not exact:
            lower = max(counts.output, int(self._started))
            upper = max(counts.output, self._ask.max_tokens)
        return Close(
            state="final" if exact else "bounded",
            counts=counts + Counts(output=lower - counts.output),
            model=self._model,
            output_lower=lower,
            output_upper=upper,
            input_upper=0 if exact or self._started else self._ask.input_upper(),
            request_id=self.request_id[:80],
            message_id=self._message_id,
            stop_reason=self._stop_reason,
            service_tier=tier_of(self._usage),
            first_token_ms=self._first_token_ms,
            duration_ms=self._elapsed_ms(),
            error=self.error,
            passes=passes,
        )
