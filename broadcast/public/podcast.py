"""The podcast: episodes as RSS 2.0 with the tags that podcast apps ask for, and their show notes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from email.utils import format_datetime
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree as ET

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from broadcast import public_links
from broadcast.models import Airing, Episode
from broadcast.public.feeds import ATOM, clean
from broadcast.speech import episodes
from sessions_app.models import Session
from sessions_app.templatetags.newsroom import weburl
from stories import stories
from stories.disclosure import GENERAL, spoken
from stories.models import Story
from stories.stories import PublicStory

ITUNES = "http://www.itunes.com/dtds/podcast-1.0.dtd"
PODCAST = "https://podcastindex.org/namespace/1.0"
AI_CONTENT = "ai-content"
MOST_NOTES = 100


def show_notes(episodes: Sequence[Episode], most: int) -> dict[int, list[PublicStory]]:
    """The first ``most`` stories of each episode in the order of airing, by run; one query."""
    runs = [episode.run_id for episode in episodes]
    aired = Airing.objects.filter(run__in=runs, story__state=Story.State.AIRED)
    # A window function limits the stories of each episode in one query for all of them.
    place = Window(RowNumber(), partition_by=F("run"), order_by=F("id").asc())
    rows = aired.annotate(place=place).filter(place__lte=most).order_by("id")
    notes: dict[int, list[PublicStory]] = defaultdict(list)
    for airing in rows.select_related("story__post__source", "story__thread"):
        notes[airing.run_id].append(stories.public_payload(stories.payload(airing.story)))
    return notes


def plain_notes(notes: Sequence[PublicStory]) -> str:
    """Show notes as plain text, one story a line."""
    lines = []
    for story in notes:
        parts = [story["title"]]
        if post := story["post"]:
            parts += [f"({post['source']})", weburl(post["url"])]
        if story["correction"]:
            parts.append(f"Correction: {story['correction']}")
        lines.append(" ".join(part for part in parts if part))
    making = spoken([story["disclosure"] for story in notes])
    return clean("\n".join([making, *lines]))


def episode_guid(session: UUID, run_number: int) -> str:
    """A permanent id; it does not reveal the session's id."""
    return uuid5(uuid5(NAMESPACE_URL, f"smnb:{session}"), f"episode {run_number}").urn


def rss(session: Session, home: str) -> bytes:
    """The feed of the session's latest episodes; ``home`` is the address of its watch page."""
    ET.register_namespace("itunes", ITUNES)
    ET.register_namespace("atom", ATOM)
    ET.register_namespace("podcast", PODCAST)
    root = ET.Element("rss", version="2.0")
    channel = ET.SubElement(root, "channel")
    _add(channel, "title", session.name)
    _add(channel, "link", home)
    _add(
        channel,
        "description",
        f"Broadcasts of {session.name}, with sources for every story. {GENERAL}.",
    )
    # The element is required by podcast directories; "und" means an undetermined language.
    _add(channel, "language", public_links.tag(session.language) or "und")
    _add(channel, "generator", "SMNB")
    own = {"rel": "self", "type": "application/rss+xml", "href": f"{home}podcast.xml"}
    ET.SubElement(channel, f"{{{ATOM}}}link", own)
    _add(channel, f"{{{ITUNES}}}author", session.name)
    _add(channel, f"{{{ITUNES}}}explicit", "false")
    ET.SubElement(channel, f"{{{ITUNES}}}category", text="News")
    _add(channel, f"{{{PODCAST}}}txt", "true").set("purpose", AI_CONTENT)
    rows = episodes.of_session(session)
    notes = show_notes(rows, MOST_NOTES)
    for episode in rows:
        _add_item(channel, episode, home, notes.get(episode.run_id, []))
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _add_item(
    channel: ET.Element, episode: Episode, home: str, notes: Sequence[PublicStory]
) -> None:
    item = ET.SubElement(channel, "item")
    number = episode.run.number
    url = f"{home}episodes/{number}/"
    _add(item, "title", episode.title)
    _add(item, "link", url)
    _add(item, "description", plain_notes(notes))
    # Apps know an episode by its guid; without isPermaLink="false" they would open it as an
    # address.
    guid = _add(item, "guid", episode_guid(episode.session_id, number))
    guid.set("isPermaLink", "false")
    _add(item, "pubDate", format_datetime(episode.run.stopped_at or episode.created_at))
    ET.SubElement(
        item, "enclosure", url=f"{url}audio", length=str(episode.bytes), type=episode.media_type
    )
    _add(item, f"{{{ITUNES}}}duration", str(round(episode.seconds)))
    _add(item, f"{{{ITUNES}}}episode", str(number))
    _add(item, f"{{{PODCAST}}}txt", "true").set("purpose", AI_CONTENT)


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = clean(text)
    return element
