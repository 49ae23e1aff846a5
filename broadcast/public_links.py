"""The public addresses of a session, and its language as public pages and feeds name it."""

from __future__ import annotations

import re
from typing import NamedTuple

from stories.text.sentences import word_set


class Address(NamedTuple):
    name: str
    url: str
    meaning: str


PARTS = (
    ("Watch page", "", "The live broadcast, for anyone with the link."),
    (
        "Player",
        "embed/",
        "For a frame in pages of other sites, once you allow embedding.",
    ),
    ("Overlay", "overlay/", "For streaming software: a browser source of 1920 by 1080."),
    ("Audio stream", "stream.m3u8", "For browsers and players (HLS), with captions."),
    ("Radio address", "stream.mp3", "The same as an endless MP3, for smart speakers."),
    ("Atom feed", "feed.atom", "Published stories, for feed readers."),
    ("JSON feed", "feed.json", "The same as JSON Feed 1.1."),
    ("Podcast", "podcast.xml", "Finished broadcasts as episodes, where sound is recorded."),
)
# Without a speech engine these do not exist.
OF_SOUND = ("stream.m3u8", "stream.mp3")


def below(watch_url: str | None, *, sound: bool) -> list[Address]:
    """Returns the addresses of a session that answer; none while it is not visible."""
    if watch_url is None:
        return []
    parts = [part for part in PARTS if sound or part[1] not in OF_SOUND]
    return [Address(name, watch_url + part, meaning) for name, part, meaning in parts]


# The form of a tag: language, script, region, variants and extensions (RFC 5646).
_TAG = re.compile(
    r"(?P<language>[a-z]{2,3})(-[a-z]{4})?(-([a-z]{2}|[0-9]{3}))?"
    r"(-([a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(-[a-wy-z0-9](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?",
    re.IGNORECASE,
)
# ISO 639-1. Common mistakes, such as the country codes jp, cz and gr, are not in it.
_LANGUAGES = word_set("""
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy
    da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy
    hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li
    ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa
    pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th
    ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
""")


def tag(language: str) -> str:
    """Returns the language as a tag (BCP 47), or an empty text if it is none, such as German."""
    tag = language.strip().replace("_", "-")
    match = _TAG.fullmatch(tag)
    if match is None:
        return ""
    primary = match["language"].lower()
    return tag if len(primary) == 3 or primary in _LANGUAGES else ""
