"""A draft in a real studio: the worker that takes its turns is killed, and nothing is lost."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.endtoend.studio_process import Studio, eventually
from tests.standins.anthropic import AnthropicStandIn
from tests.stories.drafting.draft_factory import played

ORDER = {"keywords": ["ferry"], "words": 80}


def kill_worker(studio: Studio) -> None:
    for pid, line in studio.children().items():
        if "host,drafting" in line:
            os.kill(pid, signal.SIGKILL)


def test_a_worker_killed_in_the_middle_of_a_turn_loses_nothing(
    newsroom: Studio, api: AnthropicStandIn
) -> None:
    session = newsroom.create("Ferries", pace=0, model="claude-haiku-4-5")
    told = {"title": "The ferry runs again", "text": "The ferry runs again since Monday."}
    assert newsroom.post(f"/sessions/{session}/stories", told).status == 201
    api.compose, api.pause = played, 0.2
    served, finished = len(api.served), len(api.finished)
    made = newsroom.post(f"/sessions/{session}/drafts", ORDER)
    assert made.status == 201
    eventually("the fourth turn", lambda: len(api.served) >= served + 4)
    kill_worker(newsroom)
    api.pause = 0.0
    path = f"/drafts/{made.body['id']}"
    draft: dict[str, Any] = eventually("the end", lambda: ended(newsroom.get(path)))
    assert (draft["state"], draft["turns"], draft["version"]) == ("finished", 8, 2)
    numbers = [each["number"] for each in newsroom.get(f"{path}/versions")["items"]]
    assert numbers == [2, 1]
    turns = [each["turn"] for each in newsroom.get(f"{path}/messages")["items"]]
    assert turns == list(range(8, 0, -1))
    usage = newsroom.items(session, "usage")
    calls = [each["state"] for each in usage].count("final")
    assert calls == len(api.finished) - finished


def ended(draft: dict[str, Any]) -> dict[str, Any] | None:
    return draft if draft["state"] in ("finished", "failed") else None
