"""Trace bundles: how a session, the installation and the browser are just now, as one JSON file.

It holds what somebody needs who is to find a fault, and no address of the public page, no prompt and
no key.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

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
from sessions_app.realtime import presence
from stories.sources import service

LINES = 200  # of the log
LOGS = 8  # files of the log that are looked at, those written last
TAIL = 400_000  # bytes of each file that are looked at for them
EVENTS = 100
STEPS = 50
MOST_FACTS = 20_000  # characters
PACKAGES = ("django", "channels", "daphne", "celery", "redis", "django-ninja", "anthropic", "praw")

Text = Annotated[str, Field(max_length=300)]
Number = Annotated[float, Field(ge=-1e12, le=1e12)]

_providers: dict[str, Callable[[], Any]] = {}


class Facts(Payload):
    """What a browser says of itself; all of it is optional, nothing of it is believed."""

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


def provide(name: str, function: Callable[[], Any]) -> None:
    """Have what ``function()`` returns (JSON) in each bundle under this name."""
    _providers[name] = function


def facts_of(text: str) -> Facts:
    """The facts of a form, which are empty where there is no script."""
    if len(text) > MOST_FACTS:
        raise Invalid("facts: too long.")
    try:
        return Facts.model_validate_json(text or "{}")
    except ValidationError as error:
        raise Invalid(f"facts: {commands.validation_sentence(error)}") from None


def keep(session: Session, actor: User, facts: Facts) -> Artifact:
    """Make a bundle and keep it; Conflict when the quota is used up."""
    now = timezone.now()
    found = gather(session) | {"at": recorder.timestamp(now), "browser": facts.model_dump()}
    text = json.dumps(found, ensure_ascii=False, indent=1, default=str)
    kept = artifacts.store(
        session, Category.DEVTOOLS, f"trace-{now:%Y-%m-%d-%H%M%S}.json", [text.encode()],
        media_type="application/json", made_by=actor, note="Trace bundle",
    )  # fmt: skip
    presence.record_activity(session, actor)
    return kept


def gather(session: Session) -> dict[str, Any]:
    """All but the browser's part."""
    stats = SessionStats.objects.get(session=session)
    recent = SessionEvent.objects.filter(session=session).order_by("-seq")[:EVENTS]
    open_ = Step.objects.filter(session=session, state__in=Step.OPEN).order_by("due_at")[:STEPS]
    return {
        "versions": versions(),
        "installation": {name: function() for name, function in _providers.items()},
        "session": _session(session),
        "last_seq": stats.last_seq,
        "figures": recorder.figures(stats),
        "air": orchestrator.latest_payload(session),
        "sources": [service.payload(source) for source in service.shown(session)],
        "health": asdict(workers.read(session)),
        "steps": [_step(step) for step in open_],
        "events": [_event(event) for event in recent],
        "log": log_lines(session),
    }


def _session(session: Session) -> dict[str, Any]:
    """The session without what its owner tells models."""
    found = sessions.payload(session)
    settings = {name: said for name, said in found["settings"].items() if name != "instructions"}
    return {**found, "settings": settings}


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "database": connection.vendor,
        **dict(_packages()),
    }


def _packages() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            yield name, "not installed"


def _step(step: Step) -> dict[str, Any]:
    return {
        "id": step.pk,
        "kind": step.kind,
        "subject": step.subject,
        "state": step.state,
        "due_at": recorder.timestamp(step.due_at),
        "attempts": step.attempts,
        "last_error": step.last_error,
    }


def _event(event: SessionEvent) -> dict[str, Any]:
    return {"seq": event.seq, "type": event.type, "at": recorder.timestamp(event.at)}


def log_lines(session: Session) -> list[dict[str, Any]]:
    """The latest lines of the session's log, whatever environment they are of, oldest first."""
    folder = artifacts.folder(session, Category.LOGS)
    latest = sorted(folder.glob("*.ndjson"), key=lambda path: -path.stat().st_mtime)[:LOGS]
    lines = [line for path in latest for line in _tail(path)]
    return sorted(lines, key=lambda line: str(line.get("timestamp", "")))[-LINES:]


def _tail(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        start = max(0, path.stat().st_size - TAIL)
        file.seek(start)
        lines = file.read(TAIL).split(b"\n")
    # The first one of a part may be cut; so may the last one, which is just being written.
    return list(_understood(lines[1 if start else 0 :][-LINES - 1 :]))


def _understood(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found
