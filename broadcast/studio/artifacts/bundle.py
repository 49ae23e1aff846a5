"""Trace bundles: the state of a session, the installation and the browser as one JSON file.

A bundle holds what a developer needs to find a fault. It holds no address of the public page, no
prompt and no key.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pydantic import Field, ValidationError

from broadcast import orchestrator
from broadcast.health import workers
from sessions_app import commands, sessions
from sessions_app.commands import Payload
from sessions_app.errors import Invalid
from sessions_app.events import recorder
from sessions_app.files import artifacts
from sessions_app.files.artifacts import Category
from sessions_app.models import Artifact, Session, SessionEvent, SessionStats, Step
from sessions_app.realtime import frames, presence
from stories.sources import service

LINES = 200  # of the log
LOGS = 8  # log files to read, written last first
TAIL = 400_000  # bytes to read at the end of each log file
EVENTS = 100
STEPS = 50
MOST_FACTS = 20_000  # characters
PACKAGES = ("django", "channels", "daphne", "celery", "redis", "django-ninja", "anthropic", "praw")

Text = Annotated[str, Field(max_length=300)]
Number = Annotated[float, Field(ge=-1e12, le=1e12)]

_providers: dict[str, Callable[[], object]] = {}


class Facts(Payload):
    """What a browser reports about itself; every field is optional and none is trusted."""

    page: Text = ""
    agent: Text = ""
    languages: list[Text] = Field(default_factory=list, max_length=20)
    zone: Text = ""
    theme: Text = ""
    online: bool | None = None
    visible: bool | None = None
    window: list[Number] = Field(default_factory=list, max_length=2)
    screen: list[Number] = Field(default_factory=list, max_length=2)
    pixel_ratio: Number = 0
    seq: Number = 0
    connection: Text = ""
    clock: Text = ""
    loaded_ms: Number = 0
    resources: Number = 0


def provide(name: str, function: Callable[[], object]) -> None:
    """Adds the JSON that ``function()`` returns to each bundle, under this name."""
    _providers[name] = function


def parse_facts(text: str) -> Facts:
    """Parses the facts of a form; they are empty if the browser runs no script."""
    if len(text) > MOST_FACTS:
        raise Invalid("facts: must be at most 20,000 characters.")
    try:
        # Checked like any other payload, because the browser's data ends up in a file that people
        # read.
        return Facts.model_validate_json(text or "{}")
    except ValidationError as error:
        raise Invalid(f"facts: {commands.validation_sentence(error)}") from None


def store(session: Session, actor: User, facts: Facts) -> Artifact:
    """Makes a bundle and stores it as an artifact; Conflict when the quota is used up."""
    now = timezone.now()
    content = {**collect(session), "at": recorder.timestamp(now), "browser": facts.model_dump()}
    text = json.dumps(content, ensure_ascii=False, indent=1, default=str)
    artifact = artifacts.store(
        session,
        Category.DEVTOOLS,
        f"trace-{now:%Y-%m-%d-%H%M%S}.json",
        [text.encode()],
        media_type="application/json",
        made_by=actor,
        note="Trace bundle",
    )
    presence.record_activity(session, actor)
    return artifact


def collect(session: Session) -> dict[str, object]:
    """Everything in a bundle but the browser's part."""
    stats = SessionStats.objects.get(session=session)
    events = SessionEvent.objects.filter(session=session).order_by("-seq")[:EVENTS]
    steps = Step.objects.filter(session=session, state__in=Step.OPEN).order_by("due_at")[:STEPS]
    # Without the address of the public page, which gives access to it.
    payload = sessions.payload(session)
    # The instructions to models may be confidential.
    settings = {
        name: value for name, value in payload["settings"].items() if name != "instructions"
    }
    shown = {"session": {**payload, "settings": settings}, "figures": recorder.figures(stats)}
    return {
        "versions": versions(),
        "installation": {name: function() for name, function in _providers.items()},
        "last_seq": stats.last_seq,
        **frames.published(recorder.SESSION_CHANGED, shown),
        "air": orchestrator.latest_payload(session),
        "sources": [service.payload(source) for source in service.shown(session)],
        "health": asdict(workers.read(session)),
        "steps": [
            {
                "id": step.pk,
                "kind": step.kind,
                "subject": step.subject,
                "state": step.state,
                "due_at": recorder.timestamp(step.due_at),
                "attempts": step.attempts,
                "last_error": step.last_error,
            }
            for step in steps
        ],
        "events": [
            {"seq": event.seq, "type": event.type, "at": recorder.timestamp(event.at)}
            for event in events
        ],
        "log": log_lines(session),
    }


def versions() -> dict[str, str]:
    """Versions of Python, the system, the database and important packages."""
    found = {
        "python": platform.python_version(),
        "system": platform.system(),
        "database": connection.vendor,
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def log_lines(session: Session) -> list[dict[str, object]]:
    """The latest lines of the session's log in all environments, oldest first."""
    folder = artifacts.folder(session, Category.LOGS)
    latest = sorted(folder.glob("*.ndjson"), key=lambda path: -path.stat().st_mtime)[:LOGS]
    lines = [line for path in latest for line in _tail(path)]
    return sorted(lines, key=lambda line: str(line.get("timestamp", "")))[-LINES:]


def _tail(path: Path) -> list[dict[str, object]]:
    """The latest lines of one file that are whole JSON objects."""
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - TAIL)
        file.seek(start)
        # Only the end of each file: a log may have many megabytes.
        lines = file.read(TAIL).split(b"\n")
    # The first line may be cut where reading began, the last one where a process is writing.
    parsed = []
    for line in lines[1 if start else 0 :][-LINES - 1 :]:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            parsed.append(value)
    return parsed
