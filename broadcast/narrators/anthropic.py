"""The narrator that asks a model of Anthropic's, one question per post.

The narrator of who has a key that cannot be used: it says so, and nobody else pays instead.

Which narrator speaks for a session: a model when there is a key, else the extractive one.
"""

from __future__ import annotations

import secrets
from threading import Event

from broadcast.narrators.base import Narrator
from broadcast.narrators.extractive import ExtractiveNarrator
from broadcast.narrators.output_check import Review
from broadcast.narrators.prompts import ask_for
from sessions_app.errors import NeedsHuman
from sessions_app.models import Session
from stories.llm import Gateway, gateway_for
from stories.llm.partial_json import narration_so_far
from stories.types import Brief, Narration, OnText
from stories.usage.types import Ledger


class AnthropicNarrator:
    """Narrates with ``model``; every question is booked in ``ledger``.

    Besides what every narrator raises: Refused (also PromptTooLong) and EmptyAnswer, which concern
    this post alone.
    """

    origin = "model"

    def __init__(self, gateway: Gateway, ledger: Ledger, model: str) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._model = model

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        tag = f"post-{secrets.token_hex(5)}"
        review = Review(brief, tag)
        shown = ""

        def follow(text: str) -> None:
            nonlocal shown
            so_far = review.on_air(narration_so_far(text))
            if len(so_far) > len(shown):
                shown = so_far
            on_text(shown)

        answer = self._gateway.stream(ask_for(brief, self._model, tag), self._ledger, follow)
        narration = review.narration(answer)
        if narration.narrative != shown:
            on_text(narration.narrative)
        return narration


class LockedNarrator:
    """Raises what is wrong with the key at every brief, so that the run is held with its sentence."""

    origin = "model"

    def __init__(self, error: NeedsHuman) -> None:
        self._error = error

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        raise self._error


def narrator_for(session: Session, ledger: Ledger, ended: Event) -> Narrator:
    """The session's narrator; the model called "extractive" never asks anybody."""
    try:
        gateway = gateway_for(session, ended)
    except NeedsHuman as error:
        return LockedNarrator(error)
    if gateway is None:
        return ExtractiveNarrator()
    return AnthropicNarrator(gateway, ledger, session.model)
