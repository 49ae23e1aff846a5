"""A draft and a chat in a real studio: their worker is killed, and nothing is lost."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from broadcast.chat import model_answerer
from tests.broadcast.chat.questions import spoken
from tests.endtoend.studio_process import Studio, eventually
from tests.endtoend.test_chat import answer, answers, say
from tests.standins.anthropic import AnthropicStandIn
from tests.stories.drafting.draft_factory import played

pytestmark = pytest.mark.slow

ORDER = {"keywords": ["ferry"], "words": 80}


def kill_worker(studio: Studio) -> None:
    for pid, line in studio.children().items():
        if "host,drafting" in line:
            os.kill(pid, signal.SIGKILL)


def drafted_or_said(asked: dict[str, Any]) -> str:
    if asked["system"] == model_answerer.SYSTEM:
        return spoken("The ferry is next, and after it comes the bridge. " * 6)
    return played(asked)


def test_a_worker_killed_in_the_middle_of_a_turn_and_of_an_answer_loses_nothing(
    newsroom: Studio, api: AnthropicStandIn
) -> None:
    ferries = newsroom.create("Ferries", pace=0, model="claude-haiku-4-5")
    told = {"title": "The ferry runs again", "text": "The ferry runs again since Monday."}
    assert newsroom.post(f"/sessions/{ferries}/stories", told).status == 201
    talking = newsroom.create("Talking", pace=0, model="claude-haiku-4-5")
    api.compose, api.pause = drafted_or_said, 0.2
    finished, open_before = len(api.finished), unfinished(api)
    made = newsroom.post(f"/sessions/{ferries}/drafts", ORDER)
    assert made.status == 201
    eventually("three turns", lambda: len(api.finished) >= finished + 3)
    questions = [say(newsroom, talking, text) for text in ("What is next?", "And what then?")]
    eventually("a turn and an answer are written", lambda: unfinished(api) == open_before + 2)
    kill_worker(newsroom)
    api.pause = 0.0
    path = f"/drafts/{made.body['id']}"
    draft: dict[str, Any] = eventually("the end", lambda: ended(newsroom.get(path)))
    check_answers(newsroom, talking, questions)
    assert (draft["state"], draft["turns"], draft["version"]) == ("finished", 8, 2)
    numbers = [each["number"] for each in newsroom.get(f"{path}/versions")["items"]]
    assert numbers == [2, 1]
    turns = [each["turn"] for each in newsroom.get(f"{path}/messages")["items"]]
    assert turns == list(range(8, 0, -1))
    usage = [*newsroom.items(ferries, "usage"), *newsroom.items(talking, "usage")]
    calls = [each["state"] for each in usage].count("final")
    assert calls == len(api.finished) - finished


def unfinished(api: AnthropicStandIn) -> int:
    return len(api.served) - len(api.finished)


def ended(draft: dict[str, Any]) -> dict[str, Any] | None:
    return draft if draft["state"] in ("finished", "failed") else None


def check_answers(newsroom: Studio, session: str, questions: list[int]) -> None:
    """Each question is answered once, and the answer that was cut off has bounds."""
    for question in questions:
        said = answer(newsroom, session, question)
        assert (said["code"], said["text"][:17]) == ("", "The ferry is next")
    assert [len(answers(newsroom, session, each)) for each in questions] == [1, 1]
    usage = newsroom.items(session, "usage")
    assert [each["state"] for each in usage] == ["final", "final", "bounded"]
    links = newsroom.items(session, "transitions")
    assert [each["source"] for each in links] == ["chat", "chat"]
    assert links[0]["old"] == links[1]["new"]
