"""Helpers for tests of drafts: posts to write from, a draft, and its turns one by one."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.db import transaction

from sessions_app import commands
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Session, Step
from stories.drafting import workflow
from stories.models import Draft, Source
from stories.posts import queue
from stories.sources import service
from stories.types import FetchedPost
from tests.standins.anthropic import AnthropicStandIn
from tests.standins.anthropic_compose import composed

POSTS = {
    "Ferry to Port Elowen runs again": (
        "The ferry to Port Elowen runs again after eleven weeks of repairs. The harbour office said "
        "that both engines were replaced over the winter. It will leave every hour from six in the "
        "morning. Fishermen had carried passengers across the bay in the meantime. A ticket costs "
        "two crowns more than last year."
    ),
    "Port Elowen counts its ferry passengers": (
        "Port Elowen counted four thousand ferry passengers in the first week. The ferry to Port "
        "Elowen runs again after eleven weeks of repairs, the mayor said. Two cafés at the pier "
        "opened again on Saturday. The school bus now waits for the first boat."
    ),
    "Tram drivers ask for longer breaks": "Tram drivers in the capital ask for longer breaks.",
}


def read_posts(session: Session, found: dict[str, str] | None = None) -> None:
    """Adds these posts (title: body) to the session's source."""
    source = Source.objects.get(session=session)
    fetched = [FetchedPost(title, title, body=body) for title, body in (found or POSTS).items()]
    with transaction.atomic():
        added = queue.add(source, fetched, steps.now())
        recorder.record(
            session, service.POLLED, {"queue": []}, feed=len(added.posts), queue=added.queued
        )


def press(session: Session, command: str, **data: Any) -> Any:
    return commands.run(f"draft.{command}", session.owner, session, data)


def started(session: Session, **data: Any) -> Draft:
    found: Draft = press(session, "start", **{"keywords": ["ferry"], "words": 60, **data})
    return found


def turn(draft: Draft, times: int = 1) -> Draft:
    """Takes the draft's next turns, even if they are not due; returns the draft after them."""
    for _ in range(times):
        step = Step.objects.filter(kind=workflow.TURN, subject=draft.pk, state="pending").first()
        if step is None:
            break
        Step.objects.filter(pk=step.pk).update(due_at=steps.now() - timedelta(seconds=1))
        steps.run(step.pk)
    return Draft.objects.get(pk=draft.pk)


def finished(draft: Draft) -> Draft:
    """Takes turns until the draft is finished."""
    done = turn(draft, 20)
    assert done.state == "finished", done.note
    return done


class RoomStandIn(AnthropicStandIn):
    """Plays all four agents: the reader asks for one change of the first text, then all approve.

    The answer depends on the question only, so the same question has the same answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.compose = played


def played(asked: dict[str, Any]) -> str:
    """Returns the answer of the agent that the question asks the model to play."""
    prompt = str(asked["messages"][-1]["content"])
    known = json.loads(prompt[prompt.index("{") : prompt.rindex("}") + 1])
    answer: dict[str, Any] = json.loads(composed(asked)) | _played(str(asked["system"]), known)
    return json.dumps(answer)


def _played(system: str, known: dict[str, Any]) -> dict[str, Any]:
    text = str(known.get("text", ""))
    if "You are the writer" in system and "outline" in known:
        number = 2 if known.get("remarks") and text else 1
        findings = " ".join(str(each["text"]) for each in known["findings"])
        return {"text": f"Version {number} of the text. {findings}", "reason": f"Text {number}"}
    if "You are the reader" in system:
        if not text.startswith("Version 1"):
            return {"decision": "approve", "remarks": []}
        wish = {"about": "style", "where": "Version 1", "wish": "Say it better."}
        return {"decision": "changes", "remarks": [wish]}
    return {"text": "", "remarks": []} if "You are the expert" in system else {}
