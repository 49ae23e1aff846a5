"""A draft in a real studio: the worker that takes its turns is killed, and nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests.endtoend.studio_process import Studio, eventually, running
from tests.standins.anthropic import AnthropicStandIn
from tests.stories.drafting.draft_factory import RoomStandIn

PATIENCE = 120.0
ORDER = {"keywords": ["ferry"], "words": 80}


def kill_worker(studio: Studio) -> None:
    for pid, line in studio.children().items():
        if "host,drafting" in line:
            os.kill(pid, signal.SIGKILL)


def asked(api: AnthropicStandIn, number: int) -> bool:
    """Whether the model is at its answer to this question."""
    return len(api.served) >= number


def test_a_worker_killed_in_the_middle_of_a_turn_loses_nothing(tmp_path: Path) -> None:
    with RoomStandIn() as api:
        more = {"ANTHROPIC_API_KEY": "key-of-the-stand-in", "ANTHROPIC_BASE_URL": api.url}
        with running(tmp_path / "var", **more) as studio:
            session = studio.create("Ferries", pace=0, model="claude-haiku-4-5")
            told = {"title": "The ferry runs again", "text": "The ferry runs again since Monday."}
            assert studio.post(f"/sessions/{session}/stories", told).status == 201
            api.pause = 0.2
            made = studio.post(f"/sessions/{session}/drafts", ORDER)
            assert made.status == 201
            eventually("the fourth turn", lambda: asked(api, 4), PATIENCE)
            kill_worker(studio)
            api.pause = 0.0
            path = f"/drafts/{made.body['id']}"
            draft: dict[str, Any] = eventually(
                "the end", lambda: _ended(studio.get(path)), PATIENCE
            )
            assert (draft["state"], draft["turns"], draft["version"]) == ("finished", 8, 2)
            numbers = [each["number"] for each in studio.get(f"{path}/versions")["items"]]
            assert numbers == [2, 1]
            turns = [each["turn"] for each in studio.get(f"{path}/messages")["items"]]
            assert turns == list(range(8, 0, -1))
            usage = studio.items(session, "usage")
            assert [each["state"] for each in usage].count("final") == len(api.finished)
            studio.audit()


def _ended(draft: dict[str, Any]) -> dict[str, Any] | None:
    return draft if draft["state"] in ("finished", "failed") else None
