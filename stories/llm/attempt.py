"""One attempt while it runs: it can be closed with true bounds at any time."""

from __future__ import annotations

import time

from stories.llm.errors import EmptyAnswer, Refused, broken
from stories.llm.reported_usage import CONTRADICTS, MISSING, ReportedUsage, identifier
from stories.llm.types import Answer, Ask, JsonObject, part
from stories.usage.types import Attempt, Close, Counts

_COMPLETE = ("end_turn", "stop_sequence")
_CUT = ("max_tokens", "model_context_window_exceeded")


class Exchange:
    """Takes the events of a stream; ``answer`` returns its text, ``closing`` its counts."""

    def __init__(self, ask: Ask, attempt: Attempt) -> None:
        self._ask, self._attempt = ask, attempt
        self._begun = time.monotonic()
        self._may_have_served = False
        self._started = self._ended = False
        self._usage = ReportedUsage()
        self._blocks = 0
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
                if self._started or self._blocks:
                    # A second answer in one stream: the numbers of the first are not in its own.
                    self._usage.doubts.add(CONTRADICTS)
                self._started = True
                self._usage.take(message.get("usage"), final=False)
                model = identifier(message.get("model"))
                if not model:
                    self._usage.doubts.add(MISSING)
                self._model = model or self._model
                self._message_id = identifier(message.get("id"))
                # Stored at once: from here on the input of the call is known even if this process
                # dies.
                request_id = identifier(self.request_id)
                counts = self._usage.least()
                self._attempt.started(self._model, self._message_id, request_id, counts)
            case "content_block_start":
                # A block that is missing may have been the one that names another model.
                if isinstance(index := event.get("index"), int) and index != self._blocks:
                    self._usage.doubts.add(MISSING)
                self._blocks += 1
                block = part(event, "content_block")
                if block.get("type") == "fallback":
                    # Another model answers from here on, and is the one to be priced.
                    self._model = identifier(part(block, "to").get("model")) or self._model
                elif block.get("type") == "text":
                    self._append(block.get("text"))
            case "content_block_delta":
                delta = part(event, "delta")
                if delta.get("type") == "text_delta":
                    self._append(delta.get("text"))
            case "message_delta":
                self._usage.take(event.get("usage"), final=True)
                reason = identifier(part(event, "delta").get("stop_reason"), 40)
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
        report = self._usage
        beside, within = report.passes(self._model)
        if self._ended:
            report.check_complete()
        # A broken stream has been billed for more than it showed, so its output is bounded.
        exact = not self._may_have_served or (self._ended and not report.doubts)
        counts = sum((extra.counts for extra in beside), report.least())
        most = sum((extra.counts for extra in beside), report.most())
        lower, upper, input_upper = counts.output, counts.output, 0
        if not exact:
            # A stream that has begun has served at least one token of output.
            lower = max(counts.output, int(self._started))
            upper = max(most.output, self._ask.max_tokens) + report.unknown_tokens
            # Also where its input is known: an answer may still raise it at its end.
            if self._ask.cached:
                most = most.largest(Counts(cache_write_5m=self._ask.input_upper()))
            else:
                input_upper = self._ask.input_upper()
        return Close(
            state="final" if exact else "bounded",
            counts=counts + Counts(output=lower - counts.output),
            model=self._model,
            output_lower=lower,
            output_upper=upper,
            input_upper=input_upper,
            request_id=identifier(self.request_id),
            message_id=self._message_id,
            stop_reason=self._stop_reason,
            service_tier=report.service_tier or None,
            first_token_ms=self._first_token_ms,
            duration_ms=self._elapsed_ms(),
            error=self.error,
            passes=beside + within,
            most=most,
            inference_geo=report.inference_geo,
            doubt=", ".join(sorted(report.doubts)) if not exact else "",
            unpriced=tuple(sorted(report.unpriced)),
        )
