"""The public addresses of a session, and its language as public pages and feeds name it."""

from __future__ import annotations

import re
from typing import NamedTuple


class Address(NamedTuple):
    name: str
    url: str
    meaning: str


PARTS = (
    ("Watch page", "", "The live broadcast, for anyone with the link."),
    ("Overlay", "overlay/", "For streaming software: a browser source of 1920 by 1080."),
    ("Atom feed", "feed.atom", "Published stories, for feed readers."),
    ("JSON feed", "feed.json", "The same as JSON Feed 1.1."),
    ("Podcast", "podcast.xml", "Finished broadcasts as episodes, where sound is recorded."),
)


def below(watch_url: str | None) -> list[Address]:
    """Returns the addresses of a session; none while it is not visible."""
    if watch_url is None:
        return []
    return [Address(name, watch_url + part, meaning) for name, part, meaning in PARTS]


_TAG = re.compile("[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def tag(language: str) -> str:
    """Returns the language as a tag (BCP 47); empty for a language in words, such as German."""
    tag = language.strip().replace("_", "-")
    return tag if _TAG.fullmatch(tag) else ""
