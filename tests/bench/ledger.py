"""Usage totals against what the stand-in server served, and the first call of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tests.bench.figure import Figure
from tests.endtoend.studio_process import running
from tests.standins.anthropic import AnthropicStandIn

STORIES, CALLS = 25, 10
# Milliseconds to the first token of the first calls. The process of the first one has just begun.
TIMES = f"""
from stories.models import TokenUsage
calls = TokenUsage.objects.filter(operation="narrate").exclude(first_token_ms=None).order_by("pk")
print(*calls.values_list("first_token_ms", flat=True)[:{CALLS}])
"""


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
            first, *others = map(int, studio.manage("shell", "-c", TIMES).stdout.split()[-CALLS:])
        served = api.total
    apart = abs(stats["input_tokens"] - served.input) + abs(stats["output_tokens"] - served.output)
    yield Figure("tokens booked apart from tokens served", apart, 0, "tokens")
    name = f"first token of the first call ({first} ms) against the next {len(others)}"
    yield Figure(name, first / max(1, median(others)), 1.5, "times")
