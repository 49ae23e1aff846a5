"""A stand-in for Anthropic's API: real HTTP and SSE, composed or recorded answers, every fault.

It remembers what it served (``served``), so that a ledger can be compared to the token. What it
answers with is a mode, by name: one per request from ``script``, then ``mode`` for ever. Modes are
``compose`` (an answer made from the prompt), those of ``FAULTS`` and ``ERRORS``, and a ``Path`` to
a recorded ``.sse`` stream or an error body (``.json``, with its ``.meta.json`` beside it).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from stories.ledger_types import Counts
from tests.standins.anthropic_compose import composed, pieces, tokens_of
from tests.standins.server import Request, StandIn

_SSE = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}

_RATE = "This request would exceed the rate limit of your organization."
_SPEND = "You have reached the spend limit of your workspace."
_CREDIT = "Your credit balance is too low to access the API. Purchase credits."
_LONG = "prompt is too long: 212000 tokens > 200000 maximum"

# mode: status, error type, message, error code, headers
ERRORS: dict[str, tuple[int, str, str, str, dict[str, str]]] = {
    "bad_key": (401, "authentication_error", "invalid x-api-key", "", {}),
    "forbidden": (403, "permission_error", "Your key may not use this resource.", "", {}),
    "payment": (402, "billing_error", "A payment is due.", "", {}),
    "credit": (400, "invalid_request_error", _CREDIT, "", {}),
    "spend_limit": (429, "rate_limit_error", _SPEND, "enforced_spend_limit_reached", {}),
    "unknown_model": (404, "not_found_error", "model: that one", "", {}),
    "too_long": (400, "invalid_request_error", _LONG, "", {}),
    "too_large": (413, "request_too_large", "Request exceeds the maximum size.", "", {}),
    "bad_request": (400, "invalid_request_error", "messages: odd shape", "", {}),
    "throttled": (429, "rate_limit_error", _RATE, "", {"retry-after": "16"}),
    "throttled_for_hours": (429, "rate_limit_error", _RATE, "", {"retry-after": "7200"}),
    "throttled_untimed": (429, "rate_limit_error", _RATE, "", {}),
    "overloaded": (529, "overloaded_error", "Overloaded", "", {}),
    "internal": (500, "api_error", "Internal server error", "", {}),
}


@dataclass(frozen=True, slots=True)
class Served:
    """One answer begun: ``counts`` is what was served of it, ``finished`` whether to its end."""

    request_id: str
    model: str
    counts: Counts
    finished: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """One answer to be streamed."""

    request_id: str
    model: str
    input: int
    text: str
    max_tokens: int
    stop_reason: str = "end_turn"


class AnthropicStandIn(StandIn):
    """``pause`` seconds lie between two pieces; ``cut_after`` pieces the midway faults strike."""

    def __init__(self, mode: str | Path = "compose") -> None:
        super().__init__()
        self.mode = mode
        self.script: list[str | Path] = []
        self.pause = 0.0
        self.cut_after = 2
        self.text: str | None = None  # what to answer instead of composing
        self.served: list[Served] = []
        self._lock = threading.Lock()
        self._count = 0

    @property
    def finished(self) -> list[Served]:
        return [one for one in self.served if one.finished]

    @property
    def total(self) -> Counts:
        """All that was served, finished or not."""
        return sum((one.counts for one in self.served), Counts())

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        assert isinstance(request, Request)
        with self._lock:
            self._count += 1
            request_id = f"req_standin_{self._count:06d}"
            mode = self.script.pop(0) if self.script else self.mode
        if not request.path.startswith("/v1/messages"):
            self._error(request, request_id, ERRORS["unknown_model"])
        elif isinstance(mode, Path):
            self._replay(request, request_id, mode)
        elif mode in ERRORS:
            self._error(request, request_id, ERRORS[mode])
        else:
            asked = json.loads(request.recorded.body)
            FAULTS[mode](self, request, self._plan(request_id, asked))

    def _plan(self, request_id: str, asked: dict[str, Any]) -> _Plan:
        text = self.text if self.text is not None else composed(asked)
        return _Plan(
            request_id, asked["model"], _input_tokens(asked), text, int(asked["max_tokens"])
        )

    def _error(
        self,
        request: BaseHTTPRequestHandler,
        request_id: str,
        error: tuple[int, str, str, str, dict[str, str]],
    ) -> None:
        status, kind, message, code, headers = error
        details = {"error_code": code} if code else None
        body = {
            "type": "error",
            "error": {"type": kind, "message": message, "details": details},
            "request_id": request_id,
        }
        self._json(request, status, body, {"request-id": request_id, **headers})

    def _json(
        self, request: BaseHTTPRequestHandler, status: int, body: object, headers: dict[str, str]
    ) -> None:
        content = {"Content-Type": "application/json", **headers}
        self.reply(request, status, json.dumps(body).encode(), content)

    def _replay(self, request: BaseHTTPRequestHandler, request_id: str, path: Path) -> None:
        """Answer as recorded; a recorded stream is sent as it is and not counted."""
        if path.suffix == ".sse":
            headers = {**_SSE, "request-id": request_id}
            # Some were saved without the blank line that ends their last event.
            self.stream(request, 200, [path.read_bytes().rstrip() + b"\n\n"], headers)
            return
        meta = json.loads(path.with_suffix(".meta.json").read_text())
        recorded = meta["headers"] if isinstance(meta["headers"], dict) else {}
        wanted = ("retry-after", "request-id", "x-should-retry")
        headers = {name: recorded[name] for name in wanted if name in recorded}
        self.reply(request, meta["status"], path.read_bytes(), headers)

    def send(
        self, request: BaseHTTPRequestHandler, plan: _Plan, events: Iterator[dict[str, Any]]
    ) -> None:
        """Stream ``events``, counting each before it leaves; a client that hangs up ends it."""
        with self._lock:
            at = len(self.served)
            self.served.append(Served(plan.request_id, plan.model, Counts(), finished=False))

        def chunks() -> Iterator[bytes]:
            for event in events:
                counts = _after(event, plan, self.served[at].counts)
                finished = event["type"] == "message_stop"
                self.served[at] = Served(plan.request_id, plan.model, counts, finished)
                yield _frame(event)

        headers = {**_SSE, "request-id": plan.request_id}
        self.stream(request, 200, chunks(), headers, pause=self.pause)


def _frame(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _input_tokens(asked: dict[str, Any]) -> int:
    content = "".join(str(message["content"]) for message in asked["messages"])
    return tokens_of(asked.get("system", "") + content) + 7


def _after(event: dict[str, Any], plan: _Plan, counts: Counts) -> Counts:
    """What has been served once ``event`` is out: input at the start, a token per piece after."""
    match event["type"]:
        case "message_start":
            return Counts(input=plan.input, output=1)
        case "content_block_delta":
            so_far = counts.output + tokens_of(event["delta"]["text"])
            return replace(counts, output=min(so_far, plan.max_tokens))
        case "message_delta":
            return replace(counts, output=event["usage"]["output_tokens"])
    return counts


def _opening(plan: _Plan) -> Iterator[dict[str, Any]]:
    usage = {
        "input_tokens": plan.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
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


def _deltas(text: str) -> Iterator[dict[str, Any]]:
    for piece in pieces(text):
        delta = {"type": "text_delta", "text": piece}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}


def _ending(plan: _Plan) -> Iterator[dict[str, Any]]:
    yield {"type": "content_block_stop", "index": 0}
    output = min(tokens_of(plan.text) + 3, plan.max_tokens)
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": plan.stop_reason, "stop_sequence": None},
        "usage": {
            "input_tokens": plan.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output,
        },
    }
    yield {"type": "message_stop"}


def _whole(plan: _Plan) -> Iterator[dict[str, Any]]:
    yield from _opening(plan)
    yield from _deltas(plan.text)
    yield from _ending(plan)


def _half(server: AnthropicStandIn, plan: _Plan) -> Iterator[dict[str, Any]]:
    """A stream as far as the midway faults let it come."""
    yield from _opening(plan)
    for at, delta in enumerate(_deltas(plan.text)):
        if at == server.cut_after:
            return
        yield delta


def _compose(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    """The whole answer; cut with ``max_tokens`` where the question allows no more."""
    if tokens_of(plan.text) > plan.max_tokens:
        plan = replace(plan, text=plan.text[: plan.max_tokens * 4], stop_reason="max_tokens")
    server.send(request, plan, _whole(plan))


def _max_tokens(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    text = plan.text[: len(plan.text) * 2 // 3]
    plan = replace(plan, text=text, stop_reason="max_tokens", max_tokens=tokens_of(text) + 3)
    server.send(request, plan, _whole(plan))


def _refusal(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    plan = replace(plan, text=plan.text[:8], stop_reason="refusal")
    server.send(request, plan, _whole(plan))


def _empty(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    plan = replace(plan, text="")
    server.send(request, plan, _whole(plan))


def _prose(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    try:
        text = json.loads(plan.text)["narration"]
    except ValueError:
        text = plan.text
    plan = replace(plan, text=text)
    server.send(request, plan, _whole(plan))


def _wrong_enums(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    answer = {**json.loads(plan.text), "tone": "sarcastic", "sentiment": 7, "topics": "none"}
    plan = replace(plan, text=json.dumps(answer))
    server.send(request, plan, _whole(plan))


def _clean_eof(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    server.send(request, plan, _half(server, plan))


def _reset(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    server.send(request, plan, _half(server, plan))
    server.reset(request)


def _dies(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    """The connection ends before any answer, though the question was read."""
    server.reset(request)


def _stall(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    server.send(request, plan, _half(server, plan))
    server.stopping.wait()


def _pings(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield from _opening(plan)
        while not server.stopping.wait(0.05):
            yield {"type": "ping"}

    server.send(request, plan, events())


def _garbled(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan) -> None:
    server.send(request, plan, _half(server, plan))
    request.wfile.write(b'event: content_block_delta\ndata: {"type": "content_bl\n\n')


def _overloaded_inside(
    server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: _Plan
) -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield from _half(server, plan)
        error = {"type": "overloaded_error", "message": "Overloaded", "details": None}
        yield {"type": "error", "error": error, "request_id": plan.request_id}

    server.send(request, plan, events())


FAULTS: dict[str, Callable[[AnthropicStandIn, BaseHTTPRequestHandler, _Plan], None]] = {
    "compose": _compose,
    "max_tokens": _max_tokens,
    "refusal": _refusal,
    "empty": _empty,
    "prose": _prose,
    "wrong_enums": _wrong_enums,
    "clean_eof": _clean_eof,
    "reset": _reset,
    "dies": _dies,
    "stall": _stall,
    "pings": _pings,
    "garbled": _garbled,
    "overloaded_inside": _overloaded_inside,
}
