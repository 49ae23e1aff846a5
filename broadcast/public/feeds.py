"""Atom and JSON feeds of what was told: stable ids, corrections as updates, pulled stories gone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree as ET

from broadcast import public_links, queries
from sessions_app.models import Session
from sessions_app.templatetags.newsroom import weburl
from stories import stories as stories_module
from stories.models import Story
from stories.stories import PublicStory

MOST = 50
ATOM = "http://www.w3.org/2005/Atom"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
# What XML 1.0 cannot carry, even escaped.
_UNSAID = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

TOLD = (Story.State.AIRING, Story.State.AIRED)


@dataclass(frozen=True, slots=True)
class Feed:
    """What a feed is made of; ``stories`` are public payloads, newest first."""

    session: UUID
    title: str
    language: str
    home: str
    created_at: str
    stories: Sequence[PublicStory]

    @property
    def updated(self) -> str:
        return max(map(changed_at, self.stories), default=self.created_at)

    @property
    def tag(self) -> str:
        """Of everything a reader can see, for conditional requests."""
        seen = json.dumps([self.title, self.language, self.home, self.stories], sort_keys=True)
        return hashlib.sha256(seen.encode()).hexdigest()[:32]


def of_session(session: Session, home: str) -> Feed:
    """The session's latest stories; ``home`` is the address of its watch page."""
    rows = stories_module.published(session)[:MOST]
    told = (stories_module.public_payload(story) for story in queries.told(rows))
    stories = [story for story in told if story["aired_at"]]
    created = session.created_at.isoformat(timespec="seconds")
    spoken = public_links.tag(session.language)
    return Feed(session.pk, session.name, spoken, home, created, stories)


def changed_at(story: PublicStory) -> str:
    return str(story["corrected_at"] or story["aired_at"])


def id_of(session: UUID, story: int) -> str:
    """The same for ever, and the same in every feed; it tells nothing of the session's id."""
    return uuid5(uuid5(NAMESPACE_URL, f"smnb:{session}"), str(story)).urn


def clean(text: str) -> str:
    return _UNSAID.sub("", text)


def text_of(story: PublicStory) -> str:
    """The story in plain words, with its correction and its source."""
    parts = [story["narrative"]]
    if story["correction"]:
        parts.append(f"Correction: {story['correction']}")
    if story["post"]:
        parts.append(f"Source: {story['post']['source']}")
    return clean("\n\n".join(parts))


def atom(feed_: Feed) -> bytes:
    """The feed as Atom (RFC 4287)."""
    root = ET.Element(f"{{{ATOM}}}feed", {LANG: feed_.language} if feed_.language else {})
    _add(root, "id", uuid5(NAMESPACE_URL, f"smnb:{feed_.session}").urn)
    _add(root, "title", feed_.title)
    _add(root, "updated", feed_.updated)
    _add(root, "link", rel="alternate", type="text/html", href=feed_.home)
    _add(root, "link", rel="self", type="application/atom+xml", href=feed_.home + "feed.atom")
    _add(_add(root, "author"), "name", feed_.title)
    _add(root, "generator", "SMNB")
    for story in feed_.stories:
        _entry(root, feed_, story)
    ET.register_namespace("", ATOM)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _entry(root: ET.Element, feed_: Feed, story: PublicStory) -> None:
    entry = _add(root, "entry")
    _add(entry, "id", id_of(feed_.session, story["id"]))
    _add(entry, "title", story["title"])
    _add(entry, "published", story["aired_at"] or "")
    _add(entry, "updated", changed_at(story))
    _add(entry, "link", rel="alternate", type="text/html", href=_place(feed_, story))
    if source := _source(story):
        _add(entry, "link", rel="via", href=source)
    for topic in story["topics"]:
        _add(entry, "category", term=topic)
    _add(entry, "content", text_of(story), type="text")


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    cleaned = {key: clean(value) for key, value in attributes.items()}
    element = ET.SubElement(parent, f"{{{ATOM}}}{name}", cleaned)
    element.text = clean(text) or None
    return element


def _source(story: PublicStory) -> str:
    """Where the story was read; nothing when that is no address of the web."""
    return weburl(story["post"]["url"]) if story["post"] else ""


def _place(feed_: Feed, story: PublicStory) -> str:
    return f"{feed_.home}#story-{story['id']}"


def json_feed(feed_: Feed) -> dict[str, Any]:
    """The feed as JSON Feed 1.1."""
    shown: dict[str, Any] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": clean(feed_.title),
        "home_page_url": feed_.home,
        "feed_url": feed_.home + "feed.json",
        "items": [_item(feed_, story) for story in feed_.stories],
    }
    return {**shown, "language": feed_.language} if feed_.language else shown


def _item(feed_: Feed, story: PublicStory) -> dict[str, Any]:
    item = {
        "id": id_of(feed_.session, story["id"]),
        "url": _place(feed_, story),
        "title": clean(story["title"]),
        "content_text": text_of(story),
        "date_published": story["aired_at"],
        "date_modified": changed_at(story),
        "tags": [clean(topic) for topic in story["topics"]],
    }
    if source := _source(story):
        item["external_url"] = clean(source)
    return item
