"""Talking with the producer in tests: what a person says, and the answers to it."""

from __future__ import annotations

import json
from typing import Any

from sessions_app import commands
from sessions_app.models import Message, Session
from tests.conftest import run_due_steps


def say(session: Session, text: str) -> Message:
    found = commands.run("chat.say", session.owner, session, {"text": text})
    assert isinstance(found, Message)
    return found


def ask(session: Session, text: str) -> Message:
    """Say something, have it answered, and return the answer."""
    question = say(session, text)
    assert run_due_steps(session, "answer")
    return answer_to(question)


def answer_to(question: Message) -> Message:
    rows = Message.objects.select_related("link", "reply_to", "session")
    return rows.get(reply_to=question, role="producer")


def plan_of(answer: Message) -> list[tuple[str, dict[str, Any]]]:
    """The commands of an answer's plan with their payloads; none where there is no plan."""
    listed = (answer.plan or {"commands": []})["commands"]
    return [(each["command"], each["payload"]) for each in listed]


def decide(answer: Message, verb: str = "apply") -> Message:
    session = answer.session
    found = commands.run(f"chat.{verb}", session.owner, session, {"message": answer.pk})
    assert isinstance(found, Message)
    return found


def spoken(reply: str, *plan: dict[str, Any]) -> str:
    """An answer as a model writes it."""
    return json.dumps({"reply": reply, "plan": list(plan)})
