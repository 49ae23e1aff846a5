"""Questions to the producer in tests, and the answers."""

from __future__ import annotations

import json
from typing import Any

from sessions_app import commands
from sessions_app.models import Message, Session
from tests.conftest import run_due_steps


def say(session: Session, text: str) -> Message:
    result = commands.run("chat.say", session.owner, session, {"text": text})
    assert isinstance(result, Message)
    return result


def ask(session: Session, text: str) -> Message:
    """Sends a message, runs the step that answers it, and returns the answer."""
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
    result = commands.run(f"chat.{verb}", session.owner, session, {"message": answer.pk})
    assert isinstance(result, Message)
    return result


def spoken(reply: str, *plan: dict[str, Any]) -> str:
    """An answer as a model writes it."""
    return json.dumps({"reply": reply, "plan": list(plan)})
