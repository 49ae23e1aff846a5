"""What a session wants more or less of, as one thing that judges texts.

Words are compared whole, without case, and a plural is the same as its singular.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from stories.models import Interest

MOST_READ = 4000  # characters of a body

_WORD = re.compile(r"[^\W_]+")
_LEAST = 4
_NO_PLURAL = frozenset({"news", "mars", "texas", "wales", "paris", "chess", "lens"})


def folded(text: str) -> str:
    """``text`` as compared: its words in a row, with one space between two."""
    return " ".join(_singular(word) for word in _WORD.findall(text.casefold()))


def _singular(word: str) -> str:
    """One form for singular and plural; crude, but the same for both."""
    if len(word) < _LEAST or word in _NO_PLURAL:
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith(("che", "she", "xe", "sse", "oe")):
        return word[:-1]
    return word[:-2] + "y" if word.endswith("ie") and len(word) > _LEAST else word


@dataclass(frozen=True, slots=True)
class Taste:
    """Pairs of folded words and their weight, +1 or -1."""

    wishes: tuple[tuple[str, int], ...] = ()

    def of(self, *texts: str) -> int:
        """+1 for what is wanted more, -1 for less, 0 for neither or for both."""
        if not self.wishes:
            return 0
        whole = " | ".join(folded(text[:MOST_READ]) for text in texts)
        padded = f" {whole} "
        weights = sum(weight for words, weight in self.wishes if f" {words} " in padded)
        return max(-1, min(weights, 1))


def of_session(session_id: UUID) -> Taste:
    return of(Interest.objects.filter(session_id=session_id))


def of(interests: Iterable[Interest]) -> Taste:
    return Taste(tuple((each.folded, each.weight) for each in interests))
