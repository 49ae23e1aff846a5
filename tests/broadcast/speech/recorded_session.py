"""A broadcast that can be heard: the real engine, a visible session, and what was told in it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from broadcast import orchestrator
from broadcast.models import Airing, Episode, Sound
from broadcast.speech import sounds
from broadcast.states import Cause, State
from sessions_app import commands, sessions
from sessions_app.files import storage
from sessions_app.models import Session
from stories.models import Story
from tests.broadcast_runs import run_in
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import past


def with_engine(settings: Any, engine: str = "auto") -> None:
    """Switch speech on (or off) for a test; the suite is silent otherwise."""
    settings.SMNB = settings.SMNB.model_copy(update={"speech": engine})


def show(session: Session) -> Session:
    return sessions.show(session, True)


def press(session: Session, command: str, **data: Any) -> Any:
    return commands.run(command, session.owner, session, data)


def tell(session: Session, stories: int = 2) -> list[Story]:
    """A whole run that tells so many stories, with the steps that follow it left to do."""
    press(session, "broadcast.start")
    while Story.objects.filter(session=session, state="aired").count() < stories:
        for kind in ("poll", "narrate", "finish_airing"):
            run_due_steps(session, kind, most=1)
    press(session, "broadcast.stop")
    return list(Story.objects.filter(session=session, state="aired").order_by("id"))


def correct(session: Session, story: Story, text: str = "As it really was.") -> None:
    data = {"title": "Repair", "text": text, "reason": "A slip."}
    press(session, "story.correct", story=story.pk, **data)


def visit(session: Session, part: str, **headers: str) -> Any:
    return Client().get(f"/watch/{session.watch_token}/{part}", headers=headers)


def recorded(session: Session) -> Sound:
    """The sound of a story that was told, and the episode of its run (number 1), as rows and files."""
    at = timezone.now()
    story = Story.objects.create(
        pk=9999,
        session=session,
        origin="manual",
        state="aired",
        title="Told",
        narrative="It is so.",
        tone="analysis",
        priority="low",
        word_count=3,
        duration=1,
        completed_at=at,
    )
    path = sounds.fresh(session.pk, "told")
    kept = storage.write(path, [bytes(100)])
    ready = {
        "session": session,
        "state": "ready",
        "path": path,
        "media_type": "audio/mpeg",
        "bytes": kept.bytes,
        "sha256": kept.sha256,
        "seconds": 1,
    }
    run = run_in(session, State.LIVE)
    Airing.objects.create(
        session=session, run=run, story=story, aired_at=at, finish_at=at, finished_at=at
    )
    for cause in (Cause.STOP, Cause.STOPPED):
        run = orchestrator.transition(run, cause)
    contents = [{"at": 0, "seconds": 1, "story": story.pk, "text": ""}]
    Episode.objects.create(run=run, title="Told", contents=contents, **ready)
    return Sound.objects.create(story=story, **ready)


def spoken_session(owner: User, make_session: MakeSession) -> Session:
    """A visible session whose finished run has a sound for each story."""

    def make() -> Session:
        session = show(make_session("Harbour news", model="extractive"))
        tell(session)
        run_due_steps(session, "speak")
        return session

    return past("sounds", owner, make)
