"""Matching texts against a session's interests.

Words are compared whole, without case, and a plural is the same as its singular.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from stories.models import Interest

MOST_READ = 4000  # characters of a body

_WORD = re.compile(r"[^\W_]+")
_SHORTEST_PLURAL = 4
_NO_PLURAL = frozenset({"news", "mars", "texas", "wales", "paris", "chess", "lens"})


def folded(text: str) -> str:
    """Returns the words of ``text`` as they are compared, separated by single spaces."""
    return " ".join(_singular(word) for word in _WORD.findall(text.casefold()))


def _singular(word: str) -> str:
    """Returns one form for singular and plural; crude, but the same for both."""
    if len(word) < _SHORTEST_PLURAL or word in _NO_PLURAL:
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith(("che", "she", "xe", "sse", "oe")):
        return word[:-1]
    return word[:-2] + "y" if word.endswith("ie") and len(word) > _SHORTEST_PLURAL else word


@dataclass(frozen=True, slots=True)
class Interests:
    """A session's interests: pairs of folded words and their weight, +1 or -1."""

    weights: tuple[tuple[str, int], ...] = ()

    def match(self, *texts: str) -> int:
        """Returns +1 for texts to read more of, -1 for less, 0 for neither or both."""
        if not self.weights:
            return 0
        # Spaces around and between the texts make every match one of whole words.
        # The separator is no word character, so no match reaches from one text into the next.
        whole = " | ".join(folded(text[:MOST_READ]) for text in texts)
        padded = f" {whole} "
        total = sum(weight for words, weight in self.weights if f" {words} " in padded)
        return max(-1, min(total, 1))


def of_session(session_id: UUID) -> Interests:
    """Returns the interests of a session."""
    rows = Interest.objects.filter(session_id=session_id)
    return Interests(tuple((row.folded, row.weight) for row in rows))
