"""A session with a history: posts, stories, corrections, chat, drafts, slots and files."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import time
from hashlib import sha256
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.db import transaction
from django.test import override_settings

from broadcast import recaps
from broadcast.schedule import slots
from broadcast.transfer import formats
from broadcast.transfer.formats.base import Chunk, ExportRequest, State
from sessions_app.background import sweeper
from sessions_app.files import artifacts
from sessions_app.models import Session
from stories import threads
from stories.llm import Credentials, credentials
from stories.models import Story
from tests.broadcast.speech.recorded_session import press, show, tell
from tests.conftest import run_due_steps
from tests.standins.anthropic import AnthropicStandIn
from tests.stories.drafting.draft_factory import started, turn

Bring = Callable[[bytes], Session]


@contextmanager
def asking_a_model() -> Iterator[AnthropicStandIn]:
    """Narrators and answerers call the model, which costs."""
    with AnthropicStandIn() as stand_in:
        found = Credentials(api_key="a-key", base_url=stand_in.url)
        with patch.object(credentials, "anthropic_of", lambda _: found):
            yield stand_in


def with_a_past(session: Session) -> Session:
    """Runs, of which a model tells the first, spoken, and something of everything people can do."""
    audible = settings.SMNB.model_copy(update={"speech": "auto"})
    with override_settings(SMNB=audible):
        return _with_a_past(show(session))


def _with_a_past(session: Session) -> Session:
    with asking_a_model():
        tell(session, 3)
        run_due_steps(session)
        # The run was stopping until its recap was made.
        sweeper.sweep()
    stories = tell(session, 5)
    run_due_steps(session, recaps.RECAP)
    sweeper.sweep()
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
    press(
        session,
        "story.correct",
        story=first.pk,
        title="=SUM(1) was meant",
        text="It was otherwise. The ferry sails at noon.",
        reason="A slip.",
    )
    press(session, "interest.set", text="Tides", weight="more")
    press(session, "board.add", text="lighthouses", board="ideas")
    press(session, "chat.say", text="What is next?")
    turn(started(session), 12)
    times = slots.SlotTimes(days=1, on_at=time(9), off_at=time(17), zone="UTC", enabled=True)
    slots.add(session, times)
    artifacts.store(session, "files", "notes.txt", [b"a note\n"], media_type="text/plain")


_packed: dict[str, bytes] = {}


def interrupted(
    wanted: ExportRequest, write: Callable[[ExportRequest, State], Iterator[Chunk]]
) -> bytes:
    """The export, written by one worker after another, each dying wherever it may."""
    pieces = b""
    state: State | None = {}
    while state is not None:
        left, state = state, None
        for chunk in write(wanted, left):
            pieces += chunk.data
            if chunk.state is not None:
                state = json.loads(json.dumps(chunk.state))
                break
    return pieces


def exported(session: Session, format_: str, run: int | None = None) -> bytes:
    return b"".join(formats.stream(session, formats.get(format_), run))


def archive_of_a_past(session: Session) -> bytes:
    """The ZIP of a session with a past; made once, as it takes some seconds."""
    if "zip" not in _packed:
        _packed["zip"] = exported(with_a_past(session), "zip")
    return _packed["zip"]


def changed(data: bytes, changes: dict[str, Any]) -> bytes:
    """The archive with other members, and a manifest that agrees with them.

    A change is the new bytes of a member, None to leave it out, or a function of its lines as JSON.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        members = {name: found.read(name) for name in found.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    for name, change in changes.items():
        text = rewritten(members.pop(name), change)
        del manifest["members"][name]
        if text is not None:
            rows = text.count(b"\n") if name.startswith("data/") else 0
            digest = sha256(text).hexdigest()
            manifest["members"][name] = {"bytes": len(text), "sha256": digest, "rows": rows}
            members[name] = text
    return zipped({**members, "manifest.json": json.dumps(manifest).encode()})


def rewritten(text: bytes, change: Any) -> bytes | None:
    if not callable(change):
        return change  # type: ignore[no-any-return]
    rows = change([json.loads(line) for line in text.splitlines()])
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, text in members.items():
            file.writestr(name, text)
    return made.getvalue()
