"""A session with a past: read, told, corrected, asked about, drafted, scheduled and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import time
from typing import Any
from unittest.mock import patch

from django.db import transaction

from broadcast import slots
from sessions_app import artifacts, commands
from sessions_app.models import Session
from stories import keys, threads
from stories.llm import Credentials
from stories.models import Story
from tests.broadcast.hearing import press, tell
from tests.conftest import run_due_steps
from tests.standins.anthropic import AnthropicStandIn
from tests.stories.drafting import started, turn


@contextmanager
def asking_a_model() -> Iterator[AnthropicStandIn]:
    """Whoever is asked to narrate or to answer asks the model, which costs."""
    with AnthropicStandIn() as stand_in:
        found = Credentials(api_key="a-key", base_url=stand_in.url)
        with patch.object(keys, "anthropic_of", lambda _: found):
            yield stand_in


def with_a_past(session: Session) -> Session:
    """Two runs, of which a model tells the first, and something of everything a person can do."""
    with asking_a_model():
        tell(session, 3)
        run_due_steps(session)
    stories = tell(session, 5)
    press(session, "broadcast.start")
    run_due_steps(session, "narrate", most=1)
    press(session, "story.break_in", title="A tide", text="The tide is high.")
    press(session, "broadcast.stop")
    _edit(session, stories)
    run_due_steps(session)
    return session


def _edit(session: Session, stories: list[Story]) -> None:
    first = stories[0]
    with transaction.atomic():
        threads.join(stories[1], threads.Earlier(first, "follow-up"))
    press(session, "story.bookmark", story=first.pk, on=True)
    press(session, "story.correct", story=first.pk, title="=SUM(1) was meant",
          text="It was otherwise. The ferry sails at noon.", reason="A slip.")  # fmt: skip
    press(session, "interest.set", text="Tides", weight="more")
    press(session, "board.add", text="lighthouses", board="ideas")
    press(session, "chat.say", text="What is next?")
    turn(started(session), 12)
    times: dict[str, Any] = {"days": 1, "on_at": time(9), "off_at": time(17), "zone": "UTC"}
    slots.add(session, times | {"enabled": True})
    artifacts.keep(session, "files", "notes.txt", [b"a note\n"], media_type="text/plain")


def export(session: Session, **data: Any) -> Any:
    return commands.run("export.start", session.owner, session, data)
