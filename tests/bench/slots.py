"""Stories of 20 sessions at a model that takes 3 seconds, beside those that the model allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.figure import Figure
from tests.endtoend.studio_process import Studio, eventually, running
from tests.standins.anthropic import AnthropicStandIn

SESSIONS, MODEL_SECONDS, SECONDS = 20, 3.0, 45.0


class SlowModel(AnthropicStandIn):
    def send(self, *arguments: Any) -> None:
        self.stopping.wait(MODEL_SECONDS)
        super().send(*arguments)


def measure(folder: Path) -> Iterator[Figure]:
    with SlowModel() as api:
        keys = {"ANTHROPIC_API_KEY": "sk-for-the-stand-in", "ANTHROPIC_BASE_URL": api.url}
        slots = {"SMNB_HOST_SLOTS": str(SESSIONS)}
        with running(folder / "var", **keys, **slots) as studio:
            recording = {"kind": "recording", "locator": "demo"}
            ids = [studio.create(f"Bench {n}", recording, pace=0) for n in range(SESSIONS)]
            for session in ids:
                studio.command(session, "start")
            # Each process of the workers has loaded what a call needs.
            eventually("all sessions narrate", lambda: min(_stories(studio, ids)) >= 2)
            before, begun = sum(_stories(studio, ids)), time.monotonic()
            time.sleep(SECONDS)
            written = sum(_stories(studio, ids)) - before
            allowed = SESSIONS * (time.monotonic() - begun) / MODEL_SECONDS
    name = f"{SESSIONS} sessions at a {MODEL_SECONDS:g} s model: stories it allows ({allowed:.0f})"
    yield Figure(f"{name}, times those written ({written})", allowed / written, 1 / 0.9, "x")


def _stories(studio: Studio, ids: list[str]) -> list[int]:
    return [studio.stats(session)["story_count"] for session in ids]
