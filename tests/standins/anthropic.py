"""A stand-in for Anthropic's API: real HTTP and SSE, composed or recorded answers, every fault.

It remembers what it served (``served``), so that a ledger can be compared to the token. What it
answers with is a mode, by name: one per request from ``script``, then ``mode`` for ever. Modes are
``compose`` (an answer made from the prompt), those of ``FAULTS`` and ``ERRORS``, and a ``Path`` to
a recorded ``.sse`` stream or an error body (``.json``, with its ``.meta.json`` beside it).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from stories.usage.types import Counts
from tests.standins.anthropic_compose import composed, text_of, tokens_of
from tests.standins.anthropic_events import Plan, after, deltas, frame, opening, whole
from tests.standins.server import Request, StandIn

_SSE = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}

_BIRTHDAY = "2026-01-01T00:00:00Z"
_RATE = "This request would exceed the rate limit of your organization."
_SPEND = "Your workspace has had enough for this month."
_CREDIT = "Your credit balance is too low to access the API. Purchase credits."
_LONG = "prompt is too long: 212000 tokens > 200000 maximum"

# What is shorter is not cached; 1,024 tokens for models that are not named here.
LEAST_CACHED = {"claude-haiku-4-5": 4096}

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


class AnthropicStandIn(StandIn):
    """``pause`` seconds lie between two pieces; ``cut_after`` pieces the midway faults strike."""

    def __init__(self, mode: str | Path = "compose") -> None:
        super().__init__()
        self.mode = mode
        self.script: list[str | Path] = []
        self.pause = 0.0
        self.cut_after = 2
        self.models = ["claude-one", "claude-two", "claude-three"]
        self.text: str | None = None  # what to answer instead of composing
        self.compose: Callable[[dict[str, Any]], str] = composed
        self.served: list[Served] = []
        self.abandoned = threading.Event()  # a client hung up in the middle of an answer
        self._lock = threading.Lock()
        self._count = 0
        self._cached: dict[tuple[str, str], float] = {}  # until when a beginning is kept

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
        if request.path.startswith("/v1/models"):
            self._list(request, request_id, mode)
        elif not request.path.startswith("/v1/messages"):
            self._error(request, request_id, ERRORS["unknown_model"])
        elif isinstance(mode, Path):
            self._replay(request, request_id, mode)
        elif mode in ERRORS:
            self._error(request, request_id, ERRORS[mode])
        else:
            asked = json.loads(request.recorded.body)
            FAULTS[mode](self, request, self._plan(request_id, asked))

    def _list(self, request: BaseHTTPRequestHandler, request_id: str, mode: str | Path) -> None:
        """The models there are; of the modes, the errors and ``silent`` and ``prose`` apply."""
        if isinstance(mode, str) and mode in ERRORS:
            self._error(request, request_id, ERRORS[mode])
        elif mode == "silent":
            self.stopping.wait()
        elif mode == "prose":
            self.reply(request, 200, b"<html>Hello</html>", {"Content-Type": "text/html"})
        else:
            found = [
                {"type": "model", "id": name, "display_name": name, "created_at": _BIRTHDAY}
                for name in self.models
            ]
            page = {"data": found, "has_more": False, "first_id": None, "last_id": None}
            self._json(request, 200, page, {"request-id": request_id})

    def _plan(self, request_id: str, asked: dict[str, Any]) -> Plan:
        text = self.text if self.text is not None else self.compose(asked)
        read, written = self._from_cache(asked["model"], asked.get("system", ""))
        fresh = _input_tokens(asked) - read - written
        return Plan(
            request_id,
            asked["model"],
            fresh,
            text,
            int(asked["max_tokens"]),
            cache_read=read,
            cache_write=written,
        )

    def _from_cache(self, model: str, system: str | list[dict[str, Any]]) -> tuple[int, int]:
        """How many tokens of the system text come from the cache, and how many go into it."""
        blocks = [] if isinstance(system, str) else system
        while blocks and "cache_control" not in blocks[-1]:
            blocks = blocks[:-1]
        beginning = text_of(blocks)
        tokens = tokens_of(beginning)
        if tokens < LEAST_CACHED.get(model, 1024):
            return 0, 0
        with self._lock:
            known = self._cached.get((model, beginning), 0) > time.monotonic()
            self._cached[model, beginning] = time.monotonic() + 300
        return (tokens, 0) if known else (0, tokens)

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
        self, request: BaseHTTPRequestHandler, plan: Plan, events: Iterator[dict[str, Any]]
    ) -> None:
        """Stream ``events``, counting each before it leaves; a client that hangs up ends it."""
        with self._lock:
            at = len(self.served)
            self.served.append(Served(plan.request_id, plan.model, Counts(), finished=False))

        def chunks() -> Iterator[bytes]:
            for event in events:
                counts = after(event, plan, self.served[at].counts)
                finished = event["type"] == "message_stop"
                self.served[at] = Served(plan.request_id, plan.model, counts, finished)
                yield frame(event)

        headers = {**_SSE, "request-id": plan.request_id}
        try:
            self.stream(request, 200, chunks(), headers, pause=self.pause)
        except OSError:
            self.abandoned.set()
            raise


def _input_tokens(asked: dict[str, Any]) -> int:
    content = "".join(text_of(message["content"]) for message in asked["messages"])
    return tokens_of(text_of(asked.get("system", "")) + content) + 7


def _half(server: AnthropicStandIn, plan: Plan) -> Iterator[dict[str, Any]]:
    """A stream as far as the midway faults let it come."""
    yield from opening(plan)
    for at, delta in enumerate(deltas(plan.text)):
        if at == server.cut_after:
            return
        yield delta


def _compose(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    """The whole answer; cut with ``max_tokens`` where the question allows no more."""
    if tokens_of(plan.text) > plan.max_tokens:
        plan = replace(plan, text=plan.text[: plan.max_tokens * 4], stop_reason="max_tokens")
    server.send(request, plan, whole(plan))


def _max_tokens(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    text = plan.text[: len(plan.text) * 2 // 3]
    plan = replace(plan, text=text, stop_reason="max_tokens", max_tokens=tokens_of(text) + 3)
    server.send(request, plan, whole(plan))


def _refusal(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    plan = replace(plan, text=plan.text[:8], stop_reason="refusal")
    server.send(request, plan, whole(plan))


def _empty(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    plan = replace(plan, text="")
    server.send(request, plan, whole(plan))


def _prose(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    try:
        text = json.loads(plan.text)["narration"]
    except ValueError:
        text = plan.text
    plan = replace(plan, text=text)
    server.send(request, plan, whole(plan))


def _wrong_enums(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    answer = {**json.loads(plan.text), "tone": "sarcastic", "sentiment": 7, "topics": "none"}
    plan = replace(plan, text=json.dumps(answer))
    server.send(request, plan, whole(plan))


def _clean_eof(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    server.send(request, plan, _half(server, plan))


def _reset(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    server.send(request, plan, _half(server, plan))
    server.reset(request)


def _dies(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    """The connection ends before any answer, though the question was read."""
    server.reset(request)


def _silent(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    """The question was read, and no answer ever begins."""
    server.stopping.wait()
    request.close_connection = True


def _stall(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    server.send(request, plan, _half(server, plan))
    server.stopping.wait()


def _pings(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield from opening(plan)
        while not server.stopping.wait(0.05):
            yield {"type": "ping"}

    server.send(request, plan, events())


def _garbled(server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan) -> None:
    server.send(request, plan, _half(server, plan))
    request.wfile.write(b'event: content_block_delta\ndata: {"type": "content_bl\n\n')


def _overloaded_inside(
    server: AnthropicStandIn, request: BaseHTTPRequestHandler, plan: Plan
) -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield from _half(server, plan)
        error = {"type": "overloaded_error", "message": "Overloaded", "details": None}
        yield {"type": "error", "error": error, "request_id": plan.request_id}

    server.send(request, plan, events())


FAULTS: dict[str, Callable[[AnthropicStandIn, BaseHTTPRequestHandler, Plan], None]] = {
    "compose": _compose,
    "max_tokens": _max_tokens,
    "refusal": _refusal,
    "empty": _empty,
    "prose": _prose,
    "wrong_enums": _wrong_enums,
    "clean_eof": _clean_eof,
    "reset": _reset,
    "dies": _dies,
    "silent": _silent,
    "stall": _stall,
    "pings": _pings,
    "garbled": _garbled,
    "overloaded_inside": _overloaded_inside,
}
