"""The participants of a session: users, host, producer and agents, with their last activity."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import TypedDict

from broadcast import orchestrator
from sessions_app.background import steps
from sessions_app.events import recorder
from sessions_app.events.recorder import FiguresPayload
from sessions_app.models import Session, Step
from sessions_app.realtime import presence
from stories.drafting import workflow
from stories.models import DraftMessage
from stories.sources.service import SourcePayload


class ParticipantRow(TypedDict):
    """``role`` is human, host, producer or agents; ``last_at`` is None for no activity yet."""

    role: str
    name: str
    doing: str
    last_at: str | None


def rows(
    session: Session, figures: FiguresPayload, sources: Iterable[SourcePayload]
) -> list[ParticipantRow]:
    """Returns one row a participant; figures and sources are those that the page shows anyway."""
    active = presence.participants(session)
    users: list[tuple[str, str | None]] = [
        (row.user.get_username(), recorder.timestamp(row.last_active_at)) for row in active
    ]
    # The owner takes part also without any activity yet.
    if not any(row.user_id == session.owner_id for row in active):
        users.insert(0, (session.owner.get_username(), None))
    leased = steps.leased(session.pk)
    narrating = leased.filter(kind=orchestrator.NARRATE).exists()
    polled = [source["last_polled_at"] for source in sources if source["last_polled_at"]]
    drafting = Step.objects.filter(session=session, kind=workflow.TURN, state=Step.State.LEASED)
    turns = DraftMessage.objects.filter(session=session).order_by("-id")
    last_turn_at = turns.values_list("created_at", flat=True).first()
    agents_doing = (
        "" if last_turn_at else "None has worked here yet; drafts in the writers' room do."
    )
    if drafting.exists():
        agents_doing = "At work now."
    return [
        *(
            ParticipantRow(role="human", name=name, doing="", last_at=last_at)
            for name, last_at in users
        ),
        {
            "role": "host",
            "name": "Host",
            "doing": "Narrating now." if narrating else "",
            "last_at": figures["last_story_at"],
        },
        {
            "role": "producer",
            "name": "Producer",
            "doing": "",
            "last_at": max(polled, default=None),
        },
        {
            "role": "agents",
            "name": "Agents",
            "doing": agents_doing,
            "last_at": recorder.timestamp(last_turn_at),
        },
    ]
