"""The voices of a session: chosen on its page, heard as a sample, spoken in turn, taken along by copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from broadcast.health import judgement
from broadcast.models import Sound
from broadcast.speech import piper, recorder
from broadcast.speech.engines import Passage
from broadcast.speech.piper import PiperProcess
from sessions_app import commands, sessions
from sessions_app.models import Message, Session
from stories.models import Story
from tests.broadcast.speech.piper_voices import voice, with_piper
from tests.broadcast.speech.recorded_session import press, show, tell
from tests.conftest import MakeSession, run_due_steps

pytestmark = pytest.mark.django_db(transaction=True)

VOICES = {
    "voice": "en_GB-alba-medium",
    "co_voice": "gmw/en+f3",
    "pronunciation": "Nguyen = win\nNATO = nay toe",
}
FORM = {
    "model": "extractive",
    "personality": "formal",
    "verbosity": "concise",
    "pace": "185",
    "language": "en",
    "instructions": "",
    "control_mode": "balanced",
}


@pytest.fixture
def process(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[PiperProcess]:
    folder, monkeypatched = settings.DATA_DIR, with_piper(settings, monkeypatch, tmp_path)
    voice(tmp_path, "en_GB-alba-medium", "en_GB")
    # Files of sounds stay where those of other tests are; only the voices are elsewhere.
    monkeypatch.setattr(piper, "FOLDER", tmp_path / "voices")
    settings.DATA_DIR = folder
    yield monkeypatched
    if child := monkeypatched._process:
        child.kill()
        child.wait()


@pytest.fixture
def session(make_session: MakeSession, process: PiperProcess) -> Session:
    return sessions.change(show(make_session("Harbour", model="extractive", pace=185)), **VOICES)


def sample(client: Client, session: Session, **query: str) -> Any:
    return client.get(f"/sessions/{session.pk}/voice/sample.mp3", query)


def test_presenters_speak_in_turn_and_leave_the_words_as_they_are(session: Session) -> None:
    host, second = VOICES["voice"], VOICES["co_voice"]
    assert recorder.passages(session, "Nguyen spoke. NATO heard. 5 km away.") == [
        Passage("win spoke.", host),
        Passage("nay toe heard.", second),
        Passage("5 kilometres away.", host),
    ]
    assert recorder.passages(session, "One. Two.\n\nThree. Four.") == [
        Passage("One.", host),
        Passage("Two.", host),
        Passage("Three.", second),
        Passage("Four.", second),
    ]
    sessions.change(session, co_voice="")
    assert {passage.voice for passage in recorder.passages(session, "One. Two.")} == {host}


def test_a_story_is_spoken_by_both(session: Session) -> None:
    story = tell(sessions.change(session, pace=0), 1)[0]
    narrative = story.narrative
    run_due_steps(session, "speak")
    sound = Sound.objects.get(story=story)
    assert (sound.engine, sound.voice) == ("piper, espeak", "en_GB-alba-medium, gmw/en+f3")
    assert (sound.state, sound.error) == ("ready", "")
    assert Story.objects.get(pk=story.pk).narrative == narrative


def test_the_owner_learns_once_that_another_voice_speaks(session: Session) -> None:
    tell(sessions.change(session, voice="en_US-joe-medium", co_voice="", pace=0), 2)
    run_due_steps(session, "speak")
    sentence = (
        "The voice “en_US-joe-medium” is not installed for this language: "
        "“en_GB-alba-medium” speaks."
    )
    assert set(Sound.objects.values_list("state", "error")) == {("ready", sentence)}
    assert [row.text for row in Message.objects.filter(code="other_voice")] == [sentence]
    stage = judgement._delivery(session, judgement.observe(session, None, 0))
    assert (stage.state, stage.sentence) == ("attention", f"The latest sound: {sentence}")


def test_the_voices_are_chosen_on_the_page(
    session: Session, client_of: Callable[[User], Client]
) -> None:
    client = client_of(session.owner)
    sessions.change(session, voice="", co_voice="", pronunciation="")
    page = client.get(f"/sessions/{session.pk}/").content.decode()
    best = '<option value="" selected>Best for the language: Alba (en-GB, medium, Piper)</option>'
    assert best in page
    assert '<option value="gmw/en+f3">en, higher (espeak-ng)</option>' in page
    address = f"/sessions/{session.pk}/settings/"
    assert client.post(address, {**FORM, **VOICES}).status_code == 302
    session.refresh_from_db()
    assert {name: getattr(session, name) for name in VOICES} == VOICES
    # A page that was open before these settings existed does not send them.
    assert client.post(address, FORM).status_code == 302
    session.refresh_from_db()
    assert session.voice == "en_GB-alba-medium"
    refused = client.post(address, {**FORM, **VOICES, "pronunciation": "a = b\nNguyen"})
    assert refused.status_code == 422
    assert "Line 2: write “word = spoken form”." in refused.content.decode()


def test_a_sample_is_heard_before_it_is_saved(
    session: Session, client_of: Callable[[User], Client], stranger: User
) -> None:
    client = client_of(session.owner)
    answer = sample(client, session, voice="gmw/en", co_voice="", text="Nguyen.")
    assert (answer.status_code, answer["Content-Type"]) == (200, "audio/mpeg")
    assert answer.content.startswith(b"\xff\xf3")
    assert (
        sample(client, session, voice="gmw/en", co_voice="", text="Win.").content == answer.content
    )
    longer = sample(client, session, text="word " * 4000)
    # At most 200 letters: 40 words of 50 ms a letter, and the pause.
    assert len(longer.content) < 6000 * 12
    session.refresh_from_db()
    assert session.voice == "en_GB-alba-medium"
    assert sample(client_of(stranger), session).status_code == 404
    refused = sample(client, session, language="tlh")
    assert (refused.status_code, refused["Content-Type"]) == (409, "text/plain")
    assert "no voice for the language “tlh”" in refused.content.decode()
    assert sample(client, session, pace="-5", language="de").status_code == 200


def test_copies_take_the_voices_along(session: Session) -> None:
    for command in ("session.clone", "session.fork"):
        copy = press(session, command)
        assert {name: getattr(copy, name) for name in VOICES} == VOICES


def test_the_api_names_a_wrong_line(session: Session) -> None:
    with pytest.raises(Exception, match="pronunciation: Line 1: write"):
        commands.run(
            "session.change", session.owner, session, {"settings": {"pronunciation": "Nguyen"}}
        )
