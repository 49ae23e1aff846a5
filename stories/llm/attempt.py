"""One attempt while it runs, and the usage that the API reports for it.

An attempt can be closed with true bounds at any time.

The numbers of ``message_delta`` are cumulative: each that is not null replaces that of
``message_start``; none is ever added. Only ``message_start`` splits cache writes by lifetime; what a
later total has beyond it was written for five minutes, the default.

``usage.iterations`` lists every sampling pass. Passes of type ``message`` and ``fallback_message``
make up the top-level numbers. All others (``advisor_message``, ``compaction``, future types) were
served, and are billed, in addition.

A report is exact only without a doubt. A number that is no count, a count that falls, a missing
field and a counter that is not known here each make it bounded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from typing_extensions import TypeIs

from stories.llm.errors import EmptyAnswer, Refused, broken
from stories.llm.types import Answer, Ask, JsonObject, part
from stories.usage.types import MOST_TOKENS, Attempt, Close, Counts, Pass

MOST_REQUESTS = 1_000

MISSING = "usage_missing"
IMPLAUSIBLE = "usage_implausible"
CONTRADICTS = "usage_contradicts"
UNKNOWN = "usage_unknown_field"

_COMPLETE = ("end_turn", "stop_sequence")
_CUT = ("max_tokens", "model_context_window_exceeded")

_IN_TOP_LEVEL = ("message", "fallback_message")
_INPUT, _OUTPUT = "input_tokens", "output_tokens"
_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
_HOUR, _FIVE_MINUTES = "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"
_SEARCHES = "web_search_requests"
_TOTALS = (_INPUT, _OUTPUT, _READ, _WRITTEN)
# Known, and no amount of their own: ``output_tokens_details`` divides the output tokens, and
# fetching a page costs its tokens alone.
_WITHOUT_AMOUNT = frozenset(
    {"type", "model", "service_tier", "inference_geo", "speed", "output_tokens_details"}
)
_KNOWN: dict[str, frozenset[str]] = {
    "": frozenset({*_TOTALS, "iterations"}) | _WITHOUT_AMOUNT,
    "cache_creation": frozenset({_HOUR, _FIVE_MINUTES}),
    "server_tool_use": frozenset({_SEARCHES, "web_fetch_requests"}),
}


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


@dataclass(slots=True)
class _Counter:
    """One counter of an answer: the least, the most and the latest number reported for it."""

    latest: int | None = None
    least: int = 0
    most: int = 0

    def take(self, number: int) -> bool:
        """Takes the next number; False when it is smaller than an earlier one."""
        falls = self.latest is not None and number < self.most
        self.least = number if self.latest is None else min(self.least, number)
        self.most = max(self.most, number)
        self.latest = number
        return not falls


@dataclass(slots=True)
class ReportedUsage:
    """The usage of one answer, as the events of its stream report it, one after the other.

    ``unpriced`` names what was counted and has no known price. ``unknown_tokens`` are tokens of a
    kind that is not known here.
    """

    doubts: set[str] = field(default_factory=set)
    unpriced: set[str] = field(default_factory=set)
    unknown_tokens: int = 0
    service_tier: str = ""
    inference_geo: str = ""
    _counters: dict[str, _Counter] = field(default_factory=dict)
    _iterations: object = None
    _final_output: bool = False

    def take(self, usage: object, *, final: bool) -> None:
        """Takes one usage object; ``final`` ones come at the end of an answer."""
        if not isinstance(usage, dict):
            self.doubts.add(MISSING)
            return
        for name in _TOTALS:
            self._count(usage, name, MOST_TOKENS)
        for name in (_HOUR, _FIVE_MINUTES):
            self._count(part(usage, "cache_creation"), name, MOST_TOKENS)
        self._count(part(usage, "server_tool_use"), _SEARCHES, MOST_REQUESTS)
        self._find_unknown(usage)
        self.service_tier = _modifier(usage, "service_tier") or self.service_tier
        self.inference_geo = _modifier(usage, "inference_geo") or self.inference_geo
        # The fast mode counts as a tier, because it has prices of its own.
        if (speed := _modifier(usage, "speed")) not in ("", "standard"):
            self.service_tier = speed
        if usage.get("iterations") is not None:
            self._iterations = usage["iterations"]
        self._final_output |= final and _is_count(usage.get(_OUTPUT), MOST_TOKENS)

    def _count(self, usage: JsonObject, name: str, most: int) -> None:
        value = usage.get(name)
        if value is None:
            return
        if not _is_count(value, most):
            self.doubts.add(IMPLAUSIBLE)
            # What was asked limits the tokens of an answer, and not its searches.
            if name == _SEARCHES:
                self.unpriced.add(name)
        elif not self._counters.setdefault(name, _Counter()).take(value):
            self.doubts.add(CONTRADICTS)

    def _find_unknown(self, usage: JsonObject, where: str = "") -> None:
        """Notes every counter that is not known here, and may have a price."""
        for name, value in usage.items():
            if name in _KNOWN and name:
                if isinstance(value, dict):
                    self._find_unknown(value, name)
                elif value is not None:
                    self.doubts.add(IMPLAUSIBLE)
            elif name not in _KNOWN[where]:
                for label, number in _numbers(name, value):
                    self.doubts.add(UNKNOWN)
                    if label.endswith("_tokens") and _is_count(number, MOST_TOKENS):
                        self.unknown_tokens += number
                    else:
                        self.unpriced.add(identifier(label, 40))

    def check_complete(self) -> None:
        """Notes what a complete answer must have reported, and has not."""
        known = self.least()
        prompt = known.input + known.cache_read + known.cache_write_5m + known.cache_write_1h
        if _INPUT not in self._counters or not self._final_output or not prompt or not known.output:
            self.doubts.add(MISSING)

    def least(self) -> Counts:
        """Returns the top-level counts; the smallest ones where the reports contradict each other."""
        doubtful = CONTRADICTS in self.doubts
        return self._counts({n: c.least if doubtful else c.latest for n, c in self._items()})

    def most(self) -> Counts:
        """Returns the largest top-level counts that were reported."""
        return self._counts({name: counter.most for name, counter in self._items()})

    def _items(self) -> Iterator[tuple[str, _Counter]]:
        return iter(self._counters.items())

    @staticmethod
    def _counts(numbers: dict[str, int | None]) -> Counts:
        def number(name: str) -> int:
            return numbers.get(name) or 0

        hour = number(_HOUR)
        written = number(_WRITTEN) if _WRITTEN in numbers else hour + number(_FIVE_MINUTES)
        # The total wins over the split, which an old API or a proxy may leave out.
        hour = min(hour, written)
        return Counts(
            input=number(_INPUT),
            output=number(_OUTPUT),
            cache_read=number(_READ),
            cache_write_5m=written - hour,
            cache_write_1h=hour,
            web_searches=number(_SEARCHES),
        )

    def passes(self, model: str) -> tuple[tuple[Pass, ...], tuple[Pass, ...]]:
        """Returns the passes beside the top-level counts, and those within at another model."""
        beside: list[Pass] = []
        within: list[Pass] = []
        if self._iterations is not None and not isinstance(self._iterations, list):
            self.doubts.add(IMPLAUSIBLE)
        for entry in self._iterations if isinstance(self._iterations, list) else ():
            one = ReportedUsage()
            one.take(entry, final=True)
            self.doubts |= one.doubts
            self.unpriced |= one.unpriced
            self.unknown_tokens += one.unknown_tokens
            entry_model = entry.get("model") if isinstance(entry, dict) else None
            extra = Pass(identifier(entry_model) or model, one.least())
            kind = entry.get("type") if isinstance(entry, dict) else None
            (within if kind in _IN_TOP_LEVEL else beside).append(extra)
        # Passes that were left out, or numbers that were changed on the way, show here.
        summed = sum((one.counts for one in within), Counts())
        if within and replace(summed, web_searches=0) != replace(self.least(), web_searches=0):
            self.doubts.add(CONTRADICTS)
            within = []
        return tuple(beside), tuple(one for one in within if one.model != model)


def _is_count(value: object, most: int) -> TypeIs[int]:
    # bool is a subclass of int; a float or a text is no count, whatever its value.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _modifier(usage: JsonObject, name: str) -> str:
    """Returns a modifier of the price as text; one that is no text has no known price."""
    value = usage.get(name)
    return "" if value is None else identifier(value)[:20] or "unreadable"


def _numbers(label: str, value: object) -> Iterator[tuple[str, object]]:
    """Yields every number under an unknown field that is not zero, with its name."""
    # A list and not a recursion: the depth of the value is chosen outside.
    waiting = [(label, value)]
    while waiting:
        name, one = waiting.pop()
        if isinstance(one, dict):
            waiting += [(str(key), inner) for key, inner in one.items()]
        elif isinstance(one, list):
            waiting += [(name, inner) for inner in one]
        elif isinstance(one, int | float) and one:
            yield name, one


def identifier(value: object, longest: int = 80) -> str:
    """Returns a name or id of the API as it can be stored and shown; empty when it is no text."""
    if not isinstance(value, str):
        return ""
    # A null character or half a surrogate pair cannot be stored.
    return "".join(char for char in value[:longest] if char.isprintable())
