"""One attempt while it runs: it can be closed with true bounds at any time."""

from __future__ import annotations

import time

from stories.llm.errors import EmptyAnswer, Refused, broken
from stories.llm.types import Answer, Ask, JsonObject, counts_of, part, passes_of, tier_of
from stories.usage.types import Attempt, Close, Counts

_COMPLETE = ("end_turn", "stop_sequence")
_CUT = ("max_tokens", "model_context_window_exceeded")


def _text(json: JsonObject, name: str, longest: int = 80) -> str:
    return str(json.get(name) or "")[:longest]


class Exchange:
    """Takes the events of a stream; ``answer`` returns its text, ``closing`` its counts."""

    def __init__(self, ask: Ask, attempt: Attempt) -> None:
        self._ask, self._attempt = ask, attempt
        self._begun = time.monotonic()
        self._may_have_served = False
        self._started = self._ended = False
        self._usage: JsonObject = {}
        self._model = ask.model
        self._message_id = ""
        self._stop_reason: str | None = None
        self._first_token_ms: int | None = None
        self.text = ""
        self.request_id = ""
        self.error: str | None = None

    def sending(self) -> None:
        """Notes that the request is sent: from here on, the API may serve something."""
        self._may_have_served = True

    def nothing_served(self) -> None:
        """Notes that the request never arrived, or was answered with an error."""
        self._may_have_served = False

    def take(self, event: JsonObject) -> None:
        """Updates the exchange by one event of the stream."""
        match event.get("type"):
            case "message_start":
                message = part(event, "message")
                self._started = True
                self._usage = part(message, "usage")
                self._model = _text(message, "model") or self._model
                self._message_id = _text(message, "id")
                counts = counts_of(self._usage)
                # Stored at once: from here on the input of the call is known even if this process
                # dies.
                self._attempt.started(self._model, self._message_id, self.request_id[:80], counts)
            case "content_block_start":
                block = part(event, "content_block")
                if block.get("type") == "fallback":
                    # Another model answers from here on, and is the one to be priced.
                    self._model = _text(part(block, "to"), "model") or self._model
                elif block.get("type") == "text":
                    self._append(block.get("text"))
            case "content_block_delta":
                delta = part(event, "delta")
                if delta.get("type") == "text_delta":
                    self._append(delta.get("text"))
            case "message_delta":
                # A field that is null leaves the earlier number as it is.
                later = part(event, "usage")
                known = {name: value for name, value in later.items() if value is not None}
                self._usage = {**self._usage, **known}
                reason = _text(part(event, "delta"), "stop_reason", 40)
                self._stop_reason = reason or self._stop_reason
            case "message_stop":
                # An end without a beginning is not a complete stream.
                self._ended = self._started

    def _append(self, text: object) -> None:
        if isinstance(text, str) and text:
            if self._first_token_ms is None:
                self._first_token_ms = self._elapsed_ms()
            self.text += text

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._begun) * 1000)

    def answer(self) -> Answer:
        """Returns the answer after the end of the stream; raises Retry, Refused or EmptyAnswer."""
        reason = self._stop_reason or ""
        if self._ended and reason == "refusal":
            raise Refused("The model refused to answer this.")
        if not self._ended or reason not in _COMPLETE + _CUT:
            raise broken()
        if not self.text.strip():
            raise EmptyAnswer("The model gave an empty answer.")
        return Answer(self.text, reason, self._model, complete=reason in _COMPLETE)

    def closing(self) -> Close:
        """Returns how the attempt ended: final if the stream was complete, else bounded."""
        passes = passes_of(self._usage, self._model)
        counts = sum((extra.counts for extra in passes), counts_of(self._usage))
        # A broken stream has been billed for more than it showed, so its output is bounded.
        exact = self._ended or not self._may_have_served
        lower, upper = counts.output, counts.output
        if not exact:
            # A stream that has begun has served at least one token of output.
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
