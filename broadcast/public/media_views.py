"""What the audience hears: sounds of stories, episodes and the podcast; public, read-only.

The podcast: finished broadcasts as RSS 2.0 with the tags that podcast apps ask for.

Show notes: what an episode tells, with sources and corrections; public.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from email.utils import format_datetime
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree as ET

from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response

from broadcast import public_links, session_commands
from broadcast.models import Airing, Episode, Recorded
from broadcast.public.feeds import ATOM, clean
from broadcast.public.views import public
from broadcast.speech import episodes, sounds
from broadcast.speech.episodes import MOST_STORIES
from sessions_app.errors import NotFound
from sessions_app.files import downloads
from sessions_app.models import Session
from sessions_app.templatetags.newsroom import weburl
from stories import stories
from stories.models import Story
from stories.stories import PublicStory


def of_episodes(episodes: Sequence[Episode], most: int) -> dict[int, list[PublicStory]]:
    """By run: its stories (public payloads) in the order of airing, at most ``most``; one query."""
    aired = Airing.objects.filter(
        run__in=[episode.run_id for episode in episodes], story__state=Story.State.AIRED
    )
    place = Window(RowNumber(), partition_by=F("run"), order_by=F("id").asc())
    rows = aired.annotate(place=place).filter(place__lte=most).order_by("id")
    found: dict[int, list[PublicStory]] = defaultdict(list)
    for one in rows.select_related("story__post__source", "story__thread"):
        found[one.run_id].append(stories.public_payload(stories.payload(one.story)))
    return found


def plain(stories: Sequence[PublicStory]) -> str:
    """The show notes as plain text, a story a line."""
    return clean("\n".join(map(_line, stories)))


def _line(story: PublicStory) -> str:
    parts = [story["title"]]
    if post := story["post"]:
        parts += [f"({post['source']})", weburl(post["url"])]
    if story["correction"]:
        parts.append(f"Correction: {story['correction']}")
    return " ".join(part for part in parts if part)


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
    _add(channel, "language", public_links.tag(session.language) or "und")
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
    told = of_episodes(made, MOST_NOTES)
    for episode in made:
        _item(channel, episode, home, told.get(episode.run_id, []))


def _item(channel: ET.Element, episode: Episode, home: str, told: Sequence[PublicStory]) -> None:
    item = ET.SubElement(channel, "item")
    number = episode.run.number
    place = f"{home}episodes/{number}/"
    _add(item, "title", episode.title)
    _add(item, "link", place)
    _add(item, "description", plain(told))
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


@public
def sound(request: HttpRequest, session: Session, sound_id: int) -> HttpResponseBase:
    """The sound of a story that was told."""
    try:
        return _send(request, sounds.find(session, sound_id))
    except NotFound as error:
        raise Http404(error.sentence) from None


@public
def audio(request: HttpRequest, session: Session, run_number: int) -> HttpResponseBase:
    """A finished broadcast as one file."""
    return _send(request, _episode(session, run_number))


@public
def episode(request: HttpRequest, session: Session, run_number: int) -> HttpResponse:
    """An episode with its player and its show notes."""
    found = _episode(session, run_number)
    page = {
        "session": {"name": session.name},
        "token": session.watch_token,
        "episode": found,
        "notes": of_episodes([found], MOST_STORIES).get(found.run_id, []),
    }
    return render(request, "public/episode.html", page)


@public
def podcast_feed(request: HttpRequest, session: Session) -> HttpResponse:
    """The podcast, or 304 when the reader has it already."""
    text = rss(session, session_commands.watch_url(session) or "")
    tag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
    made = HttpResponse(text, content_type="application/rss+xml")
    response: HttpResponse = get_conditional_response(request, etag=tag) or made
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-cache"
    return response


def _episode(session: Session, run_number: int) -> Episode:
    try:
        return episodes.find(session, run_number)
    except NotFound as error:
        raise Http404(error.sentence) from None


def _send(request: HttpRequest, recorded: Recorded) -> HttpResponseBase:
    return downloads.send(request, recorded.path, recorded.media_type, recorded.sha256)
