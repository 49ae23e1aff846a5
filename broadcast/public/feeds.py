"""Atom and JSON feeds of published stories.

Ids are stable, corrections are updates, and stories that were pulled disappear.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree as ET

from django.utils.encoding import iri_to_uri

from broadcast import public_links, queries
from sessions_app.models import Session
from sessions_app.templatetags.newsroom import weburl
from stories import disclosure
from stories import stories as stories_module
from stories.stories import PublicStory

MOST = 50
ATOM = "http://www.w3.org/2005/Atom"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
# Characters that XML 1.0 cannot carry, not even escaped.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Feed:
    """The content of a feed; ``home`` is the address of the watch page, stories are newest first."""

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
        """The ETag: a digest of everything a reader can see."""
        content = json.dumps([self.title, self.language, self.home, self.stories], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def of_session(session: Session, home: str) -> Feed:
    """The feed of the session's latest stories; ``home`` is the address of its watch page."""
    rows = stories_module.published(session)[:MOST]
    published = (stories_module.public_payload(story) for story in queries.with_airings(rows))
    stories = [story for story in published if story["aired_at"]]
    created_at = session.created_at.isoformat(timespec="seconds")
    language = public_links.tag(session.language)
    return Feed(session.pk, session.name, language, home, created_at, stories)


def changed_at(story: PublicStory) -> str:
    return str(story["corrected_at"] or story["aired_at"])


def entry_id(session: UUID, story: int) -> str:
    """A permanent id, the same in every feed; it does not reveal the session's id."""
    # Derived and not random, so that it needs no column and never changes.
    return uuid5(uuid5(NAMESPACE_URL, f"smnb:{session}"), str(story)).urn


def clean(text: str) -> str:
    """The text without characters that XML cannot carry."""
    return NOT_XML.sub("", text)


def texts_of(topics: object) -> list[str]:
    """The topics that are texts; an imported session may have anything there."""
    return [topic for topic in topics if isinstance(topic, str)] if isinstance(topics, list) else []


def title_of(story: PublicStory) -> str:
    """The headline, which feeds require."""
    return clean(story["title"]).strip() or "Untitled"


def text_of(story: PublicStory) -> str:
    """The story as plain text, with its making, its correction and its source."""
    parts = [story["narrative"], story["disclosure"]["text"]]
    if story["correction"]:
        parts.append(f"Correction: {story['correction']}")
    names = list(dict.fromkeys(source["source"] for source in story["sources"]))
    if names:
        parts.append(f"{'Source' if len(names) == 1 else 'Sources'}: {', '.join(names)}")
    return clean("\n\n".join(parts))


def page_url(feed: Feed, story: PublicStory) -> str:
    return f"{feed.home}#story-{story['id']}"


def link_url(url: str) -> str:
    """The address as feeds may hold it, percent-encoded; empty when it is not a web address."""
    return iri_to_uri(weburl(url))


def atom(feed: Feed) -> bytes:
    """The feed as Atom (RFC 4287)."""
    root = ET.Element(f"{{{ATOM}}}feed", {LANG: feed.language} if feed.language else {})
    _add(root, "id", uuid5(NAMESPACE_URL, f"smnb:{feed.session}").urn)
    _add(root, "title", feed.title)
    _add(root, "updated", feed.updated)
    _add(root, "link", rel="alternate", type="text/html", href=feed.home)
    _add(root, "link", rel="self", type="application/atom+xml", href=feed.home + "feed.atom")
    _add(_add(root, "author"), "name", feed.title)
    _add(root, "rights", f"{disclosure.GENERAL}; each entry names its maker.")
    _add(root, "generator", "SMNB")
    for story in feed.stories:
        entry = _add(root, "entry")
        _add(entry, "id", entry_id(feed.session, story["id"]))
        _add(entry, "title", title_of(story))
        _add(entry, "published", story["aired_at"] or "")
        _add(entry, "updated", changed_at(story))
        _add(entry, "link", rel="alternate", type="text/html", href=page_url(feed, story))
        for source in story["sources"]:
            if url := link_url(source["url"]):
                _add(entry, "link", rel="via", href=url, title=clean(source["source"]))
        _add(_add(entry, "author"), "name", story["disclosure"]["maker"])
        for topic in filter(None, map(clean, texts_of(story["topics"]))):
            _add(entry, "category", term=topic)
        _add(
            entry,
            "category",
            term=story["disclosure"]["source_type"].removeprefix(disclosure.SOURCE_TYPES),
            scheme=disclosure.SOURCE_TYPES,
            label=story["disclosure"]["text"],
        )
        _add(entry, "content", text_of(story), type="text")
    # Without it the writer would add an ns0: prefix, which some readers do not accept.
    ET.register_namespace("", ATOM)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    cleaned = {key: clean(value) for key, value in attributes.items()}
    element = ET.SubElement(parent, f"{{{ATOM}}}{name}", cleaned)
    element.text = clean(text) or None
    return element


def json_feed(feed: Feed) -> dict[str, object]:
    """The feed as JSON Feed 1.1."""
    items = []
    for story in feed.stories:
        item: dict[str, object] = {
            "id": entry_id(feed.session, story["id"]),
            "url": page_url(feed, story),
            "title": title_of(story),
            "content_text": text_of(story),
            "date_published": story["aired_at"],
            "date_modified": changed_at(story),
            "tags": [topic for topic in map(clean, texts_of(story["topics"])) if topic],
            "authors": [{"name": clean(story["disclosure"]["maker"])}],
            "_smnb": {**story["disclosure"], "text": clean(story["disclosure"]["text"])},
        }
        if url := link_url(story["post"]["url"] if story["post"] else ""):
            item["external_url"] = url
        items.append(item)
    document: dict[str, object] = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": clean(feed.title),
        "home_page_url": feed.home,
        "feed_url": feed.home + "feed.json",
        "icon": feed.home + "cover.png",
        "authors": [{"name": clean(feed.title)}],
        "_smnb": {
            "about": "How stories are made: writer, model, approval, and IPTC's digital source type.",
            "text": f"{disclosure.GENERAL}; each item names its maker.",
        },
        "items": items,
    }
    # An unknown language is left out rather than sent empty.
    return {**document, "language": feed.language} if feed.language else document
