"""The audio stream: what is heard, in which order and how loud, whoever renders it and dies."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from broadcast.models import Airing, AudioStream, Sound
from broadcast.stream import plan, stream
from sessions_app import sessions
from sessions_app.background import retention, steps
from sessions_app.errors import Retry, StaleClaim
from sessions_app.files import storage
from sessions_app.models import Session, Step
from stories.models import Story
from tests.broadcast.speech.recorded_session import (
    correct,
    press,
    spoken_session,
    visit,
    with_engine,
)
from tests.broadcast.stream.listening import (
    envelope,
    longest_silence,
    measured,
    places,
    samples,
)
from tests.broadcast.stream.recordings import as_if_rendered, claimed, listen, planned, play
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

SEGMENT = re.compile(r"(\d+)-([0-9a-f]{12})\.mp3")


@pytest.fixture(autouse=True)
def engine(settings: Any) -> None:
    with_engine(settings)


@pytest.fixture
def heard(owner: User, make_session: MakeSession) -> Session:
    """A visible session, off air, with two stories that aired a moment ago."""
    session = spoken_session(owner, make_session)
    at = timezone.now()
    Airing.objects.update(aired_at=at, finish_at=at)
    return session


def row_of(session: Session) -> AudioStream:
    return AudioStream.objects.select_related("session").get(session=session)


def kinds(row: AudioStream) -> list[str]:
    return [part["kind"] for part in row.parts if part["kind"] != "bed"]


def test_stories_are_heard_once_in_their_order_at_one_loudness(heard: Session) -> None:
    row = play(heard, timezone.now(), 72)
    sound = samples(listen(row))
    assert len(sound) / 24_000 == 6 * len(list(plan.slots(row))) >= 110
    loudness, peak = measured(sound)
    assert -17 <= loudness <= -15
    assert peak <= 0.891  # -1 dBTP
    whole = envelope(sound)
    assert longest_silence(whole) < 2
    found = []
    for spoken in Sound.objects.filter(session=heard, state="ready").order_by("story__airings__pk"):
        # The pause at its end is shortened.
        own = envelope(samples(storage.full_path(spoken.path).read_bytes()))[:-12]
        [place] = places(own, whole)
        found.append(place)
    assert len(found) >= 2
    assert found == sorted(found)
    assert kinds(row)[:4] == ["identification", "story", "chime", "story"]
    assert kinds(row)[4:6] == ["notice", "headlines"]
    said = [part["text"] for part in row.parts if part["text"]]
    assert said[0].startswith(
        "You are listening to Harbour news. Stories are taken verbatim from their sources by "
        "software. They are read by a synthetic voice. It is "
    )
    assert said[1] == "Harbour news is off air. The latest headlines:"


def test_an_hour_begins_with_the_identification_and_the_time(heard: Session) -> None:
    stream.ask(heard)
    row = row_of(heard)
    before = datetime(2026, 11, 29, 14, 59, 0, tzinfo=UTC)
    for later in range(0, 60, 12):
        plan.extend(row, before + timedelta(seconds=later))
    said = [part for part in row.parts if part["kind"] == "identification"]
    assert [part["text"].rpartition("It is ")[2] for part in said] == [
        "2:58 PM, Greenwich Mean Time.",
        "3 PM, Greenwich Mean Time.",
    ]
    full_hour = plan.frame_of(datetime(2026, 11, 29, 15, 0, 0, tzinfo=UTC))
    assert full_hour <= said[1]["at"] < full_hour + 600
    for earlier, later_part in zip(row.parts, row.parts[1:], strict=False):
        assert plan.end_of(earlier) == later_part["at"]


def test_a_new_story_follows_within_two_slots(heard: Session) -> None:
    at = timezone.now()
    row = planned(heard, at, 84)
    assert row.parts[-1]["kind"] == "bed"
    later = at + timedelta(seconds=84)
    press(heard, "broadcast.start")
    while not Story.objects.filter(session=heard, state="airing").exclude(
        pk__in=[part["story"] for part in row.parts if part["story"]]
    ):
        run_due_steps(heard, most=1)
    run_due_steps(heard, "speak")
    plan.extend(row, later)
    new = next(part for part in reversed(row.parts) if part["kind"] == "story")
    assert plan.time_of(new["at"]) - later < timedelta(seconds=12)
    assert plan.time_of(new["at"]) - later > timedelta(seconds=3)


def test_a_slot_that_has_begun_is_not_changed_by_a_worker_that_was_held_up(heard: Session) -> None:
    """Its listeners have loaded it: a story that began in it would lose its first seconds for them."""
    planned(heard, timezone.now() - timedelta(seconds=84), 120)
    press(heard, "broadcast.start")
    run_due_steps(heard, "poll")
    while not Story.objects.filter(session=heard, state="airing"):
        run_due_steps(heard, most=1)
    run_due_steps(heard, "speak")
    claim, before = claimed(heard), row_of(heard)
    with pytest.raises(Retry, match="too late"):
        # It was stopped for ten seconds after it had looked at the clock.
        stream.advance(claim, row_of(heard), timezone.now() - timedelta(seconds=10))
    assert (row_of(heard).parts, row_of(heard).revision) == (before.parts, before.revision)
    at = timezone.now()
    stream.advance(claim, row_of(heard), at)
    known, after = dict(plan.slots(before)), dict(plan.slots(row_of(heard)))
    changed = {slot for slot in known if after.get(slot, known[slot]) != known[slot]}
    # Not the one before either, in which the chords would fade.
    assert min(changed) == plan.slot_of(at + timedelta(seconds=3)) + 1
    assert kinds(row_of(heard))[-1] == "story"


class Killed(BaseException):
    """Ends a step as a signal does: nothing of ours handles it."""


@pytest.mark.slow
def test_whoever_resumes_makes_the_same_sound(
    heard: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker dies in its second batch of slots."""
    at = timezone.now()
    claim = claimed(heard)
    left, write = [4], storage.write

    def dying(path: str, chunks: Any) -> Any:
        if "speech-" not in path:
            if not left[0]:
                raise Killed
            left[0] -= 1
        return write(path, chunks)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", dying)
        with pytest.raises(Killed):
            stream.advance(claim, row_of(heard), at)
    planned = row_of(heard).parts
    assert planned
    # Six seconds later another worker has the step.
    stream.advance(claimed(heard), row_of(heard), at + timedelta(seconds=6))
    row = row_of(heard)
    assert row.parts[: len(planned)] == planned
    slots = [slot for slot, _ in plan.slots(row)]
    assert slots == list(range(slots[0], slots[0] + len(slots)))
    assert len(slots) >= 10
    assert listen(row) == stream.encode(row.parts, slots)


def test_a_worker_that_lost_its_step_changes_nothing(heard: Session) -> None:
    at = timezone.now()
    late = claimed(heard)
    before = planned(heard, at, 12)
    with pytest.raises(StaleClaim):
        stream.advance(late, row_of(heard), at + timedelta(seconds=60))
    assert row_of(heard).parts == before.parts
    assert row_of(heard).revision == before.revision


def test_a_story_that_is_pulled_is_not_heard_any_more(heard: Session) -> None:
    at = timezone.now()
    row = planned(heard, at, 12)
    as_if_rendered(row)
    part = next(part for part in row.parts if part["kind"] == "story")
    story = Story.objects.get(pk=part["story"])
    outdated = row_of(heard)
    files = {path.name for path in storage.full_path(plan.folder(heard.pk)).iterdir()}
    press(heard, "story.kill", story=story.pk)
    row = row_of(heard)
    assert story.pk not in [part["story"] for part in row.parts]
    gone = files - {path.name for path in storage.full_path(plan.folder(heard.pk)).iterdir()}
    slots = {int(name.split("-")[0]) for name in gone}
    inside = range(part["at"] // 250, (plan.end_of(part) - 1) // 250 + 1)
    assert slots == set(inside)
    with pytest.raises(Retry):
        stream.store(claimed(heard), outdated, outdated.revision)
    stream.advance(claimed(heard), row_of(heard), at)
    row = row_of(heard)
    assert len(listen(row)) == 48_000 * len(list(plan.slots(row)))


@pytest.mark.parametrize("how", ["pulled", "corrected"])
@pytest.mark.slow
def test_headlines_between_stories_leave_out_what_is_gone(heard: Session, how: str) -> None:
    row = planned(heard, timezone.now(), 72)
    as_if_rendered(row)
    story = Story.objects.filter(state="aired").latest("pk")
    assert any(story.title in part["text"] for part in row.parts if part["kind"] == "headlines")
    if how == "pulled":
        press(heard, "story.kill", story=story.pk)
    else:
        correct(heard, story)
    row = row_of(heard)
    assert story.title not in str([(part["title"], part["text"]) for part in row.parts])
    assert "headlines" not in [part["kind"] for part in row.parts]


def test_a_correction_ends_the_reading_of_what_was_wrong(heard: Session) -> None:
    row = planned(heard, timezone.now(), 12)
    story = Story.objects.get(pk=next(part["story"] for part in row.parts if part["story"]))
    correct(heard, story)
    assert story.pk not in [part["story"] for part in row_of(heard).parts]


def test_a_stream_without_listeners_costs_nothing(heard: Session) -> None:
    assert not Step.objects.filter(kind="stream").exists()
    as_if_rendered(planned(heard, timezone.now(), 12))
    folder = storage.full_path(plan.folder(heard.pk))
    assert any(folder.iterdir())
    past = timezone.now() - timedelta(minutes=3)
    AudioStream.objects.update(asked_at=past)
    Step.objects.filter(kind="stream").update(state="pending", due_at=steps.now(), lease_until=None)
    run_due_steps(heard, "stream")
    assert Step.objects.get(kind="stream").state == "done"
    assert row_of(heard).parts == []
    assert not folder.exists()


def test_a_listener_who_comes_while_the_stream_ends_is_served(heard: Session) -> None:
    claim = claimed(heard)
    row = row_of(heard)
    AudioStream.objects.update(asked_at=timezone.now() - timedelta(minutes=3))
    row.refresh_from_db()
    stream.ask(heard)
    with pytest.raises(Retry):
        stream.stop(claim, row)
    assert Step.objects.get(kind="stream").state == "leased"


def test_files_of_a_lost_stream_are_removed(heard: Session) -> None:
    as_if_rendered(planned(heard, timezone.now(), 12))
    AudioStream.objects.update(asked_at=timezone.now() - timedelta(hours=2))
    retention.run_rules(timezone.now())
    assert row_of(heard).parts == []
    assert not storage.full_path(plan.folder(heard.pk)).exists()


def lines(session: Session) -> list[str]:
    answer = visit(session, "stream/audio.m3u8")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/vnd.apple.mpegurl; charset=utf-8"
    return str(answer.content.decode()).splitlines()


def test_the_playlist_follows_the_rules_and_nothing_but_the_live_edge_is_served(
    heard: Session,
) -> None:
    at = timezone.now()
    row = play(heard, at, 12)
    found = lines(heard)
    check_playlist(found, at)
    name = next(line for line in found if SEGMENT.fullmatch(line))
    check_segment(heard, name)
    check_captions(heard, found, name)

    *_, (slot, digest) = plan.slots(row)
    assert storage.full_path(stream.path_of(row, slot, digest)).is_file()
    assert visit(heard, f"stream/{slot}-{digest}.mp3").status_code == 404
    for part in ("stream/1-abc.mp3", "stream/1-../../x.mp3", "stream/99999999999999999999-a.mp3"):
        assert visit(heard, part).status_code == 404
    sessions.show(heard, False)
    for part in ("stream.m3u8", "stream/audio.m3u8", "stream.mp3", f"stream/{name}"):
        assert visit(heard, part).status_code == 404


def check_playlist(found: list[str], at: datetime) -> None:
    assert found[:3] == ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:6"]
    assert "#EXT-X-ENDLIST" not in found
    segments = [SEGMENT.fullmatch(line) for line in found if not line.startswith("#")]
    numbers = [int(match[1]) for match in segments if match]
    assert len(numbers) == len(segments) >= 3
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert found[3] == f"#EXT-X-MEDIA-SEQUENCE:{numbers[0]}"
    assert abs(numbers[-1] - at.timestamp() / 6) <= 2
    times = [line for line in found if line.startswith("#EXT-X-PROGRAM-DATE-TIME:")]
    begin = datetime.fromtimestamp(numbers[0] * 6, UTC)
    assert times[0] == f"#EXT-X-PROGRAM-DATE-TIME:{begin:%Y-%m-%dT%H:%M:%S}.000Z"
    infos = [line for line in found if line.startswith("#EXTINF:")]
    assert all(line.startswith("#EXTINF:6.000,") for line in infos)
    assert len(infos) == len(times) == len(numbers)
    [ident] = [line for line in found if line.startswith('#EXT-X-DATERANGE:ID="ident')]
    assert 'X-TITLE="Harbour news: Written and read by software"' in ident
    assert re.search(r'X-ARTWORK="http://\S+/cover\.png"', ident)


def stamp_of(name: str) -> int:
    """The time of a slot as a player of HLS counts it."""
    return int(name.partition("-")[0]) * 6 * 90_000 % 2**33


def check_segment(heard: Session, name: str) -> None:
    segment = visit(heard, f"stream/{name}")
    assert (segment.status_code, segment["Content-Type"]) == (200, "audio/mpeg")
    assert segment["Access-Control-Allow-Origin"] == "*"
    assert segment["Referrer-Policy"] == "no-referrer"
    data = segment.content
    assert data.startswith(b"ID3\x04")
    stamp = data.index(b"com.apple.streaming.transportStreamTimestamp\0") + 45
    assert int.from_bytes(data[stamp : stamp + 8], "big") == stamp_of(name)
    assert b"Harbour news: Written and read by software" in data
    assert b"algorithmicMedia" in data


def check_captions(heard: Session, found: list[str], name: str) -> None:
    master = visit(heard, "stream.m3u8").content.decode().splitlines()
    assert master[-1] == "stream/audio.m3u8"
    assert [line for line in master if 'URI="stream/captions.m3u8"' in line]
    captions = visit(heard, "stream/captions.m3u8").content.decode().splitlines()
    assert captions == [re.sub(r"^(\d+-.*)\.mp3$", r"\1.vtt", line) for line in found]
    words = visit(heard, f"stream/{name.replace('.mp3', '.vtt')}")
    assert (words.status_code, words["Content-Type"]) == (200, "text/vtt; charset=utf-8")
    text = words.content.decode().splitlines()
    assert text[:2] == ["WEBVTT", f"X-TIMESTAMP-MAP=MPEGTS:{stamp_of(name)},LOCAL:00:00:00.000"]
    assert text[3].startswith("00:00:00.000 --> 00:00:0")
    assert text[4] == "You are listening to Harbour news."


def test_without_speech_the_address_says_so(heard: Session, settings: Any) -> None:
    with_engine(settings, "off")
    for part in ("stream.m3u8", "stream.mp3"):
        answer = visit(heard, part)
        assert answer.status_code == 404
        assert not AudioStream.objects.exists()


@pytest.mark.slow
def test_the_first_listener_waits_for_the_worker(
    heard: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadcast.public.stream_views.FIRST_SECONDS", 0.2)
    answer = visit(heard, "stream/audio.m3u8")
    assert (answer.status_code, answer["Retry-After"]) == (503, "3")
    [step] = Step.objects.filter(kind="stream")
    visit(heard, "stream.m3u8")
    assert [step] == list(Step.objects.filter(kind="stream"))
    assert run_due_steps(heard, "stream") == 1
    assert lines(heard)[0] == "#EXTM3U"
    assert visit(heard, "stream.mp3").status_code == 200


@pytest.mark.slow
def test_two_sessions_are_heard_at_the_same_time(
    heard: Session, owner: User, make_session: MakeSession
) -> None:
    other = make_session("Evening")
    stream.ask(heard)
    stream.ask(other)
    rows = Step.objects.filter(kind="stream", state="pending")
    assert set(rows.values_list("session", flat=True)) == {heard.pk, other.pk}
