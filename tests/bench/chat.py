"""From the model's first token to the owner's socket, while the producer answers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.bench.figure import Figure, percentile
from tests.endtoend.studio_process import Studio, running
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.anthropic_events import Plan

QUESTIONS = 20
PATIENCE = 60
SAID = "Seven owls are next, then the ferry, and after it whatever the producer finds. "


class Timed(AnthropicStandIn):
    """Notes when the first token of each answer leaves; a token comes every 30 ms."""

    def __init__(self) -> None:
        super().__init__()
        self.pause = 0.03
        self.text = json.dumps({"reply": SAID * 4, "plan": []})
        self.left: list[float] = []

    def send(
        self, request: BaseHTTPRequestHandler, plan: Plan, events: Iterator[dict[str, Any]]
    ) -> None:
        super().send(request, plan, self._noting(events))

    def _noting(self, events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        first = True
        for event in events:
            if first and event["type"] == "content_block_delta":
                first = False
                self.left.append(time.time())
            yield event


def measure(folder: Path) -> Iterator[Figure]:
    with Timed() as model:
        keys = {"ANTHROPIC_API_KEY": "key-of-the-bench", "ANTHROPIC_BASE_URL": model.url}
        with running(folder / "var", **keys) as studio:
            session = studio.create("Bench", model="claude-haiku-4-5")
            lags = asyncio.run(_lags(studio, session, model))
    yield Figure("chat, first token to the page, p50", percentile(lags, 0.5), 150, "ms")
    yield Figure("chat, first token to the page, p95", percentile(lags, 0.95), 150, "ms")


async def _lags(studio: Studio, session: str, model: Timed) -> list[float]:
    address = f"ws://127.0.0.1:{studio.port}/ws/sessions/{session}/?format=json"
    headers = {"Authorization": f"Bearer {studio.token}"}
    lags: list[float] = []
    async with connect(address, additional_headers=headers, compression=None) as socket:
        await _asked(studio, session, socket)  # the first question imports the SDK
        for _ in range(QUESTIONS):
            arrived = await asyncio.wait_for(_asked(studio, session, socket), PATIENCE)
            lags.append(1000 * (arrived - model.left[-1]))
    return lags


async def _asked(studio: Studio, session: str, socket: ClientConnection) -> float:
    """Ask one question and have it answered; when its first words arrived."""
    said = {"text": "What is next?"}
    await asyncio.to_thread(studio.post, f"/sessions/{session}/messages", said)
    first = 0.0
    async for text in socket:
        frame = json.loads(text)
        if frame["type"] == "chat.delta":
            first = first or time.time()
        elif frame["type"] == "message.added" and frame["data"]["message"]["reply_to"]:
            break
    return first
