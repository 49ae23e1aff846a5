"""Reads what the API reports as the usage of an answer, and notes what is doubtful about it.

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

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from typing_extensions import TypeIs

from stories.llm.types import JsonObject, part
from stories.usage.types import MOST_TOKENS, Counts, Pass

MOST_REQUESTS = 1_000

MISSING = "usage_missing"
IMPLAUSIBLE = "usage_implausible"
CONTRADICTS = "usage_contradicts"
UNKNOWN = "usage_unknown_field"

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
