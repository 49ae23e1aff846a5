"""Episodes: a finished run as one file, kept true to its stories, with a page and a podcast."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django.utils.html import escape

from broadcast.models import Broadcast, Episode, Sound
from broadcast.public import podcast
from broadcast.public.feeds import ATOM
from broadcast.speech import engines, sounds
from sessions_app import sessions
from sessions_app.files import storage
from sessions_app.models import Session, Step
from stories.models import SourcePost, Story
from tests.broadcast.speech.recorded_session import correct, press, show, tell, visit, with_engine
from tests.conftest import MakeSession, run_due_steps
from tests.database_snapshots import past
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = {"itunes": podcast.ITUNES, "atom": ATOM}
HOSTILE = "Tide ]]> <script>alert(1)</script> & \x0b\ufffe “quoted” 🛶"


@pytest.fixture(autouse=True)
def engine(settings: Any) -> None:
    with_engine(settings)


@pytest.fixture
def ended(owner: User, make_session: MakeSession) -> Session:
    """A run that told two stories; its sounds and its episode are still to be made."""
    return past("episodes, ended", owner, lambda: run_with_two_stories(make_session))


def run_with_two_stories(make_session: MakeSession) -> Session:
    session = show(make_session("Harbour & news", model="extractive"))
    tell(session)
    return session


@pytest.fixture
def shown(owner: User, make_session: MakeSession) -> Session:
    def make() -> Session:
        session = run_with_two_stories(make_session)
        run_due_steps(session)
        return session

    return past("episodes, shown", owner, make)


def episode() -> Episode:
    return Episode.objects.get()


def audio(one: Episode) -> bytes:
    return storage.full_path(one.path).read_bytes()


def spoken(one: Episode) -> bytes:
    """The audio of the stories: without the tag and the station identification before it."""
    data = engines.without_tag(audio(one))
    first = Sound.objects.get(pk=first_sound(one))
    identification = data.index(engines.without_tag(storage.full_path(first.path).read_bytes()))
    assert identification > 0
    return data[identification:]


def first_sound(one: Episode) -> int:
    story = next(part["story"] for part in one.contents if part["story"])
    return Sound.objects.get(story=story, version=F("story__version")).pk


def parts(stories: list[Story]) -> list[bytes]:
    by_story = {sound.story_id: sound for sound in Sound.objects.filter(state="ready")}
    files = [storage.full_path(by_story[story.pk].path) for story in stories]
    return [engines.without_tag(file.read_bytes()) for file in files]


def told() -> list[Story]:
    return list(Story.objects.filter(state="aired").order_by("id"))


def on_disk(session: Session) -> list[str]:
    folder = storage.full_path(f"{sounds.FOLDER}/{session.pk}")
    return sorted(file.name for file in folder.glob("episode*"))


def items(session: Session) -> list[ET.Element]:
    return ET.fromstring(visit(session, "podcast.xml").content).findall("channel/item")


def test_an_ended_run_becomes_an_episode(shown: Session) -> None:
    one = episode()
    assert (one.state, one.media_type) == ("ready", "audio/mpeg")
    assert spoken(one) == b"".join(parts(told()))
    assert (one.bytes, one.sha256) == (len(audio(one)), hashlib.sha256(audio(one)).hexdigest())
    assert one.seconds == pytest.approx(sum(part["seconds"] for part in one.contents), abs=0.1)
    stories = sum(part["seconds"] for part in one.contents if part["story"])
    assert stories == pytest.approx(sum(s.seconds for s in Sound.objects.all()), abs=0.1)


def test_what_has_no_sound_yet_is_spoken_for_it(ended: Session) -> None:
    Step.objects.filter(kind="speak").update(state="cancelled")
    run_due_steps(ended, "episode")
    assert spoken(episode()) == b"".join(parts(told()))


def test_a_run_that_told_nothing_has_none(make_session: MakeSession) -> None:
    session = show(make_session())
    press(session, "broadcast.start")
    press(session, "broadcast.stop")
    run_due_steps(session)
    assert Broadcast.objects.get().state == "idle"
    assert not Episode.objects.exists()


def test_each_run_has_its_own(shown: Session) -> None:
    tell(shown, stories=4)
    run_due_steps(shown)
    assert list(Episode.objects.order_by("id").values_list("run__number", flat=True)) == [1, 2]
    first, second = Episode.objects.order_by("id")
    assert spoken(first) + spoken(second) == b"".join(parts(told()))


def test_long_work_goes_on_in_the_next_turn(ended: Session, monkeypatch: Any) -> None:
    Step.objects.filter(kind="speak").update(state="cancelled")
    clock = iter(range(0, 10_000, 30))
    monkeypatch.setattr("broadcast.speech.episodes.time.monotonic", lambda: next(clock))
    assert run_due_steps(ended, "episode", most=1) == 1
    assert Sound.objects.count() == 1
    assert not Episode.objects.exists()
    run_due_steps(ended, "episode")
    assert spoken(episode()) == b"".join(parts(told()))


def test_a_correction_makes_it_anew(shown: Session) -> None:
    before = audio(episode())
    old_path = episode().path
    correct(shown, told()[0])
    assert audio(episode()) == before
    run_due_steps(shown)
    assert spoken(episode()) == b"".join(newest_sounds())
    assert not storage.full_path(old_path).exists()
    assert len(on_disk(shown)) == 1


def test_a_pulled_story_takes_it_back_until_it_is_made_without(shown: Session) -> None:
    press(shown, "story.kill", story=told()[0].pk)
    assert visit(shown, "episodes/1/audio").status_code == 404
    run_due_steps(shown)
    assert spoken(episode()) == b"".join(parts(told()))
    assert visit(shown, "episodes/1/audio").status_code == 200


def test_pulling_every_story_ends_it_for_good(shown: Session) -> None:
    for story in told():
        press(shown, "story.kill", story=story.pk)
    run_due_steps(shown)
    assert (episode().state, on_disk(shown)) == ("dropped", [])


def test_a_correction_while_it_is_joined_is_not_overheard(ended: Session, monkeypatch: Any) -> None:
    keep, corrected = storage.write, list[Story]()

    def meanwhile(path: str, chunks: Any) -> storage.StoredFile:
        if "episode" in path and not corrected:
            corrected.append(told()[0])
            correct(ended, corrected[0])
        return keep(path, chunks)

    monkeypatch.setattr(storage, "write", meanwhile)
    run_due_steps(ended)
    assert corrected
    assert Sound.objects.filter(state="ready", version=2).exists()
    assert len(on_disk(ended)) == 1
    assert spoken(episode()) == b"".join(newest_sounds())


def newest_sounds() -> list[bytes]:
    sounds_ = [Sound.objects.get(story=story, version=story.version) for story in told()]
    return [engines.without_tag(storage.full_path(sound.path).read_bytes()) for sound in sounds_]


def test_a_lost_file_is_spoken_again(ended: Session) -> None:
    run_due_steps(ended, "speak")
    storage.full_path(Sound.objects.earliest("pk").path).unlink()
    run_due_steps(ended, "episode")
    assert spoken(episode()) == b"".join(parts(told()))


def test_where_nothing_can_be_spoken_it_says_so(make_session: MakeSession) -> None:
    session = show(make_session(model="extractive", language="tlh"))
    tell(session)
    run_due_steps(session)
    assert (episode().state, episode().error) == ("failed", "None of its stories could be spoken.")
    assert items(session) == []


def test_its_page_has_a_player_and_the_show_notes(shown: Session) -> None:
    # One sentence says how all of its stories were made.
    labels = re.findall(
        r'class="ai-label" lang="en">([^<]*)<',
        unbroken(visit(shown, "episodes/1/").content.decode()),
    )
    assert [each[:55] for each in labels] == [
        "Unless a story says otherwise: Verbatim from the source"
    ]
    correct(shown, told()[0])
    url = "https://example.org/tides"
    SourcePost.objects.filter(story=told()[1]).update(url=url)
    page = unbroken(visit(shown, "episodes/1/").content.decode())
    assert '<audio class="listen" controls preload="metadata" src="audio"' in page
    # Each story plays from where it begins.
    begins = [part["at"] for part in episode().contents if part["story"]]
    assert re.findall(r'href="audio#t=([\d.]+)"', page) == [str(at) for at in begins]
    assert len(begins) == len(told())
    assert told()[1].title in page
    assert "Repair" in page
    assert "A slip." in page
    assert f'href="{url}"' in page


def test_the_watch_page_leads_to_it(shown: Session) -> None:
    page = visit(shown, "").content.decode()
    assert f'href="/watch/{shown.watch_token}/episodes/1/"' in page
    assert f'href="/watch/{shown.watch_token}/podcast.xml"' in page


def test_the_podcast_has_what_apps_ask_for(shown: Session) -> None:
    one, item = episode(), items(shown)[0]
    enclosure = item.find("enclosure")
    assert enclosure is not None
    assert enclosure.get("length") == str(one.bytes)
    assert enclosure.get("type") == "audio/mpeg"
    path = "/" + enclosure.get("url", "").split("/", 3)[3]
    assert Client().get(path).content == audio(one)
    assert item.findtext("itunes:duration", "", NAMES) == str(round(one.seconds))
    assert escape(told()[0].title) in item.findtext("description", "")
    assert visit(shown, "podcast.xml")["Content-Type"] == "application/rss+xml"


def test_an_episode_keeps_its_guid(shown: Session) -> None:
    before = items(shown)[0]
    correct(shown, told()[0])
    sessions.change(shown, name="Another name")
    run_due_steps(shown)
    after = items(shown)[0]
    assert before.findtext("guid") == after.findtext("guid")
    assert "Correction: A slip." in after.findtext("description", "")


def test_hostile_text_breaks_neither_podcast_nor_page(shown: Session) -> None:
    Story.objects.update(title=HOSTILE, correction=HOSTILE)
    SourcePost.objects.update(url="javascript:alert(1)")
    assert "<p>Tide ]]&gt; &lt;script&gt;" in items(shown)[0].findtext("description", "")
    page = visit(shown, "episodes/1/").content.decode()
    assert "<script>alert" not in page
    assert "javascript:" not in page + visit(shown, "podcast.xml").content.decode()


def test_a_reader_that_has_the_podcast_gets_304(shown: Session) -> None:
    tag = visit(shown, "podcast.xml")["ETag"]
    again = visit(shown, "podcast.xml", **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    Episode.objects.update(title="Another")
    assert visit(shown, "podcast.xml", **{"If-None-Match": tag}).status_code == 200


PARTS = [
    "podcast.xml",
    "episodes/1/",
    "episodes/1/audio",
    "episodes/1/audio.mp3",
    "episodes/1/transcript.vtt",
    "episodes/1/transcript.srt",
    "episodes/1/chapters.json",
    "cover.png",
]


@pytest.mark.parametrize("part", PARTS)
def test_revoking_the_link_closes_it(shown: Session, part: str) -> None:
    path = f"/watch/{shown.watch_token}/{part}"
    assert Client().get(path).status_code == 200
    sessions.show(shown, False)
    assert Client().get(path).status_code == 404


@pytest.mark.parametrize("part", PARTS[:2])
def test_no_public_byte_tells_of_the_owner_or_the_money(shown: Session, part: str) -> None:
    Story.objects.update(note="secret-note", model="secret-model")
    Session.objects.update(instructions="secret-instruction")
    text = visit(shown, part).content.decode().replace(shown.watch_token, "")
    for private in ("secret-", shown.owner.username, "USD", "_tokens", "extractive", "espeak"):
        assert private not in text


@pytest.mark.parametrize("part", PARTS)
def test_it_costs_a_constant_number_of_queries(
    shown: Session, part: str, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(4):
        assert visit(shown, part).status_code == 200


def test_another_session_has_no_such_episode(shown: Session, make_session: MakeSession) -> None:
    other = show(make_session("Other"))
    assert visit(other, "episodes/1/").status_code == 404
