"""The events of a streamed answer, and how much each of them has served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from stories.usage.types import Counts
from tests.standins.anthropic_compose import pieces, tokens_of


@dataclass(frozen=True, slots=True)
class Plan:
    """One answer to be streamed."""

    request_id: str
    model: str
    input: int
    text: str
    max_tokens: int
    stop_reason: str = "end_turn"
    cache_read: int = 0
    cache_write: int = 0

    @property
    def usage(self) -> dict[str, int]:
        """What was read, as the API reports it: ``input_tokens`` is without the cache."""
        return {
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_write,
            "cache_read_input_tokens": self.cache_read,
        }


def frame(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def after(event: dict[str, Any], plan: Plan, counts: Counts) -> Counts:
    """What has been served once ``event`` is out: input at the start, a token per piece after."""
    match event["type"]:
        case "message_start":
            return Counts(
                input=plan.input,
                output=1,
                cache_read=plan.cache_read,
                cache_write_5m=plan.cache_write,
            )
        case "content_block_delta":
            so_far = counts.output + tokens_of(event["delta"]["text"])
            return replace(counts, output=min(so_far, plan.max_tokens))
        case "message_delta":
            return replace(counts, output=event["usage"]["output_tokens"])
    return counts


def opening(plan: Plan) -> Iterator[dict[str, Any]]:
    written = {"ephemeral_5m_input_tokens": plan.cache_write, "ephemeral_1h_input_tokens": 0}
    usage = {
        **plan.usage,
        "cache_creation": written,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message: dict[str, Any] = {
        "id": plan.request_id.replace("req", "msg"),
        "type": "message",
        "role": "assistant",
        "model": plan.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield {"type": "message_start", "message": message}
    block = {"type": "text", "text": ""}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    yield {"type": "ping"}


def deltas(text: str) -> Iterator[dict[str, Any]]:
    for piece in pieces(text):
        delta = {"type": "text_delta", "text": piece}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}


def ending(plan: Plan) -> Iterator[dict[str, Any]]:
    yield {"type": "content_block_stop", "index": 0}
    output = min(tokens_of(plan.text) + 3, plan.max_tokens)
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": plan.stop_reason, "stop_sequence": None},
        "usage": {**plan.usage, "output_tokens": output},
    }
    yield {"type": "message_stop"}


def whole(plan: Plan) -> Iterator[dict[str, Any]]:
    yield from opening(plan)
    yield from deltas(plan.text)
    yield from ending(plan)
