"""The look of the overlay, set by query parameters; what is not understood is left at its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """One query parameter; the first of ``values`` is the default."""

    name: str
    values: tuple[str, ...]
    meaning: str

    @property
    def default(self) -> str:
        return self.values[0]


OPTIONS = (
    Option("theme", ("dark", "light", "glass"), "The plate behind the words."),
    Option("accent", ("red", "blue", "green", "amber", "violet"), "The colour of the on-air mark."),
    Option("position", ("bottom", "top"), "Where the lower third stands."),
    Option("size", ("m", "s", "l"), "How large the words are."),
    Option("ticker", ("1", "0"), "The line of latest headlines, on or off."),
    Option("captions", ("1", "0"), "The words as they are spoken, on or off."),
    Option("sound", ("0", "1"), "Play each story's sound, where the audio extra is installed."),
    Option("safe", ("1", "0"), "Keep inside the title-safe area of a television picture."),
)


def chosen(query: Mapping[str, str]) -> dict[str, str]:
    """Each option with the value asked for, or its default."""
    return {
        option.name: query[option.name]
        if query.get(option.name) in option.values
        else option.default
        for option in OPTIONS
    }
