"""Usage totals against what the stand-in Anthropic server counted as served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure
from tests.endtoend.studio_process import running
from tests.standins.anthropic import AnthropicStandIn

STORIES = 25


def measure(folder: Path) -> Iterator[Figure]:
    with AnthropicStandIn() as api:
        keys = {"ANTHROPIC_API_KEY": "sk-for-the-stand-in", "ANTHROPIC_BASE_URL": api.url}
        with running(folder / "var", **keys) as studio:
            session = studio.create("Ledger", {"kind": "recording", "locator": "demo"}, pace=0)
            studio.command(session, "start")
            studio.wait_stories(session, STORIES)
            studio.command(session, "stop")
            studio.wait_state(session, "idle")
            stats = studio.stats(session)
        served = api.total
    apart = abs(stats["input_tokens"] - served.input) + abs(stats["output_tokens"] - served.output)
    yield Figure("tokens booked apart from tokens served", apart, 0, "tokens")
