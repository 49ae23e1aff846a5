"""The podcast by the rules that directories and validators publish, literally."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

import feedparser
import pytest
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image

from broadcast import public_links
from broadcast.models import Airing, Episode
from broadcast.public import podcast
from broadcast.public.podcast import podcast_guid
from broadcast.speech import engines, episodes
from broadcast.transfer.formats.srt_format import captions
from sessions_app import sessions
from sessions_app.files import storage
from sessions_app.models import Session
from stories.models import SourcePost, Story
from tests.broadcast.speech.recorded_session import show, tell, visit, with_engine
from tests.broadcast.speech.test_id3 import frames, text
from tests.concurrency import together
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import past

pytestmark = pytest.mark.django_db(transaction=True)

ITUNES = "{http://www.itunes.com/dtds/podcast-1.0.dtd}"
PODCAST = "{https://podcastindex.org/namespace/1.0}"
ATOM = "{http://www.w3.org/2005/Atom}"
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
VERBATIM = (
    "You are listening to Harbour & news. Stories are taken verbatim from their sources by "
    "software. They are read by a synthetic voice."
)


@pytest.fixture(autouse=True)
def engine(settings: Any) -> None:
    with_engine(settings)


@pytest.fixture
def shown(owner: User, make_session: MakeSession) -> Session:
    """A visible session with one finished broadcast of two stories, as an episode."""

    def make() -> Session:
        session = show(make_session("Harbour & news", model="extractive"))
        tell(session)
        run_due_steps(session)
        return session

    return past("podcast rules", owner, make)


def channel(session: Session) -> ET.Element:
    found = ET.fromstring(visit(session, "podcast.xml").content).find("channel")
    assert found is not None
    return found


def path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def test_the_channel_has_what_directories_require(shown: Session) -> None:
    found = channel(shown)
    assert found.findtext("title") == "Harbour & news"
    assert found.findtext("description", "").startswith("Broadcasts of Harbour & news, ")
    assert re.fullmatch(r"http://\S+/watch/\S+/", found.findtext("link", ""))
    assert found.findtext("language") == "en"
    assert found.findtext(f"{ITUNES}author") == "Harbour & news"
    assert found.findtext(f"{ITUNES}explicit") == "false"
    assert found.findtext(f"{ITUNES}type") == "episodic"
    category = found.find(f"{ITUNES}category")
    assert category is not None
    assert category.get("text") == "News"
    assert [sub.get("text") for sub in category] == ["Daily News"]
    own = found.find(f"{ATOM}link[@rel='self']")
    assert own is not None
    assert own.get("type") == "application/rss+xml"
    assert own.get("href") == found.findtext("link", "") + "podcast.xml"
    assert found.findtext(f"{PODCAST}medium") == "podcast"
    # An owner needs an e-mail address, which is nobody's business here.
    assert found.find(f"{ITUNES}owner") is None


@pytest.mark.parametrize(
    ("address", "guid"),
    [
        # The two examples of the podcast namespace.
        ("https://mp3s.nashownotes.com/pc20rss.xml", "917393e3-1b1e-5cef-ace4-edaa54e1f810"),
        ("https://podnews.net/rss", "9b024349-ccf0-5f69-a609-6b82873eab3c"),
        ("http://podnews.net/rss/", "9b024349-ccf0-5f69-a609-6b82873eab3c"),
    ],
)
def test_the_guid_of_the_podcast_is_made_as_the_namespace_says(address: str, guid: str) -> None:
    assert podcast_guid(address) == guid


def test_the_podcast_has_its_guid(shown: Session) -> None:
    found = channel(shown)
    address = found.findtext("link", "").partition("://")[2] + "podcast.xml"
    namespace = UUID("ead4c236-bf58-58c6-a2c6-a6b28d128cb6")
    assert found.findtext(f"{PODCAST}guid") == str(uuid5(namespace, address))


def test_the_cover_is_a_picture_that_directories_take(shown: Session) -> None:
    found = channel(shown)
    image = found.find(f"{ITUNES}image")
    assert image is not None
    url = image.get("href", "")
    assert url.endswith("/cover.png")
    assert found.findtext("image/url") == url
    assert found.findtext("image/title") == found.findtext("title")
    assert found.findtext("image/link") == found.findtext("link")
    answer = Client().get(path(url))
    assert answer["Content-Type"] == "image/png"
    with Image.open(BytesIO(answer.content)) as picture:
        assert (picture.size, picture.mode, picture.format) == ((3000, 3000), "RGB", "PNG")
    # Apple's limit is 512 kB for mobile devices.
    assert len(answer.content) < 512_000
    again = Client().get(path(url), headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_two_sessions_have_two_covers() -> None:
    assert podcast.draw_cover("Harbour news") != podcast.draw_cover("Mountain news")
    assert podcast.cover_tag("Harbour news") != podcast.cover_tag("Mountain news")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "Łódź",
        "新聞",
        "أخبار",
        "👩‍👩‍👧 news",
        "Don\u2019t \u2013 “panic”",
        "W" * 120,
        "ab " * 40,
    ],
)
@pytest.mark.slow
def test_a_cover_is_drawn_of_any_name(name: str) -> None:
    with Image.open(BytesIO(podcast.draw_cover(name))) as picture:
        assert picture.size == (3000, 3000)
        # Nothing runs out of the picture: the margins have the colour of the ground.
        ground = (12, 15, 19)
        assert picture.crop((2960, 0, 3000, 3000)).getcolors() == [(40 * 3000, ground)]
        assert picture.crop((0, 2960, 3000, 3000)).getcolors() == [(3000 * 40, ground)]


def test_each_item_has_what_directories_require(shown: Session) -> None:
    one = Episode.objects.get()
    item = channel(shown).find("item")
    assert item is not None
    enclosure = item.find("enclosure")
    assert enclosure is not None
    assert enclosure.get("url", "").endswith("/episodes/1/audio.mp3")
    assert enclosure.get("type") == "audio/mpeg"
    answer = Client().head(path(enclosure.get("url", "")))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "audio/mpeg"
    assert answer["Content-Length"] == enclosure.get("length") == str(one.bytes)
    assert answer["Accept-Ranges"] == "bytes"
    guid = item.find("guid")
    assert guid is not None
    assert guid.get("isPermaLink") == "false"
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", guid.text or "")
    pattern = r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} \+0000"
    assert re.fullmatch(pattern, item.findtext("pubDate", ""))
    stopped_at = one.run.stopped_at
    assert stopped_at is not None
    assert parsedate_to_datetime(item.findtext("pubDate", "")) == stopped_at.replace(microsecond=0)
    assert re.fullmatch(r"\d+", item.findtext(f"{ITUNES}duration", ""))
    assert item.findtext(f"{ITUNES}episode") == "1"
    assert item.findtext(f"{ITUNES}episodeType") == "full"
    assert item.findtext(f"{ITUNES}explicit") == "false"


def test_a_feed_reader_finds_no_fault(shown: Session) -> None:
    found = feedparser.parse(visit(shown, "podcast.xml").content)
    assert not found.bozo
    assert found.version == "rss20"
    assert found.feed.title == "Harbour & news"
    assert found.feed.image.href.endswith("/cover.png")
    assert found.entries[0].enclosures[0].type == "audio/mpeg"


def test_channel_and_items_are_declared_as_content_of_software(shown: Session) -> None:
    found = channel(shown)
    for element in (found, found.find("item")):
        assert element is not None
        txt = element.find(f"{PODCAST}txt")
        assert txt is not None
        assert (txt.get("purpose"), txt.text) == ("ai-content", "true")
    assert "Written and read by software." in found.findtext("description", "")
    assert "<p>Stories are taken verbatim from their sources by software." in found.findtext(
        "item/description", ""
    )


@pytest.mark.parametrize(
    ("language", "named"),
    [
        ("de-AT", "de-AT"),
        ("pt_BR", "pt-BR"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("sr-Latn", "sr-Latn"),
        ("es-419", "es-419"),
        ("de-CH-1996", "de-CH-1996"),
        ("en-x-pirate", "en-x-pirate"),
        ("gsw", "gsw"),
        ("German", None),
        ("High Valyrian", None),
        ("jp", None),
        ("cz", None),
        ("en-", None),
        ("e", None),
        ("en-USA-x", None),
        ("und1", None),
    ],
)
def test_the_language_is_a_tag_or_left_out(
    shown: Session, language: str, named: str | None
) -> None:
    sessions.change(shown, language=language)
    found = channel(shown)
    assert found.findtext("language") == named
    transcript = found.find(f"item/{PODCAST}transcript")
    assert transcript is not None
    assert transcript.get("language") == named
    assert public_links.tag(language) == (named or "")


def test_a_description_is_html_of_at_most_4000_characters(shown: Session) -> None:
    Story.objects.update(title="How to centre a <div> & more " * 10)
    SourcePost.objects.update(url="https://example.org/a b?x=1&y=ä")
    description = channel(shown).findtext("item/description", "")
    assert "How to centre a &lt;div&gt; &amp; more" in description
    assert '<a href="https://example.org/a%20b?x=1&amp;y=%C3%A4">' in description
    Story.objects.update(title="x" * 300, correction="y" * 300)
    assert "Correction: yyy" in channel(shown).findtext("item/description", "")
    one = Episode.objects.get()
    notes = podcast.show_notes([one], 100)[one.run_id]
    assert 3000 < len(podcast.html_notes(notes * 20)) <= 4000


def test_the_transcript_is_what_is_heard(shown: Session) -> None:
    transcripts = channel(shown).findall(f"item/{PODCAST}transcript")
    assert [found.get("type") for found in transcripts] == ["text/vtt", "application/x-subrip"]
    vtt, srt = (Client().get(path(found.get("url", ""))) for found in transcripts)
    assert vtt["Content-Type"] == "text/vtt; charset=utf-8"
    assert srt["Content-Type"] == "application/x-subrip; charset=utf-8"
    blocks = vtt.content.decode().strip().split("\n\n")
    assert blocks[0] == "WEBVTT"
    cue = re.compile(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}\n.{1,42}(\n.{1,42})?")
    assert all(cue.fullmatch(block) for block in blocks[1:])
    heard = " ".join(" ".join(block.split("\n")[1:]) for block in blocks[1:])
    told = [story.narrative for story in Story.objects.filter(state="aired").order_by("id")]
    assert " ".join(heard.split()) == " ".join(" ".join([VERBATIM, *told]).split())
    assert srt.content.decode().startswith("1\n00:00:00,000 --> 00:00:")
    assert srt.content.decode().count(" --> ") == len(blocks) - 1


def test_the_captions_of_a_sentence_begin_with_its_sound(shown: Session) -> None:
    one = Episode.objects.get()
    story = Story.objects.filter(state="aired").order_by("id")[0]
    Story.objects.filter(pk=story.pk).update(narrative="It is high tide. The ferry waits. Go.")
    part = one.contents[1]
    part |= {"at": 9.5, "seconds": 30.0, "times": [[0, 4], [4.3, 4.9], [5.2, 29.2]]}
    assert one.contents[1] is part
    blocks = podcast.webvtt(one).split("\n\n")
    at = next(index for index, block in enumerate(blocks) if "high tide" in block)
    assert blocks[at : at + 3] == [
        "00:00:09.500 --> 00:00:13.500\nIt is high tide.",
        "00:00:13.800 --> 00:00:14.400\nThe ferry waits.",
        "00:00:14.700 --> 00:00:38.700\nGo.",
    ]
    # Those of an older version are of sentences.
    row = Story.objects.filter(pk=story.pk)
    long = "It is high tide in the harbour of the old town, and the ferry waits until the storm is over."
    row.update(narrative=f"{long} Go.")
    part["times"] = [[0, 9], [9.3, 10]]
    blocks = podcast.webvtt(one).split("\n\n")
    assert [block for block in blocks if "the storm" in block or "high tide" in block] == [
        "00:00:09.500 --> 00:00:14.148\nIt is high tide in the harbour of the old\ntown,",
        "00:00:14.148 --> 00:00:18.500\nand the ferry waits until the storm is\nover.",
    ]
    row.update(narrative="It is high tide. The ferry waits. Go.")
    # After a correction, until the episode is made again, the times are of another text.
    part["times"] = [[0, 4]]
    assert "00:00:09.500 --> 00:00:22.849\nIt is high tide." in podcast.webvtt(one)


def test_the_sounds_of_an_episode_have_the_times_of_their_captions(shown: Session) -> None:
    for part in Episode.objects.get().contents:
        times = part["times"]
        text = part["text"] or Story.objects.get(pk=part["story"]).narrative
        assert len(times) == len(captions(text)) > 1
        assert times[0][0] == 0
        assert all(begin < end for begin, end in times)
        assert part["seconds"] - times[-1][1] == pytest.approx(0.8, abs=0.15)


def test_the_chapters_begin_where_the_stories_do(shown: Session) -> None:
    url = "https://example.org/tides"
    SourcePost.objects.update(url=url)
    found = channel(shown).find(f"item/{PODCAST}chapters")
    assert found is not None
    assert found.get("type") == "application/json+chapters"
    answer = Client().get(path(found.get("url", "")))
    assert answer["Content-Type"] == "application/json+chapters; charset=utf-8"
    document = json.loads(answer.content)
    assert document["version"] == "1.2.0"
    contents = Episode.objects.get().contents
    rows = document["chapters"]
    assert [row["startTime"] for row in rows] == [part["at"] for part in contents]
    ends = [row["endTime"] for row in rows]
    assert ends[:-1] == pytest.approx([row["startTime"] for row in rows[1:]])
    assert ends[-1] == pytest.approx(Episode.objects.get().seconds)
    titles = [story.title for story in Story.objects.filter(state="aired").order_by("id")]
    assert [row["title"] for row in rows] == ["Station identification", *titles]
    assert [row.get("url") for row in rows] == [None, url, url]


def test_an_episode_opens_with_who_made_it(shown: Session) -> None:
    first, second, third = Episode.objects.get().contents
    assert (first["at"], first["story"], first["text"]) == (0, None, VERBATIM)
    assert first["seconds"] > 3
    assert second["at"] == first["seconds"]
    assert third["at"] == pytest.approx(second["at"] + second["seconds"])


def test_live_pages_get_the_identification_as_a_sound(shown: Session, settings: Any) -> None:
    answer = visit(shown, "identification.mp3")
    assert answer["Content-Type"] == "audio/mpeg"
    found = frames(answer.content)
    assert VERBATIM.encode("utf-16-le") in found["COMM"]
    assert f"{IPTC}algorithmicMedia".encode("utf-16-le") in found["TXXX"]
    assert len(engines.without_tag(answer.content)) > 20_000
    again = visit(shown, "identification.mp3", **{"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    overlay = visit(shown, "overlay/?sound=1").content.decode()
    assert f'data-identification="/watch/{shown.watch_token}/identification.mp3"' in overlay
    Story.objects.update(origin="model", model="claude-haiku-5-5")
    changed = visit(shown, "identification.mp3").content
    assert "written by claude-haiku-5-5".encode("utf-16-le") in frames(changed)["COMM"]
    with_engine(settings, "off")
    assert visit(shown, "identification.mp3").status_code == 404


def test_viewers_who_ask_at_the_same_time_wait_for_one_sound(
    shown: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken = []

    class Slow(engines.Silent):
        def speak(self, *given: object) -> engines.Speech:
            spoken.append(given)
            time.sleep(0.2)
            return engines.Speech(b"sound", "audio/mpeg", 1.0)

    monkeypatch.setattr(engines, "engine", Slow)

    def ask(_: int) -> bytes:
        return episodes.identification_sound(shown, "You are listening to many at once.")

    assert len(set(together(12, ask))) == len(spoken) == 1


@pytest.mark.slow
def test_each_further_hour_is_opened_with_it_too(make_session: MakeSession) -> None:
    session = show(make_session("Harbour & news", model="extractive"))
    tell(session, stories=3)
    first, *later = Airing.objects.order_by("id")
    start = first.aired_at.replace(minute=58)
    for airing, at in zip([first, *later], (0, 1, 3), strict=True):
        Airing.objects.filter(pk=airing.pk).update(aired_at=start + timedelta(minutes=at))
    run_due_steps(session)
    kinds = [part["story"] is None for part in Episode.objects.get().contents]
    assert kinds == [True, False, False, True, False]


def test_the_files_say_it_to_machines(shown: Session) -> None:
    one = Episode.objects.get()
    found = frames(storage.full_path(one.path).read_bytes())
    assert text(found["TIT2"]) == one.title
    assert f"{IPTC}algorithmicMedia".encode("utf-16-le") in found["TXXX"]
    assert "synthetic voice".encode("utf-16-le") in found["COMM"]
    sound = Story.objects.filter(state="aired")[0].sounds.get()
    found = frames(storage.full_path(sound.path).read_bytes())
    assert text(found["TIT2"]) == sound.story.title
    assert text(found["TPE1"]) == "Harbour & news"


def test_a_story_of_a_model_marks_the_whole_episode(make_session: MakeSession) -> None:
    session = show(make_session("Harbour news", model="extractive"))
    tell(session)
    story = Story.objects.filter(state="aired")[0]
    Story.objects.filter(pk=story.pk).update(origin="model", model="claude-haiku-5-5")
    run_due_steps(session)
    one = Episode.objects.get()
    assert one.contents[0]["text"] == (
        "You are listening to Harbour news. Stories are written by claude-haiku-5-5, or taken "
        "verbatim from their sources by software. They are read by a synthetic voice."
    )
    found = frames(storage.full_path(one.path).read_bytes())
    assert f"{IPTC}trainedAlgorithmicMedia".encode("utf-16-le") in found["TXXX"]
    assert engines.without_tag(storage.full_path(one.path).read_bytes())[:1] == b"\xff"


def test_an_episode_of_an_earlier_version_has_no_transcript(shown: Session) -> None:
    Episode.objects.update(contents=[])
    item = channel(shown).find("item")
    assert item is not None
    assert item.find(f"{PODCAST}transcript") is None
    assert item.find(f"{PODCAST}chapters") is None
    assert visit(shown, "episodes/1/transcript.vtt").status_code == 404
    assert visit(shown, "episodes/1/chapters.json").status_code == 404


def test_a_pulled_story_is_in_no_transcript(shown: Session) -> None:
    one = Episode.objects.get()
    story = Story.objects.filter(state="aired")[0]
    Story.objects.filter(pk=story.pk).update(state="killed")
    assert story.title not in json.dumps(podcast.chapters(one))
    assert len(podcast.webvtt(one)) < 2000


def test_another_type_is_not_served_under_a_wrong_name(shown: Session) -> None:
    assert visit(shown, "episodes/1/audio.mp3").status_code == 200
    assert visit(shown, "episodes/1/audio").status_code == 200
    assert visit(shown, "episodes/1/audio.ogg").status_code == 404


@pytest.mark.parametrize(
    "part",
    [
        "feed.atom",
        "feed.json",
        "podcast.xml",
        "cover.png",
        "episodes/1/audio.mp3",
        "episodes/1/audio",
        "episodes/1/transcript.vtt",
        "episodes/1/transcript.srt",
        "episodes/1/chapters.json",
    ],
)
def test_pages_of_other_sites_may_read_it(shown: Session, part: str) -> None:
    answer = visit(shown, part, Origin="https://player.example.org")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    unchanged = visit(shown, part, **{"If-None-Match": answer["ETag"]})
    assert unchanged.status_code == 304
    assert unchanged["Access-Control-Allow-Origin"] == "*"
    address = f"/watch/{shown.watch_token}/{part}"
    preflight = Client().options(
        address,
        headers={
            "Origin": "https://player.example.org",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "if-none-match, range",
        },
    )
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "If-None-Match" in preflight["Access-Control-Allow-Headers"]
    assert Client().post(address).status_code == 405


@pytest.mark.parametrize("part", ["", "overlay/", "episodes/1/"])
def test_no_page_of_another_site_may_read_a_page(shown: Session, part: str) -> None:
    assert "Access-Control-Allow-Origin" not in visit(shown, part).headers
