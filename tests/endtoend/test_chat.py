"""The producer in a real studio: a plan becomes a draft, and a killed worker loses no answer."""

from __future__ import annotations

from typing import Any

from tests.broadcast.chat.questions import spoken
from tests.endtoend.studio_process import Studio, eventually
from tests.endtoend.test_drafts import kill_worker
from tests.standins.anthropic import AnthropicStandIn

STORY = {
    "title": "The ferry runs again",
    "text": "The ferry to Port Elowen runs again since Monday. Its engine was replaced in winter.",
}


def say(studio: Studio, session: str, text: str) -> int:
    said = studio.post(f"/sessions/{session}/messages", {"text": text})
    assert said.status == 201, said
    return int(said.body["id"])


def answers(studio: Studio, session: str, question: int) -> list[dict[str, Any]]:
    said = studio.items(session, "messages")
    return [each for each in said if each["reply_to"] == question and each["role"] == "producer"]


def answer(studio: Studio, session: str, question: int) -> dict[str, Any]:
    found: list[dict[str, Any]] = eventually(
        "the answer", lambda: answers(studio, session, question)
    )
    return found[0]


def test_a_plan_of_the_producer_becomes_a_draft_and_a_story(studio: Studio) -> None:
    session = studio.create("Ferries", pace=0, model="extractive")
    assert studio.post(f"/sessions/{session}/stories", STORY).status == 201
    asked = say(studio, session, "Prepare an explainer of 60 words on ferry")
    planned = answer(studio, session, asked)
    assert [each["command"] for each in planned["plan"]["commands"]] == ["draft.start"]
    assert studio.items(session, "drafts") == []
    apply = f"/sessions/{session}/messages/{planned['id']}/apply"
    assert studio.post(apply).status == 200
    assert studio.post(apply).status == 409
    (draft,) = studio.items(session, "drafts")
    assert (draft["keywords"], draft["words"], draft["style"]) == (["ferry"], 60, "explainer")
    path = f"/drafts/{draft['id']}"
    eventually("the draft is finished", lambda: studio.get(path)["state"] == "finished")
    assert "runs again since Monday" in studio.get(path)["text"]
    assert studio.post(path, {"command": "air"}).status == 200
    told = {story["origin"] for story in studio.items(session, "stories")}
    assert told == {"manual", "draft"}


def test_a_worker_killed_in_the_middle_of_an_answer_loses_nothing(
    newsroom: Studio, api: AnthropicStandIn
) -> None:
    session = newsroom.create("Talking", pace=0, model="claude-haiku-4-5")
    api.text = spoken("The ferry is next, and after it comes the bridge. " * 6)
    api.pause = 0.3
    before = len(api.served)
    first = say(newsroom, session, "What is next?")
    second = say(newsroom, session, "And what comes then?")
    eventually("half of an answer", lambda: len(api.served) == before + 1)
    kill_worker(newsroom)
    api.pause = 0.0
    for question in (first, second):
        said = answer(newsroom, session, question)
        assert (said["code"], said["text"][:17]) == ("", "The ferry is next")
    assert [len(answers(newsroom, session, each)) for each in (first, second)] == [1, 1]
    usage = newsroom.items(session, "usage")
    assert [each["state"] for each in usage] == ["final", "final", "bounded"]
    links = newsroom.items(session, "transitions")
    assert [each["source"] for each in links] == ["chat", "chat"]
    assert links[0]["old"] == links[1]["new"]
