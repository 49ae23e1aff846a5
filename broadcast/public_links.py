"""The public addresses of a session, for its owner to hand out.

The language of what is told, as pages and feeds name it.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Address(NamedTuple):
    name: str
    url: str
    meaning: str


PARTS = (
    ("Watch page", "", "The broadcast as it is told, for anybody with the link."),
    ("Overlay", "overlay/", "For streaming software: a browser source of 1920 by 1080."),
    ("Atom feed", "feed.atom", "The stories told, for feed readers."),
    ("JSON feed", "feed.json", "The same, as JSON Feed 1.1."),
    ("Podcast", "podcast.xml", "Finished broadcasts as episodes, where sound is made."),
)


def below(watch_url: str | None) -> list[Address]:
    """The addresses below the watch page's; nothing while the session is not visible."""
    if watch_url is None:
        return []
    return [Address(name, watch_url + part, meaning) for name, part, meaning in PARTS]


_TAG = re.compile("[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def tag(language: str) -> str:
    """The language as a tag (BCP 47); nothing for a language in other words, like "German"."""
    found = language.strip().replace("_", "-")
    return found if _TAG.fullmatch(found) else ""
