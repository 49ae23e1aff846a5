"""The language of what is told, as pages and feeds name it."""

from __future__ import annotations

import re

_TAG = re.compile("[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def tag(language: str) -> str:
    """The language as a tag (BCP 47); nothing for a language in other words, like "German"."""
    found = language.strip().replace("_", "-")
    return found if _TAG.fullmatch(found) else ""
