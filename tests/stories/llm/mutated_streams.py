"""Seeded mutations of recorded streams, with the truth about what was served and what it cost.

A mutation never turns a report into another valid one: that would be another truth. So an optional
field is not removed, and a number is not replaced by one that could be right.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from stories.llm import Ask
from stories.usage import pricing
from stories.usage.types import Counts

Event = dict[str, Any]
SENSELESS: tuple[object, ...] = (
    10**15, 2**31, 2**63, 10**300, -1, -(10**15), 1.5, 12.0, float("nan"), float("inf"), "12", "",
    True, [], [7], {}, {"tokens": 3},
)  # fmt: skip
TIERS = ("priority", "flex", "batch", "batch", 7, ["standard"])
REGIONS = ("us", "eu", "mars", 1)


@dataclass
class Stream:
    """A stream with its truth; ``extra`` are tokens of an unknown kind, ``priced`` is False when
    a part of the answer has no known price."""

    name: str
    events: list[Event]
    counts: Counts
    cost: int
    model: str
    extra: int = 0
    priced: bool = True
    model_is_known: bool = True

    def ask(self) -> Ask:
        """Returns the question: so large that the whole answer fits into its upper bound."""
        prompt = self.counts.input + self.counts.cache_read
        prompt += self.counts.cache_write_5m + self.counts.cache_write_1h
        cached = prompt != self.counts.input
        # Twenty times, because an advisor may be much dearer than the model that was asked.
        text = "p" * (20 * prompt)
        most = 20 * self.counts.output
        return Ask(model=self.model, system="s", prompt=text, max_tokens=most, cached=cached)

    def body(self) -> bytes:
        frames = (f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in self.events)
        return "".join(frames).encode()


def read(path: Path, counts: Counts, cost: int) -> Stream:
    lines = path.read_text().splitlines()
    events = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    return Stream(path.stem, events, counts, cost, events[0]["message"]["model"])


def _usages(stream: Stream) -> list[tuple[Event, Event]]:
    """Returns the events that hold a usage, each with the object that holds it."""
    pairs = [(e, e["message"] if e["type"] == "message_start" else e) for e in stream.events]
    return [(event, holder) for event, holder in pairs if isinstance(holder.get("usage"), dict)]


def cut(stream: Stream, random: Random) -> None:
    del stream.events[random.randrange(len(stream.events)) :]


def drop(stream: Stream, random: Random) -> None:
    gone = stream.events.pop(random.randrange(len(stream.events)))
    stream.model_is_known &= gone.get("content_block", {}).get("type") != "fallback"


def duplicate(stream: Stream, random: Random) -> None:
    event = copy.deepcopy(random.choice(stream.events))
    stream.events.insert(random.randrange(len(stream.events) + 1), event)


def swap(stream: Stream, random: Random) -> None:
    one, two = (random.randrange(len(stream.events)) for _ in range(2))
    stream.events[one], stream.events[two] = stream.events[two], stream.events[one]


def senseless(stream: Stream, random: Random) -> None:
    """Replaces one number of a usage, at any depth, by something that is no count."""
    places: list[tuple[Event, str]] = []

    def look(holder: object) -> None:
        if isinstance(holder, dict):
            places.extend((holder, k) for k, v in holder.items() if isinstance(v, int))
            for name, value in holder.items():
                # The parts of the output tokens add nothing to the bill.
                if name != "output_tokens_details":
                    look(value)
        elif isinstance(holder, list):
            for value in holder:
                look(value)

    for _, holder in _usages(stream):
        look(holder["usage"])
    if places:
        holder, name = random.choice(places)
        if name != "web_fetch_requests":
            holder[name] = random.choice(SENSELESS)


def without_usage(stream: Stream, random: Random) -> None:
    for _, holder in random.sample(_usages(stream), k=min(1, len(_usages(stream)))):
        holder["usage"] = random.choice((None, [], "none", 3))


def nothing(stream: Stream, random: Random) -> None:
    for _, holder in _usages(stream):
        holder["usage"]["output_tokens"] = random.choice((0, None))


def falling(stream: Stream, random: Random) -> None:
    """The end reports less than the start did."""
    for event, holder in _usages(stream):
        names = ("input_tokens", "output_tokens", "cache_read_input_tokens")
        if event["type"] == "message_start":
            for name in random.sample(names, 1):
                if any(
                    isinstance(later["usage"].get(name), int)
                    for other, later in _usages(stream)
                    if other["type"] == "message_delta"
                ):
                    holder["usage"][name] = 5_000_000 + random.randrange(1000)


def unknown_tokens(stream: Stream, random: Random) -> None:
    if pairs := _usages(stream):
        number = random.randrange(1, 5000)
        _, holder = random.choice(pairs)
        stream.extra += number
        name = random.choice(("audio_output_tokens", "vision_tokens"))
        # Added to what an earlier mutation has put there.
        holder["usage"].setdefault("modalities", []).append({name: number})


def unknown_requests(stream: Stream, random: Random) -> None:
    if pairs := _usages(stream):
        _, holder = random.choice(pairs)
        tools = holder["usage"].setdefault("server_tool_use", {})
        if isinstance(tools, dict):
            tools[random.choice(("code_execution_requests", "drone_flights"))] = random.randrange(
                1, 9
            )
            stream.priced = False


def tier(stream: Stream, random: Random) -> None:
    if pairs := _usages(stream):
        value = random.choice(TIERS)
        if stream.counts.web_searches:
            value = "priority"
        for _, holder in pairs:
            holder["usage"].pop("service_tier", None)
        random.choice(pairs)[1]["usage"]["service_tier"] = value
        if value == "batch":
            stream.cost //= 2
        else:
            stream.priced = False


def fast(stream: Stream, random: Random) -> None:
    if pairs := _usages(stream):
        random.choice(pairs)[1]["usage"]["speed"] = random.choice(("fast", "ludicrous"))
        stream.priced = False


def region(stream: Stream, random: Random) -> None:
    if pairs := _usages(stream):
        value = random.choice(REGIONS)
        for _, holder in pairs:
            holder["usage"].pop("inference_geo", None)
        random.choice(pairs)[1]["usage"]["inference_geo"] = value
        # The searches of an answer have one price everywhere.
        newer = any(name in stream.model for name in ("-4-6", "-4-7", "-4-8", "opus-5", "sonnet-5"))
        if stream.counts.web_searches:
            random.choice(pairs)[1]["usage"]["inference_geo"] = "eu"
            stream.priced = False
        elif value == "us" and newer:
            stream.cost = (stream.cost * 110 + 50) // 100
        else:
            stream.priced = False


def second_answer(stream: Stream, random: Random) -> None:
    """Another answer follows in the same stream."""
    first = copy.deepcopy(stream.events)
    stream.events += first
    stream.counts = stream.counts + stream.counts
    stream.cost *= 2


def pass_left_out(stream: Stream, random: Random) -> None:
    for _, holder in _usages(stream):
        entries = holder["usage"].get("iterations")
        if isinstance(entries, list):
            own = [entry for entry in entries if entry.get("type") == "message"]
            if len(own) > 1:
                entries.remove(random.choice(own))


# Damage on the way; several at once.
DAMAGES: tuple[Callable[[Stream, Random], None], ...] = (
    cut, drop, duplicate, swap, senseless, without_usage, nothing, pass_left_out,
)  # fmt: skip
# Other answers of a server; one at a time, because damage could take away what tells them.
ANSWERS: tuple[Callable[[Stream, Random], None], ...] = (
    falling, unknown_tokens, unknown_requests, tier, fast, region, second_answer,
)  # fmt: skip


def mutated(stream: Stream, random: Random) -> tuple[Stream, list[str]]:
    """Returns a copy with one to three mutations, and their names."""
    copied = replace(stream, events=copy.deepcopy(stream.events))
    damages = random.choices(DAMAGES, k=random.choice((1, 1, 2, 3)))
    chosen = damages if random.random() < 0.7 else [random.choice(ANSWERS)]
    for mutation in chosen:
        if copied.events:
            mutation(copied, random)
    return copied, [mutation.__name__ for mutation in chosen]


def dearest(model: str) -> int:
    """Returns the price of the dearest token of the model."""
    return max(pricing.price(model, counts).cost for counts in (Counts(output=1), Counts(1)))
