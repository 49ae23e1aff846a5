"""The narrator that asks a model of Anthropic, and the choice of a session's narrator."""

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
    """Narrates with ``model`` and books every attempt in ``ledger``.

    Raises Refused (also PromptTooLong) and EmptyAnswer, which concern this post alone, besides the
    errors of every narrator.
    """

    origin = "model"

    def __init__(self, gateway: Gateway, ledger: Ledger, model: str) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._model = model

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        # The tag is new for each post, so that no post can know and close its own block.
        tag = f"post-{secrets.token_hex(5)}"
        review = Review(brief, tag)
        shown = ""

        def show(text: str) -> None:
            nonlocal shown
            checked = review.on_air(narration_so_far(text))
            # The audience never sees a text shrink.
            if len(checked) > len(shown):
                shown = checked
            on_text(shown)

        answer = self._gateway.stream(ask_for(brief, self._model, tag), self._ledger, show)
        narration = review.narration(answer)
        if narration.narrative != shown:
            on_text(narration.narrative)
        return narration


class LockedNarrator:
    """Raises the error of an unusable key for every brief, so that the run is held with it.

    No other key pays instead.
    """

    origin = "model"

    def __init__(self, error: NeedsHuman) -> None:
        self._error = error

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        raise self._error


def narrator_for(session: Session, ledger: Ledger, ended: Event) -> Narrator:
    """Returns the session's narrator: a model when there is a key, else the extractive one."""
    try:
        gateway = gateway_for(session, ended)
    except NeedsHuman as error:
        return LockedNarrator(error)
    if gateway is None:
        return ExtractiveNarrator()
    return AnthropicNarrator(gateway, ledger, session.model)
