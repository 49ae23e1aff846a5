"""The narrator that asks a model of Anthropic's, one question per post."""

from __future__ import annotations

import secrets

from broadcast.narrators.partial_json import narration_so_far
from broadcast.narrators.prompt import ask_for
from broadcast.narrators.review import Review
from stories.ledger_types import Ledger
from stories.llm import Gateway
from stories.types import Brief, Narration, OnText


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
