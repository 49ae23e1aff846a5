"""No timer deletes anything that a user made, however long nothing happens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import models
from django.db.models import Sum
from django.utils import timezone

from broadcast import orchestrator
from broadcast.models import Broadcast
from sessions_app import commands, constraints, sessions
from sessions_app.background import retention, sweeper
from sessions_app.events import archive
from sessions_app.models import AITransition, Archive, Session, SessionEvent
from tests.archived_events import let_time_pass, tables
from tests.broadcast_runs import press, sound

pytestmark = pytest.mark.django_db(transaction=True)


def archived(kind: str) -> int:
    return Archive.objects.filter(kind=kind).aggregate(n=Sum("count"))["n"] or 0


def counted() -> dict[str, int]:
    """The rows of each table; what is archived counts where it was."""
    found = {model._meta.label: model._base_manager.count() for model in tables()}
    found[SessionEvent._meta.label] += archived(Archive.Kind.EVENTS)
    found[AITransition._meta.label] += archived(Archive.Kind.TRANSITIONS)
    return found


def texts() -> set[str]:
    """All texts written by users and the host."""
    rows = Session.objects.values_list("name", "instructions")
    found = {text for row in rows for text in row}
    for model in constraints.session_models():
        named = [f.name for f in model._meta.concrete_fields if isinstance(f, models.TextField)]
        for row in model._base_manager.values_list(*named) if named else ():
            found |= {str(text) for text in row}
    return found


@pytest.fixture
def full(session: Session, go_live: Callable[[Session], Any], work: Callable[..., int]) -> Session:
    """A session with a bit of everything, at rest, and due to expire."""

    def run(name: str, **data: Any) -> None:
        commands.run(name, session.owner, session, data)

    run("board.add", text="ferry", board="ideas")
    run("interest.set", text="lighthouse", weight="more")
    run("draft.start", keywords=["ferry"], words=120)
    run("chat.say", text="What is on air?")
    run("slot.add", days=["mon"], on_at="08:00", off_at="09:00", zone="UTC", enabled=False)
    go_live(session)
    work(session, most=30)
    if orchestrator.active(session) is not None:
        press(session, "stop")
    work(session, most=30)
    sessions.change(session, expires_at=timezone.now() + timedelta(days=1))
    return session


@pytest.mark.slow
def test_no_timer_deletes_what_a_person_made(
    full: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "NEWEST", 5)
    let_time_pass(400)
    rows, before = counted(), texts()
    while retention.run_rules(timezone.now()):
        pass
    for _ in range(3):
        sweeper.sweep()
    assert Session.objects.get(pk=full.pk).status == "archived"
    assert archived(Archive.Kind.EVENTS) > 5
    left = counted()
    gone = {name: (count, left[name]) for name, count in rows.items() if left[name] < count}
    assert gone == {}
    assert before <= texts()
    assert not Broadcast.objects.exclude(state="idle").exists()
    assert sound()
