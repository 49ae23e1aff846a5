"""The podcast: episodes as RSS 2.0 with the tags that podcast apps ask for, their show notes, and
the drawn cover.
"""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from email.utils import format_datetime
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree as ET

from django.conf import settings
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.utils.html import escape

from broadcast import public_links
from broadcast.models import Airing, Episode
from broadcast.public.feeds import ATOM, clean, link_url
from broadcast.speech import episodes, sounds
from broadcast.speech.episodes import Part
from broadcast.transfer.formats.srt_format import spoken_cues, timestamp
from broadcast.transfer.formats.srt_format import webvtt as write_webvtt
from sessions_app.models import Session
from sessions_app.templatetags.newsroom import weburl
from stories import stories
from stories.disclosure import GENERAL, spoken
from stories.models import Story
from stories.stories import PublicStory

ITUNES = "http://www.itunes.com/dtds/podcast-1.0.dtd"
PODCAST = "https://podcastindex.org/namespace/1.0"
AI_CONTENT = "ai-content"
# The namespace of podcasts' ids in the podcast namespace.
GUIDS = UUID("ead4c236-bf58-58c6-a2c6-a6b28d128cb6")
MOST_NOTES = 100
LONGEST_NOTES = 4000  # characters; directories cut a longer description


def show_notes(episodes: Sequence[Episode], most: int) -> dict[int, list[PublicStory]]:
    """The first ``most`` stories of each episode in the order of airing, by run; one query."""
    runs = [episode.run_id for episode in episodes]
    aired = Airing.objects.filter(run__in=runs, story__state=Story.State.AIRED)
    # A window function limits the stories of each episode in one query for all of them.
    place = Window(RowNumber(), partition_by=F("run"), order_by=F("id").asc())
    rows = aired.annotate(place=place).filter(place__lte=most).order_by("id")
    notes: dict[int, list[PublicStory]] = defaultdict(list)
    with_stories = rows.select_related("story__post__source", "story__thread")
    for airing in with_stories.prefetch_related("story__reports__post__source"):
        notes[airing.run_id].append(stories.public_payload(stories.payload(airing.story)))
    return notes


def html_notes(notes: Sequence[PublicStory]) -> str:
    """Show notes as HTML, which is what apps take a description for; whole stories only."""
    text = f"<p>{escape(spoken([story['disclosure'] for story in notes]))}</p>"
    for story in notes:
        parts = [str(escape(story["title"]))]
        if post := story["post"]:
            source, url = escape(post["source"]), link_url(post["url"])
            parts.append(f'(<a href="{escape(url)}">{source}</a>)' if url else f"({source})")
        if story["correction"]:
            parts.append(f"Correction: {escape(story['correction'])}")
        line = f"<p>{' '.join(parts)}</p>"
        if len(text) + len(line) > LONGEST_NOTES:
            break
        text += line
    return clean(text)


def podcast_guid(feed_url: str) -> str:
    """The id of the podcast, made of the address of its feed as the podcast namespace defines it."""
    return str(uuid5(GUIDS, feed_url.partition("://")[2].rstrip("/")))


def episode_guid(session: UUID, run_number: int) -> str:
    """A permanent id; it does not reveal the session's id."""
    return uuid5(uuid5(NAMESPACE_URL, f"smnb:{session}"), f"episode {run_number}").urn


def rss(session: Session, home: str) -> bytes:
    """The feed of the session's latest episodes; ``home`` is the address of its watch page."""
    for prefix, namespace in (("itunes", ITUNES), ("atom", ATOM), ("podcast", PODCAST)):
        ET.register_namespace(prefix, namespace)
    root = ET.Element("rss", version="2.0")
    channel = ET.SubElement(root, "channel")
    feed_url, cover = f"{home}podcast.xml", f"{home}cover.png"
    name = clean(session.name) or "SMNB"
    _add(channel, "title", name)
    _add(channel, "link", home)
    # Plain text: of descriptions only those of items may hold HTML.
    about = f"Broadcasts of {name}, with sources for every story. {GENERAL}."
    _add(channel, "description", about)
    # Directories refuse a tag that names no language, so it is left out instead.
    if language := public_links.tag(session.language):
        _add(channel, "language", language)
    _add(channel, "generator", "SMNB")
    own = {"rel": "self", "type": "application/rss+xml", "href": feed_url}
    ET.SubElement(channel, f"{{{ATOM}}}link", own)
    image = ET.SubElement(channel, "image")
    for tag, text in (("url", cover), ("title", name), ("link", home)):
        _add(image, tag, text)
    # There is no itunes:owner: it requires an e-mail address, which would be public.
    _add(channel, f"{{{ITUNES}}}author", name)
    ET.SubElement(channel, f"{{{ITUNES}}}image", href=cover)
    _add(channel, f"{{{ITUNES}}}explicit", "false")
    _add(channel, f"{{{ITUNES}}}type", "episodic")
    category = ET.SubElement(channel, f"{{{ITUNES}}}category", text="News")
    ET.SubElement(category, f"{{{ITUNES}}}category", text="Daily News")
    _add(channel, f"{{{PODCAST}}}guid", podcast_guid(feed_url))
    _add(channel, f"{{{PODCAST}}}medium", "podcast")
    _add(channel, f"{{{PODCAST}}}txt", "true").set("purpose", AI_CONTENT)
    rows = episodes.of_session(session)
    notes = show_notes(rows, MOST_NOTES)
    for episode in rows:
        _add_item(channel, episode, home, notes.get(episode.run_id, []), language)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _add_item(
    channel: ET.Element, episode: Episode, home: str, notes: Sequence[PublicStory], language: str
) -> None:
    item = ET.SubElement(channel, "item")
    number = episode.run.number
    url = f"{home}episodes/{number}/"
    _add(item, "title", episode.title)
    _add(item, "link", url)
    _add(item, "description", html_notes(notes))
    # Apps know an episode by its guid; without isPermaLink="false" they would open it as an
    # address.
    guid = _add(item, "guid", episode_guid(episode.session_id, number))
    guid.set("isPermaLink", "false")
    _add(item, "pubDate", format_datetime(episode.run.stopped_at or episode.created_at))
    # Directories and some players go by the end of the address, not by the type.
    audio = f"{url}audio.{sounds.SUFFIXES[episode.media_type]}"
    ET.SubElement(item, "enclosure", url=audio, length=str(episode.bytes), type=episode.media_type)
    _add(item, f"{{{ITUNES}}}duration", str(round(episode.seconds)))
    _add(item, f"{{{ITUNES}}}episode", str(number))
    _add(item, f"{{{ITUNES}}}episodeType", "full")
    _add(item, f"{{{ITUNES}}}explicit", "false")
    if episode.contents:
        for suffix, type_ in (("vtt", "text/vtt"), ("srt", "application/x-subrip")):
            about = {"url": f"{url}transcript.{suffix}", "type": type_}
            about |= {"language": language} if language else {}
            ET.SubElement(item, f"{{{PODCAST}}}transcript", about)
        about = {"url": f"{url}chapters.json", "type": "application/json+chapters"}
        ET.SubElement(item, f"{{{PODCAST}}}chapters", about)
    _add(item, f"{{{PODCAST}}}txt", "true").set("purpose", AI_CONTENT)


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = clean(text)
    return element


# The silence at the end of each sound, in which no caption is shown.
PAUSE = 0.8
IDENTIFICATION = "Station identification"


def webvtt(episode: Episode) -> str:
    """Returns the transcript as WebVTT, which browsers and most podcast apps read."""
    return write_webvtt(_captions(episode))


def subrip(episode: Episode) -> str:
    """Returns the transcript as SubRip (SRT)."""
    lines = []
    for number, (begin, end, text) in enumerate(_captions(episode), start=1):
        lines += [str(number), f"{timestamp(begin)} --> {timestamp(end)}", text, ""]
    return "\n".join(lines)


def chapters(episode: Episode) -> dict[str, object]:
    """Returns the chapters as JSON, one for each story and each identification."""
    stories = _stories(episode)
    rows: list[dict[str, object]] = []
    for part in _parts(episode):
        story = stories.get(part["story"] or 0)
        times = {"startTime": part["at"], "endTime": round(part["at"] + part["seconds"], 2)}
        if part["story"] is None:
            rows.append({**times, "title": IDENTIFICATION})
        elif story is not None:
            row: dict[str, object] = {**times, "title": story.title}
            if story.post is not None and (url := weburl(story.post.url)):
                row["url"] = url
            rows.append(row)
    return {"version": "1.2.0", "title": episode.title, "chapters": rows}


def _captions(episode: Episode) -> Iterator[tuple[float, float, str]]:
    stories = _stories(episode)
    for part in _parts(episode):
        story = stories.get(part["story"] or 0)
        text = part["text"] if part["story"] is None else story.narrative if story else ""
        end = part["at"] + max(part["seconds"] - PAUSE, 0.1)
        yield from spoken_cues(text, part.get("times", []), part["at"], end)


def _parts(episode: Episode) -> list[Part]:
    parts: list[Part] = episode.contents
    return parts


def _stories(episode: Episode) -> dict[int, Story]:
    ids = [part["story"] for part in _parts(episode) if part["story"] is not None]
    rows = Story.objects.filter(pk__in=ids, session=episode.session, state=Story.State.AIRED)
    return {story.pk: story for story in rows.select_related("post")}


if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

SIZE = 3000  # pixels
_VERSION = 2  # raise it when the drawing changes
_MARGIN, _TOP = 260, 1150
_GROUND = (12, 15, 19)
_INK = (237, 241, 245)
_SIGNAL = (217, 36, 56)
_SOFT = (162, 174, 188)
# Accents of the bars, one of them by the name, so that two podcasts differ.
_ACCENTS = ((31, 111, 235), (22, 128, 60), (163, 90, 0), (122, 63, 209), (12, 122, 138))
# The typeface of headlines, which has the letters of western Europe.
_HEADLINE, _HEAVY = "schibsted-grotesk-latin.*.woff2", 800
# The built-in font has the letters of English only; these are installed on many systems.
_SYSTEM_FONTS = ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "NotoSansCJK-Bold.ttc", "Arial.ttf")
# Typographic quotes and dashes, which that font does not have.
PLAIN = {
    0x2019: "'",
    0x2018: "'",
    0x201C: '"',
    0x201D: '"',
    0x2013: "-",
    0x2014: "-",
    0x2026: "...",
}
_LINES, _LARGEST, _SMALLEST = 4, 420, 140


def cover_tag(name: str) -> str:
    """Returns the ETag of the cover of a session with this name."""
    return hashlib.sha256(f"{_VERSION} {name}".encode()).hexdigest()[:32]


@lru_cache(maxsize=16)  # 40 kB each; drawing takes a third of a second
def draw_cover(name: str) -> bytes:
    """Returns the cover as PNG. A name that no font can write is left out."""
    from PIL import Image, ImageDraw

    accent = _ACCENTS[hashlib.sha256(name.encode()).digest()[0] % len(_ACCENTS)]
    picture = Image.new("RGB", (SIZE, SIZE), _GROUND)
    canvas = ImageDraw.Draw(picture)
    for number, height in enumerate((240, 520, 360, 160)):
        left, middle = _MARGIN + number * 150, 620
        bar = (left, middle - height // 2, left + 70, middle + height // 2)
        canvas.rounded_rectangle(bar, radius=35, fill=_SIGNAL if number == 2 else accent)
    plain = " ".join(name.translate(PLAIN).split())
    if font := font_for(plain, _SMALLEST):
        font, lines = fitted(plain, font, SIZE - 2 * _MARGIN, range(_LARGEST, _SMALLEST - 1, -40))
        text = "\n".join(lines)
        canvas.multiline_text((_MARGIN, _TOP), text, fill=_INK, font=font, spacing=font.size // 5)
    small = font_for("", 110)
    if small:
        canvas.text((_MARGIN, SIZE - 400), "SMNB", fill=_INK, font=small)
        text = "Written and read by software"
        canvas.text((_MARGIN, SIZE - 260), text, fill=_SOFT, font=small)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def fitted(
    name: str, font: FreeTypeFont, width: int, sizes: range, most: int = _LINES
) -> tuple[FreeTypeFont, list[str]]:
    """Returns the largest size of the font in which the name fits, with the lines of the name."""
    for size in sizes:
        sized = font.font_variant(size=size)
        with suppress(OSError):  # of a font with one weight
            sized.set_variation_by_axes([_HEAVY])
        columns = max(1, int(width * len(name) / max(sized.getlength(name), 1)))
        lines = wrap(name, columns, break_long_words=size == sizes[-1])
        if len(lines) <= most and all(sized.getlength(line) <= width for line in lines):
            return sized, lines
    # A name that is too long even in small letters is cut.
    narrow = wrap(name, max(1, columns * 3 // 4))[:most]
    return sized, [line for line in narrow if sized.getlength(line) <= width]


def font_for(text: str, size: int) -> FreeTypeFont | None:
    """Returns the first font with all characters of the text; None if no font has them."""
    from PIL import ImageFont

    fonts: list[FreeTypeFont | ImageFont.ImageFont] = []
    for name in (*map(str, (settings.BASE_DIR / "static/fonts").glob(_HEADLINE)), *_SYSTEM_FONTS):
        try:
            fonts.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    fonts.insert(1, ImageFont.load_default(size))
    for font in fonts:
        if isinstance(font, ImageFont.FreeTypeFont) and _has_all(font, text):
            return font
    return None


def _has_all(font: FreeTypeFont, text: str) -> bool:
    # A font draws the same box for each character that it does not have.
    missing = bytes(font.getmask("\uffff"))
    return all(bytes(font.getmask(character)) != missing for character in set(text) - {" "})
