"""Options of the overlay, set by query parameters; an invalid value gives the default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """A query parameter; the first of ``values`` is the default."""

    name: str
    values: tuple[str, ...]
    meaning: str

    @property
    def default(self) -> str:
        return self.values[0]


OPTIONS = (
    Option("theme", ("dark", "light", "glass"), "Background of the text."),
    Option("accent", ("red", "blue", "green", "amber", "violet"), "Colour of the on-air mark."),
    Option("position", ("bottom", "top"), "Position of the lower third."),
    Option("size", ("m", "s", "l"), "Size of the text."),
    Option("ticker", ("1", "0"), "Ticker of the latest headlines, on or off."),
    Option("captions", ("1", "0"), "Captions of the narration, on or off."),
    Option("sound", ("0", "1"), "Sound of each story, if the audio extra is installed."),
    Option("safe", ("1", "0"), "Keep inside the title-safe area of a television picture."),
)


def parse_options(query: Mapping[str, str]) -> dict[str, str]:
    """Returns each option with its value in the query, or its default."""
    return {
        option.name: query[option.name]
        if query.get(option.name) in option.values
        else option.default
        for option in OPTIONS
    }
