"""A word to the owner when a session's artifacts come near to their quota."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessions_app import artifacts, events
from sessions_app.models import Session

CODE = "artifacts_nearly_full"
NEARLY = 80  # per cent


def warn(session: Session, payload: Mapping[str, Any]) -> None:
    """Say so once, with the file that leads over the mark; archives do not count."""
    if payload["artifact"]["category"] == artifacts.Category.ARCHIVE:
        return
    quota = artifacts.quota()
    mark, used = quota * NEARLY // 100, artifacts.used(session)
    if used - payload["artifact"]["bytes"] < mark <= used:
        sentence = (
            f"The files of this session take {used * 100 // quota} % of their quota. Remove some, "
            "or have the staff raise it in Settings."
        )
        events.say(session, "system", sentence, CODE)


def register() -> None:
    events.on(artifacts.KEPT)(warn)
