"""The narrator of who has a key that cannot be used: it says so, and nobody else pays instead."""

from __future__ import annotations

from sessions_app.errors import NeedsHuman
from stories.types import Brief, Narration, OnText


class LockedNarrator:
    """Raises what is wrong with the key at every brief, so that the run is held with its sentence."""

    origin = "model"

    def __init__(self, error: NeedsHuman) -> None:
        self._error = error

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        raise self._error
