"""Who works in a session: people, host, producer, agents, each with their last activity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from broadcast import orchestrator
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.models import Session, Step
from sessions_app.realtime import presence
from stories.drafting import workflow
from stories.models import DraftMessage

Shown = Mapping[str, Any]


def payload(session: Session, figures: Shown, sources: Iterable[Shown]) -> list[dict[str, Any]]:
    """One entry a participant: ``{role, name, doing, last_at}``; ``last_at`` is None for never.

    Figures and sources are those that the page shows anyway.
    """
    return [
        *_people(session),
        _host(session, figures),
        _producer(sources),
        _agents(session),
    ]


def _people(session: Session) -> list[dict[str, Any]]:
    found = presence.participants(session)
    rows = [_person(each.user.get_username(), each.last_active_at) for each in found]
    if not any(each.user_id == session.owner_id for each in found):
        rows.insert(0, _person(session.owner.get_username(), None))
    return rows


def _person(name: str, last: datetime | None) -> dict[str, Any]:
    return {"role": "human", "name": name, "doing": "", "last_at": recorder.timestamp(last)}


def _host(session: Session, figures: Shown) -> dict[str, Any]:
    """The host's last story, or now while a narrate step is being worked on."""
    working = steps.leased(session.pk).filter(kind=orchestrator.NARRATE).exists()
    return {
        "role": "host",
        "name": "Host",
        "doing": "Narrating now." if working else "",
        "last_at": figures["last_story_at"],
    }


def _producer(sources: Iterable[Shown]) -> dict[str, Any]:
    polled = [source["last_polled_at"] for source in sources if source["last_polled_at"]]
    return {
        "role": "producer",
        "name": "Producer",
        "doing": "",
        "last_at": max(polled, default=None),
    }


def _agents(session: Session) -> dict[str, Any]:
    """The agents' last turn of any draft, or now while one of them is at work."""
    taken = Step.objects.filter(session=session, kind=workflow.TURN, state=Step.State.LEASED)
    turns = DraftMessage.objects.filter(session=session).order_by("-id")
    last = turns.values_list("created_at", flat=True).first()
    never = "" if last else "None has worked here: the writers' room brings them."
    return {
        "role": "agents",
        "name": "Agents",
        "doing": "At work now." if taken.exists() else never,
        "last_at": recorder.timestamp(last),
    }
