"""Word lists."""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """Returns the words of a list that is written as text."""
    return frozenset(text.split())
