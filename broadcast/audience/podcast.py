"""The podcast: finished broadcasts as RSS 2.0 with the tags that podcast apps ask for."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import format_datetime
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree as ET

from broadcast.audience import episodes, language, notes
from broadcast.audience.feeds import ATOM, clean
from broadcast.models import Episode
from sessions_app.models import Session

ITUNES = "http://www.itunes.com/dtds/podcast-1.0.dtd"
MOST_NOTES = 100


def guid_of(session: UUID, run_number: int) -> str:
    """The same for ever; it tells nothing of the session's id."""
    return uuid5(uuid5(NAMESPACE_URL, f"smnb:{session}"), f"episode {run_number}").urn


def rss(session: Session, home: str) -> bytes:
    """The feed of the session's latest episodes; ``home`` is the address of its watch page."""
    ET.register_namespace("itunes", ITUNES)
    ET.register_namespace("atom", ATOM)
    root = ET.Element("rss", version="2.0")
    channel = ET.SubElement(root, "channel")
    _add(channel, "title", session.name)
    _add(channel, "link", home)
    _add(channel, "description", f"Broadcasts of {session.name}, with sources for every story.")
    _add(channel, "language", language.tag(session.language) or "und")
    _add(channel, "generator", "SMNB")
    own = {"rel": "self", "type": "application/rss+xml", "href": f"{home}podcast.xml"}
    ET.SubElement(channel, f"{{{ATOM}}}link", own)
    _itunes(channel, "author", session.name)
    _itunes(channel, "explicit", "false")
    ET.SubElement(channel, f"{{{ITUNES}}}category", text="News")
    _fill(channel, session, home)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _fill(channel: ET.Element, session: Session, home: str) -> None:
    made = episodes.of_session(session)
    told = notes.of_episodes(made, MOST_NOTES)
    for episode in made:
        _item(channel, episode, home, told.get(episode.run_id, []))


def _item(channel: ET.Element, episode: Episode, home: str, told: Sequence[notes.Note]) -> None:
    item = ET.SubElement(channel, "item")
    number = episode.run.number
    place = f"{home}episodes/{number}/"
    _add(item, "title", episode.title)
    _add(item, "link", place)
    _add(item, "description", notes.plain(told))
    guid = _add(item, "guid", guid_of(episode.session_id, number))
    guid.set("isPermaLink", "false")
    _add(item, "pubDate", format_datetime(episode.run.stopped_at or episode.created_at))
    ET.SubElement(
        item, "enclosure", url=f"{place}audio", length=str(episode.bytes), type=episode.media_type
    )
    _itunes(item, "duration", str(round(episode.seconds)))
    _itunes(item, "episode", str(number))


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = clean(text)
    return element


def _itunes(parent: ET.Element, name: str, text: str) -> None:
    _add(parent, f"{{{ITUNES}}}{name}", text)
