"""What an answerer is given and gives back; the same for a model and for rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from broadcast.chat.conversation import Exchange
from broadcast.chat.facts import Facts
from sessions_app.models import Session

Wanted = tuple[str, dict[str, Any]]
"""The name of a command and its payload, as proposed and not yet checked."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One question with all that may be known to answer it."""

    session: Session
    text: str
    facts: Facts
    earlier: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said, and which commands are proposed; ``code`` names what went wrong."""

    text: str
    wanted: tuple[Wanted, ...] = ()
    code: str = ""


class Answerer(Protocol):
    """Answers one inquiry, telling ``on_text`` the whole text so far.

    Raises Retry, WaitUntil or NeedsHuman, and lets StaleClaim from ``on_text`` pass.
    """

    model: str

    def answer(self, inquiry: Inquiry, on_text: Callable[[str], None]) -> Reply: ...
