"""Which narrator speaks for a session: a model when there is a key, else the extractive one."""

from __future__ import annotations

from threading import Event

from broadcast.narrators.anthropic import AnthropicNarrator
from broadcast.narrators.base import Narrator
from broadcast.narrators.extractive import ExtractiveNarrator
from broadcast.narrators.locked import LockedNarrator
from sessions_app.errors import NeedsHuman
from sessions_app.models import Session
from stories import keys
from stories.ledger_types import Ledger
from stories.llm import Gateway

EXTRACTIVE = "extractive"


def gateway_for(session: Session, ended: Event) -> Gateway | None:
    """How the session's model is asked; None when it has none, or nobody has a key for it.

    It is asked with the key of the session's owner, else with the operator's; NeedsHuman where that
    key cannot be used. Setting ``ended`` hangs up on the model at once.
    """
    if session.model == EXTRACTIVE:
        return None
    found = keys.anthropic_of(session.owner)
    return None if found is None else Gateway(found, ended=ended)


def narrator_for(session: Session, ledger: Ledger, ended: Event) -> Narrator:
    """The session's narrator; the model called "extractive" never asks anybody."""
    try:
        gateway = gateway_for(session, ended)
    except NeedsHuman as error:
        return LockedNarrator(error)
    if gateway is None:
        return ExtractiveNarrator()
    return AnthropicNarrator(gateway, ledger, session.model)
