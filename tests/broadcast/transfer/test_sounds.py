"""Sounds and episodes on their way: out with their files, in under names of their own, or not at all."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from broadcast.models import Episode, Recorded, Sound
from broadcast.replay import frames, runs
from broadcast.replay.frames import Shape
from broadcast.speech import episodes
from broadcast.transfer import snapshot
from broadcast.transfer.formats import zip_format
from broadcast.transfer.formats.base import ExportRequest
from sessions_app import audits, preferences
from sessions_app.errors import Invalid
from sessions_app.files import storage
from sessions_app.models import Artifact, Session, SessionEvent, Workspace
from stories.models import Story
from tests.broadcast.session_with_history import Bring, changed, exported, interrupted, zipped
from tests.broadcast.speech.recorded_session import correct, show, visit
from tests.conftest import run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

SOUNDS, EPISODES = "data/sounds-0001.ndjson", "data/episodes-0001.ndjson"


def content(row: Recorded | Artifact) -> bytes:
    return storage.full_path(row.path).read_bytes()


def ready(session: Session) -> list[Sound]:
    return list(Sound.objects.filter(session=session, state="ready").order_by("pk"))


def shelved(session: Session) -> Artifact:
    return Artifact.objects.get(session=session, name="episode-1.mp3", state="ready")


def named(data: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        return [
            name for name in found.namelist() if name.startswith(("sounds", "episodes", "files"))
        ]


def on_the_disk() -> set[Path]:
    return {path for path in storage.full_path("").rglob("*") if path.suffix in {".mp3", ".part"}}


def test_each_sound_comes_in_with_its_story_and_a_file_of_its_own(
    heard: Session, bring: Bring
) -> None:
    copy = bring(exported(heard, "zip"))
    before, after = ready(heard), ready(copy)
    assert [content(one) for one in after] == [content(one) for one in before] != []
    assert [one.story.title for one in after] == [one.story.title for one in before]
    assert {one.story.session for one in after} == {copy}
    assert all(one.path.startswith(f"sounds/{copy.pk}/") for one in after)
    fields = (
        "seconds",
        "version",
        "engine",
        "voice",
        "times",
        "media_type",
        "bytes",
        "sha256",
        "created_at",
    )
    for one, other in zip(before, after, strict=True):
        assert [getattr(one, name) for name in fields] == [getattr(other, name) for name in fields]


def test_the_copy_is_heard_below_its_own_address(heard: Session, bring: Bring) -> None:
    copy = bring(exported(heard, "zip"))
    sound = ready(copy)[0]
    assert visit(copy, f"sounds/{sound.pk}").status_code == 404
    copy = show(copy)
    assert visit(copy, f"sounds/{sound.pk}").content == content(sound)
    assert visit(heard, f"sounds/{sound.pk}").status_code == 404
    assert f'src="sounds/{sound.pk}"' in visit(copy, "").content.decode()


def test_the_podcast_of_the_copy_is_one_of_its_own(heard: Session, bring: Bring) -> None:
    copy = show(bring(exported(heard, "zip")))
    feed, before = (visit(each, "podcast.xml").content.decode() for each in (copy, heard))
    assert f"/watch/{copy.watch_token}/episodes/1/audio" in feed
    assert heard.watch_token not in feed
    assert feed.count("<enclosure") == before.count("<enclosure") == 1
    assert guid(feed) != guid(before)
    assert visit(copy, "episodes/1/audio").content == content(Episode.objects.get(session=heard))


def guid(feed: str) -> str:
    return feed.partition("</guid>")[0].rpartition(">")[2]


def test_an_episode_is_among_the_artifacts_of_the_copy_with_its_one_file(
    heard: Session, bring: Bring
) -> None:
    data = exported(heard, "zip")
    episode = Episode.objects.get()
    assert f"files/{shelved(heard).pk}" not in named(data)
    copy = bring(data)
    found = Episode.objects.get(session=copy)
    assert shelved(copy).path == found.path != episode.path
    assert episodes.list_older(preferences.workspace(), timezone.now()) == 0
    assert [each for each in audits.run("artifacts") if each.session] == []


def test_an_episode_that_is_not_among_the_artifacts_comes_along(
    heard: Session, bring: Bring
) -> None:
    Artifact.objects.filter(path=Episode.objects.get().path).delete()
    copy = bring(exported(heard, "zip"))
    assert content(Episode.objects.get(session=copy)) == content(Episode.objects.get(session=heard))
    assert episodes.list_older(preferences.workspace(), timezone.now()) == 2
    assert content(shelved(copy)) == content(shelved(heard))


def test_a_corrected_story_has_the_episode_of_the_copy_made_anew(
    heard: Session, bring: Bring
) -> None:
    copy = show(bring(exported(heard, "zip")))
    before = Episode.objects.get(session=copy)
    correct(copy, Story.objects.filter(session=copy).earliest("pk"))
    run_due_steps(copy)
    assert Episode.objects.get(session=copy).sha256 != before.sha256
    assert not storage.full_path(before.path).exists()
    assert content(Episode.objects.get(session=heard))


def test_events_name_the_sounds_of_their_own_session(heard: Session, bring: Bring) -> None:
    copy = bring(exported(heard, "zip"))
    events = SessionEvent.objects.filter(session=copy, type__in=("sound.ready", "sound.made"))
    of_copy = {(one.pk, one.story_id) for one in ready(copy)}
    assert {(e.payload["sound"]["id"], e.payload["sound"]["story"]) for e in events} == of_copy


def test_what_cannot_be_heard_is_left_out(heard: Session, bring: Bring) -> None:
    taken_back, lost = ready(heard)[:2]
    Sound.objects.filter(pk=taken_back.pk).update(state="dropped", path="")
    storage.remove(lost.path)
    data = exported(heard, "zip")
    copy = bring(data)
    assert len(ready(copy)) == len(ready(heard)) - 1
    assert not {f"sounds/{one.pk}.mp3" for one in (taken_back, lost)} & set(named(data))


def test_a_replay_of_what_has_lost_its_sound_goes_on(heard: Session, bring: Bring) -> None:
    Sound.objects.update(state="dropped", path="")
    copy = show(bring(exported(heard, "zip")))
    recording = runs.find(copy, 1, "public")
    shape = Shape("public", "html")
    found = list(frames.coming(recording, shape, 0))
    assert "story.aired" in {event.type for event, _ in frames.frames(found, 0, shape)}


def test_a_correction_while_the_zip_is_written_leaves_it_sound(
    heard: Session, bring: Bring
) -> None:
    data, pressed = b"", False
    for chunk in zip_format.write(ExportRequest(snapshot.taken(heard), ID), {}):
        data += chunk.data
        if not pressed and chunk.state and "table" in chunk.state:
            correct(heard, Story.objects.filter(state="aired").earliest("pk"))
            run_due_steps(heard)
            pressed = True
    copy = bring(data)
    assert pressed
    assert len(ready(copy)) == len(ready(heard)) - 1
    assert not Episode.objects.filter(session=copy).exists()
    written = {path for path in on_the_disk() if path.parent.name == str(copy.pk)}
    assert written == {storage.full_path(one.path) for one in ready(copy)}


def ready_recordings() -> list[Recorded]:
    rows = (Sound.objects, Episode.objects)
    return [one for each in rows for one in each.filter(state="ready")]


ID = "00000000-0000-4000-8000-000000000001"


def test_an_export_with_sounds_goes_on_wherever_it_stopped(heard: Session) -> None:
    wanted = ExportRequest(snapshot.taken(heard), ID)
    whole = b"".join(chunk.data for chunk in zip_format.write(wanted, {}))
    assert interrupted(wanted, zip_format.write) == whole
    assert len([name for name in named(whole) if name.startswith("sounds/")]) == len(ready(heard))


def test_the_progress_of_an_export_counts_every_row_once(heard: Session) -> None:
    shown = snapshot.taken(heard)
    written = sum(chunk.rows for chunk in zip_format.write(ExportRequest(shown, ID), {}))
    assert written == snapshot.count(shown)


def first(**values: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda rows: [{**rows[0], **values}, *rows[1:]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sounds": None}, r"The file sounds/\d+\.mp3 is not in the archive"),
        ({"episodes": None}, r"The file episodes/\d+\.mp3 is not in the archive"),
        ({"sounds": b"another sound"}, r"sounds/\d+\.mp3 does not match its row"),
        ({"episodes": b""}, r"episodes/\d+\.mp3 does not match its row"),
        ({SOUNDS: first(sha256="0" * 64)}, "does not match its row"),
        ({SOUNDS: first(bytes=1)}, "does not match its row"),
        ({SOUNDS: first(media_type="text/html")}, "not a sound that can be played"),
        ({SOUNDS: first(media_type="audio/wav")}, r"\.wav is not in the archive"),
        ({SOUNDS: first(seconds=-1)}, "not a sound that can be played"),
        ({SOUNDS: first(path="../../x")}, "path"),
        ({SOUNDS: first(story=999_999)}, "does not come before this row"),
        ({EPISODES: first(run=999_999)}, "does not come before this row"),
        ({EPISODES: lambda _: []}, r"The file episode-1\.mp3 is not in the archive"),
    ],
)
@pytest.mark.slow
def test_a_wrong_sound_is_named_and_nothing_comes_in(
    heard: Session, bring: Bring, changes: dict[str, Any], sentence: str
) -> None:
    data, before = exported(heard, "zip"), on_the_disk()
    with pytest.raises(Invalid, match=sentence):
        bring(changed(data, {whole_name(data, name): new for name, new in changes.items()}))
    assert on_the_disk() == before
    assert {one.session for one in ready_recordings()} == {heard}


def whole_name(data: bytes, name: str) -> str:
    """Returns the first member in the folder ``name``, or the name itself."""
    return next((each for each in named(data) if each.startswith(f"{name}/")), name)


@pytest.mark.parametrize(
    ("more", "sentence"), [(b"", "SHA-256 differs"), (b"more", "longer than the manifest says")]
)
def test_a_sound_that_was_altered_on_the_way_is_refused(
    heard: Session, bring: Bring, more: bytes, sentence: str
) -> None:
    data, before = exported(heard, "zip"), on_the_disk()
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        body = {name: found.read(name) for name in found.namelist()}
    altered = whole_name(data, "sounds")
    body[altered] = bytes(len(body[altered])) + more
    with pytest.raises(Invalid, match=sentence):
        bring(zipped(body))
    assert on_the_disk() == before


def test_sounds_count_towards_the_quota_of_the_session_they_come_into(
    heard: Session, bring: Bring
) -> None:
    data, before = exported(heard, "zip"), on_the_disk()
    Workspace.objects.update_or_create(pk=1, defaults={"artifact_quota_mb": 0})
    with pytest.raises(Invalid, match="artifact quota"):
        bring(data)
    assert on_the_disk() == before


def test_json_names_the_sounds_without_their_places(heard: Session) -> None:
    text = exported(heard, "json").decode()
    assert len(json.loads(text)["sounds"]) == len(ready(heard))
    assert not [one.path for one in ready_recordings() if one.path in text]
