"""The producer in a real studio: a plan becomes a draft."""

from __future__ import annotations

from typing import Any

from tests.endtoend.studio_process import Studio, eventually

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
