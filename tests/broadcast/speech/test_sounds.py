"""The sound of each story: spoken in its own step, served in pieces, gone with its story."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from broadcast import orchestrator
from broadcast.models import Airing, Broadcast, Sound
from broadcast.speech import engines, recorder, sounds
from sessions_app.background import retention, steps
from sessions_app.errors import StaleClaim
from sessions_app.events import recorder as events_recorder
from sessions_app.files import storage
from sessions_app.models import Message, Session, SessionEvent, Step
from stories import stories
from stories.models import Story
from tests.broadcast.speech.recorded_session import (
    correct,
    press,
    show,
    spoken_session,
    tell,
    visit,
    with_engine,
)
from tests.broadcast.test_queries import WATCH, Follower
from tests.conftest import MakeSession, run_due_steps
from tests.markup import unbroken

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def engine(settings: Any) -> None:
    with_engine(settings)


@pytest.fixture
def silent(make_session: MakeSession) -> Session:
    """A visible session of which nothing has been spoken yet."""
    return show(make_session("Harbour news", model="extractive"))


@pytest.fixture
def heard(owner: User, make_session: MakeSession) -> Session:
    return spoken_session(owner, make_session)


def spoken(session: Session) -> Sound:
    return Sound.objects.filter(session=session, state="ready").earliest("pk")


def on_disk(session: Session) -> set[str]:
    folder = storage.full_path(f"{sounds.FOLDER}/{session.pk}")
    return {f"{sounds.FOLDER}/{session.pk}/{file.name}" for file in folder.glob("*")}


def named(session: Session) -> set[str]:
    return set(Sound.objects.filter(session=session, state="ready").values_list("path", flat=True))


def test_each_story_gets_its_file(heard: Session) -> None:
    assert Sound.objects.filter(state="ready").count() == Story.objects.count() >= 2
    sound = spoken(heard)
    data = storage.full_path(sound.path).read_bytes()
    assert (sound.bytes, sound.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (sound.engine, sound.voice, sound.seconds > 1) == ("espeak", "gmw/en", True)
    assert on_disk(heard) == named(heard)


def test_its_event_tells_the_audience_the_least(heard: Session) -> None:
    event = SessionEvent.objects.filter(type="sound.ready").earliest("seq")
    sound = spoken(heard)
    public = {"id": sound.pk, "story": sound.story_id, "seconds": sound.seconds}
    assert event.payload["public"] == {"sound": public}


def test_a_story_is_spoken_as_soon_as_it_is_written(make_session: MakeSession) -> None:
    session = show(make_session(model="extractive", control_mode="full-control"))
    press(session, "broadcast.start")
    run_due_steps(session, "poll", most=1)
    run_due_steps(session, "narrate", most=1)
    run_due_steps(session, "speak")
    story = Story.objects.get()
    assert (story.state, spoken(session).story_id) == ("written", story.pk)
    assert SessionEvent.objects.filter(type="sound.made").count() == 1
    assert "sound.made" not in events_recorder.public_types()
    assert visit(session, f"sounds/{spoken(session).pk}").status_code == 404


FIGURES = "On 12 March the fund paid $3.2 million for 2,500 homes. It was 4.5% more than in 2019."


@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        # 18 words at 180 a minute.
        ("private", 6.0),
        ("off", 6.0),
        ("failed", 6.0),
        ("hurried", 1.0),
        # 55 letters and 14 digits are 25.5 words; there are pauses after two sentences, and a chime.
        ("not spoken yet", 10.7),
        ("spoken", 13.3),
    ],
)
def test_an_airing_is_as_long_as_its_story_is_heard(
    make_session: MakeSession, settings: Any, case: str, seconds: float
) -> None:
    session = make_session(model="extractive", pace=1080 if case == "hurried" else 180)
    if case != "private":
        show(session)
    if case == "off":
        with_engine(settings, "off")
    row = Story(
        session=session, origin="manual", title="Homes", narrative=FIGURES, tone="developing"
    )
    with transaction.atomic():
        story = stories.create(row)
    if case == "spoken":
        Sound.objects.create(session=session, story=story, state="ready", seconds=12.5)
    if case == "failed":
        Sound.objects.create(session=session, story=story, state="failed")
    press(session, "broadcast.start")
    run_due_steps(session, "narrate", most=1)
    airing = Airing.objects.get()
    assert airing.story == story
    assert (airing.finish_at - airing.aired_at).total_seconds() == pytest.approx(seconds, abs=0.05)


def test_the_estimate_of_a_length_is_close_to_the_sound(silent: Session) -> None:
    silent.pace = 180
    for text in (
        FIGURES,
        f"{FIGURES} The ferry waits in the harbour, and nobody knows for how long.",
    ):
        estimate = recorder.spoken_seconds(silent, text)
        assert estimate == pytest.approx(sound_of(silent, text), rel=0.1)


def sound_of(session: Session, text: str) -> float:
    return engines.engine().speak(recorder.passages(session, text), "en", 180).seconds


@pytest.mark.parametrize("case", ["private", "off"])
def test_nobody_speaks_where_nobody_listens(
    make_session: MakeSession, settings: Any, case: str
) -> None:
    session = make_session(model="extractive")
    if case == "off":
        with_engine(settings, "off")
        show(session)
    tell(session)
    assert not Step.objects.filter(kind__in=("speak", "episode")).exists()


def test_a_session_made_visible_while_on_air_is_spoken_from_then_on(
    make_session: MakeSession,
) -> None:
    session = make_session(model="extractive", control_mode="full-control")
    press(session, "broadcast.start")
    run_due_steps(session, "poll", most=1)
    run_due_steps(session, "narrate", most=1)
    press(show(session), "story.approve", story=Story.objects.get().pk)
    assert run_due_steps(session, "speak") == 1
    assert spoken(session).story.state in sounds.PUBLISHED


def test_a_correction_has_a_sound_of_its_own_and_the_earlier_one_goes(heard: Session) -> None:
    before = spoken(heard)
    correct(heard, before.story)
    assert visit(heard, f"sounds/{before.pk}").status_code == 404
    run_due_steps(heard, "speak")
    after = Sound.objects.get(story=before.story, version=2)
    assert visit(heard, f"sounds/{after.pk}").status_code == 200
    assert on_disk(heard) == named(heard)
    assert sounds.of_stories([after.story_id])[after.story_id]["id"] == after.pk


def test_a_pulled_story_is_heard_no_more(heard: Session) -> None:
    sound = spoken(heard)
    press(heard, "story.kill", story=sound.story_id)
    assert visit(heard, f"sounds/{sound.pk}").status_code == 404
    assert not storage.full_path(sound.path).exists()


def test_a_story_that_cannot_be_spoken_stops_nothing(make_session: MakeSession) -> None:
    session = show(make_session(model="extractive", language="tlh"))
    tell(session)
    run_due_steps(session)
    assert set(Sound.objects.values_list("state", flat=True)) == {"failed"}
    assert "no voice" in Sound.objects.earliest("pk").error
    assert Message.objects.filter(code="unspoken").count() == 1
    assert Broadcast.objects.get().state == "idle"


def test_a_full_disk_is_said(silent: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: str, _chunks: Any) -> storage.StoredFile:
        raise OSError(28, "No space left on device")

    tell(silent)
    monkeypatch.setattr(storage, "write", full)
    run_due_steps(silent, "speak")
    assert "No space left" in Sound.objects.earliest("pk").error
    assert on_disk(silent) == set()


def test_of_two_who_speak_a_story_the_later_one_counts(
    silent: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = tell(silent)[0]
    espeak, said = engines.Espeak(), []

    class Slow(engines.Espeak):
        def speak(self, text: Any, language: str, pace: int) -> engines.Speech:
            said.append(recorder.make(story, espeak))
            return super().speak(text, language, pace)

    # The later one is ready already when the earlier one comes back.
    with pytest.raises(StaleClaim):
        recorder.make(story, Slow())
    assert spoken(silent).path == said[0].path
    assert on_disk(silent) == named(silent)


def test_a_correction_while_the_story_is_spoken_is_not_overheard(silent: Session) -> None:
    story = tell(silent)[0]

    class Slow(engines.Espeak):
        def speak(self, text: Any, language: str, pace: int) -> engines.Speech:
            correct(silent, story)
            return super().speak(text, language, pace)

    recorder.make(story, Slow())
    assert sounds.of_stories([story.pk]) == {}
    assert not SessionEvent.objects.filter(type="sound.ready").exists()
    run_due_steps(silent, "speak")
    assert Sound.objects.get(pk=sounds.of_stories([story.pk])[story.pk]["id"]).version == 2


def test_what_a_dead_worker_left_is_cleared_away(silent: Session) -> None:
    story = tell(silent)[0]
    left = recorder._open(story, engines.engine())
    storage.full_path(left.path).parent.mkdir(parents=True, exist_ok=True)
    storage.full_path(f"{left.path}.0a1b2c3d.part").write_bytes(b"half")
    recorder.make(story, engines.engine())
    assert on_disk(silent) == named(silent)


def test_a_step_that_dies_each_time_leaves_a_reason(silent: Session) -> None:
    tell(silent)
    step = Step.objects.filter(kind="speak").earliest("pk")
    recorder._open(Story.objects.get(pk=step.subject.split()[0]), engines.engine())
    Step.objects.filter(pk=step.pk).update(attempts=3)
    steps.run(step.pk)
    assert "3 attempts" in Sound.objects.get(state="failed").error


def test_stopping_neither_cancels_the_speech_nor_waits_for_it(silent: Session) -> None:
    press(silent, "broadcast.start")
    run_due_steps(silent, "poll", most=1)
    run_due_steps(silent, "narrate", most=2)
    waiting = Step.objects.filter(kind="speak", state="pending").order_by("pk")
    held = steps.claim(waiting[0].pk)
    assert held is not None
    press(silent, "broadcast.stop")
    assert orchestrator.latest_payload(silent)["state"] == "idle"
    assert waiting.exists()
    assert not Step.objects.filter(kind="speak", state="cancelled").exists()


def test_retention_drops_the_files_of_old_sounds(heard: Session) -> None:
    sound = spoken(heard)
    aged = timezone.now() - timedelta(days=91)
    Sound.objects.filter(pk=sound.pk).update(created_at=aged)
    assert recorder.drop_old in retention._rules
    retention.run_rules(timezone.now())
    sound.refresh_from_db()
    assert (sound.state, sound.path) == ("dropped", "")
    assert on_disk(heard) == named(heard) != set()
    assert visit(heard, f"sounds/{sound.pk}").status_code == 404


def test_the_page_and_the_overlay_offer_the_sound(make_session: MakeSession) -> None:
    session = show(make_session(model="extractive", pace=60))
    press(session, "broadcast.start")
    for kind in ("poll", "narrate", "speak"):
        run_due_steps(session, kind, most=1)
    sound = spoken(session)
    src = f'data-src="../sounds/{sound.pk}" data-seconds="{sound.seconds:.2f}"'
    assert src in unbroken(visit(session, "overlay/").content.decode())
    assert f'src="sounds/{sound.pk}"' not in unbroken(visit(session, "").content.decode())
    press(session, "broadcast.stop")
    assert src not in unbroken(visit(session, "overlay/").content.decode())
    assert f'src="sounds/{sound.pk}"' in unbroken(visit(session, "").content.decode())


@pytest.mark.parametrize("early", [True, False], ids=["before it airs", "while it is on air"])
@pytest.mark.slow
def test_the_pages_follow_when_a_sound_is_ready(make_session: MakeSession, early: bool) -> None:
    session = show(make_session(model="extractive", pace=60, control_mode="full-control"))
    path = f"/watch/{session.watch_token}/"
    page = Follower(Client(), path, session, events_recorder.PUBLIC)
    overlay = Follower(Client(), f"{path}overlay/", session, events_recorder.PUBLIC)

    def check() -> None:
        page.check(WATCH)
        overlay.check(("lower-third", "sound-slot", "ticker"))

    press(session, "broadcast.start")
    run_due_steps(session, "poll", most=1)
    run_due_steps(session, "narrate", most=1)
    story = Story.objects.get()
    if early:
        run_due_steps(session, "speak")
    press(session, "story.approve", story=story.pk)
    check()
    run_due_steps(session, "speak")
    check()
    correct(session, story)
    check()
    run_due_steps(session, "speak")
    check()
    press(session, "broadcast.stop")
    check()
    correct(session, story, "As it was after all.")
    run_due_steps(session, "speak")
    check()
    assert "<audio" in visit(session, "").content.decode()
    press(session, "story.kill", story=story.pk)
    check()


def test_a_page_with_many_sounds_costs_no_more_queries(
    heard: Session, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(16):
        assert visit(heard, "").content.decode().count("<audio") >= 2
