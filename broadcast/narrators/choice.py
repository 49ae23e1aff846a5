"""Which narrator speaks for a session: a model when there is a key, else the extractive one."""

from __future__ import annotations

from threading import Event

from django.conf import settings

from broadcast.narrators.anthropic import AnthropicNarrator
from broadcast.narrators.base import Narrator
from broadcast.narrators.extractive import ExtractiveNarrator
from sessions_app.models import Session
from stories.ledger_types import Ledger
from stories.llm import Credentials, Gateway

EXTRACTIVE = "extractive"


def credentials() -> Credentials | None:
    """The operator's credentials, or None when no key is set."""
    key = settings.SMNB.anthropic_api_key.get_secret_value()
    if not key:
        return None
    return Credentials(api_key=key, base_url=settings.SMNB.anthropic_base_url or None)


def narrator_for(session: Session, ledger: Ledger, ended: Event) -> Narrator:
    """The session's narrator; the model called "extractive" never asks anybody.

    Setting ``ended`` hangs up on the model at once.
    """
    found = credentials()
    if found is None or session.model == EXTRACTIVE:
        return ExtractiveNarrator()
    return AnthropicNarrator(Gateway(found, ended=ended), ledger, session.model)
