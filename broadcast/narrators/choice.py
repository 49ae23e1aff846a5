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


def narrator_for(session: Session, ledger: Ledger, ended: Event) -> Narrator:
    """The session's narrator; the model called "extractive" never asks anybody.

    It asks with the key of the session's owner, else with the operator's. Setting ``ended`` hangs
    up on the model at once.
    """
    if session.model == EXTRACTIVE:
        return ExtractiveNarrator()
    try:
        found = keys.anthropic_of(session.owner)
    except NeedsHuman as error:
        return LockedNarrator(error)
    if found is None:
        return ExtractiveNarrator()
    return AnthropicNarrator(Gateway(found, ended=ended), ledger, session.model)
