"""Piper: voices of a folder, a process that stays for the next text, and espeak-ng where it fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broadcast.speech import engines, piper, speech_process
from broadcast.speech.engines import Passage
from broadcast.speech.piper import Piper, PiperProcess
from tests.broadcast.speech.piper_voices import voice, with_piper

FRAME = b"\xff\xf3\x60\xc4"


@pytest.fixture
def process(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[PiperProcess]:
    voice(tmp_path, "en_GB-alba-medium", "en_GB")
    voice(tmp_path, "de_DE-kerstin-low", "de_DE", rate=16_000)
    process = with_piper(settings, monkeypatch, tmp_path)
    yield process
    if child := process._process:
        child.kill()
        child.wait()


def speak(*texts: str, language: str = "en", voice: str = "", pace: int = 185) -> engines.Speech:
    return engines.engine().speak([Passage(text, voice) for text in texts], language, pace)


def test_a_voice_of_the_folder_speaks_its_language(process: PiperProcess) -> None:
    said = speak("The tide is high.", "It turns.")
    assert (said.engine, said.voice, said.note) == ("piper", "en_GB-alba-medium", "")
    assert said.data.startswith(FRAME)
    # 17 and 9 letters of 50 ms each, with a pause between them.
    assert said.times == [(0, 0.85), (1.15, 1.6)]
    assert said.seconds == len(said.data) / 6000 == pytest.approx(2.4, abs=0.15)


def test_a_part_of_a_passage_begins_with_its_first_sound(process: PiperProcess) -> None:
    marked = ("High,\x1f and it turns.", "It falls\x1f on the \x1funeven stones.")
    first, second = speak(marked[0]), speak(marked[1])
    # The comma and the space are no sounds.
    assert first.times == [(0, 0.3), (0.3, 0.95)]
    # Where the voice does not tell, all sounds are equally long.
    assert second.times == [(0, 0.45), (0.45, 0.8), (0.8, 1.5)]
    plain = (text.replace("\x1f", "") for text in marked)
    assert [speak(text).data for text in plain] == [first.data, second.data]


def test_a_voice_is_made_to_put_out_the_lengths_of_its_sounds() -> None:
    model = b"\x3a\x02...,/Ceil_output_0..."
    # The field 7 (graph) with its field 12 (output), whose field 1 is a name.
    added = b"\x3a\x12\x62\x10\x0a\x0e/Ceil_output_0"
    assert speech_process.with_lengths(model) == model + added
    assert speech_process.with_lengths(b"another model") == b"another model"


def test_a_voice_of_a_lower_rate_takes_as_long(process: PiperProcess) -> None:
    said = speak("Die Flut ist da.", language="de-AT")
    assert said.voice == "de_DE-kerstin-low"
    assert said.times == [(0, 0.8)]


def test_a_quick_pace_makes_it_shorter(process: PiperProcess) -> None:
    assert speak("The tide is high.", pace=370).times == [(0, 0.425)]
    assert speak("The tide is high.", pace=6000).times == [(0, 0.425)]


def test_a_language_without_a_voice_of_piper_is_spoken_by_espeak(process: PiperProcess) -> None:
    said = speak("La marée est haute.", language="fr")
    assert (said.engine, said.voice, said.note) == ("espeak", "roa/fr", "")


def test_the_process_stays_for_the_next_text(process: PiperProcess) -> None:
    speak("One.")
    child = process._process
    assert child
    speak("Two.")
    assert process._process is child
    assert "onnxruntime" not in sys.modules


def test_it_ends_when_it_is_idle_and_is_started_again(
    process: PiperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piper, "IDLE_SECONDS", 0.1)
    speak("One.")
    child = process._process
    assert child
    assert child.wait(timeout=20) == 0
    assert speak("Two.").engine == "piper"
    # The next one may end between the look at it and the request.
    monkeypatch.setattr(child, "poll", lambda: None)
    process._process = child
    assert speak("Three.").engine == "piper"


def test_it_ends_with_the_process_that_started_it(process: PiperProcess) -> None:
    speak("One.")
    child = process._process
    assert child
    assert child.stdin
    child.stdin.close()
    assert child.wait(timeout=20) == 0


def test_two_presenters_speak_with_two_engines(process: PiperProcess) -> None:
    passages = [
        Passage("High.", "en_GB-alba-medium"),
        Passage("Low.", "gmw/en+f3"),
        Passage("Over.", "en_GB-alba-medium"),
    ]
    said = engines.engine().speak(passages, "en", 185)
    assert (said.engine, said.voice) == ("piper, espeak", "en_GB-alba-medium, gmw/en+f3")
    assert said.data.count(FRAME) >= 3
    first, second, third = said.times
    assert first[1] + 0.8 <= second[0] < second[1] < third[0]
    assert said.seconds == len(said.data) / 6000


def test_a_voice_that_is_not_installed_is_replaced(process: PiperProcess) -> None:
    said = speak("High.", voice="en_US-joe-medium")
    assert said.voice == "en_GB-alba-medium"
    assert said.note == (
        "The voice “en_US-joe-medium” is not installed for this language: "
        "“en_GB-alba-medium” speaks."
    )


def test_two_presenters_that_are_not_installed_get_two_voices(process: PiperProcess) -> None:
    passages = [Passage("High.", "joe"), Passage("Low.", "amy"), Passage("Over.", "joe")]
    said = engines.engine().speak(passages, "en", 185)
    assert said.voice == "en_GB-alba-medium, gmw/en"


@pytest.mark.parametrize("text", ["crash", "hang"])
def test_espeak_speaks_where_piper_fails(
    process: PiperProcess, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    speak("One.")
    monkeypatch.setattr(piper, "DEADLINE", 0.5)
    said = speak(f"A {text} of the market.")
    assert (said.engine, said.voice) == ("espeak", "gmw/en")
    assert said.note == "The speech engine failed. The voice “gmw/en” spoke instead."
    assert said.data.startswith(FRAME)
    # It is not started again for every text.
    later = speak("The tide is high.")
    assert (later.engine, process._process) == ("espeak", None)
    monkeypatch.setattr(piper, "RECOVERY", 0)
    assert speak("The tide is high.").engine == "piper"


def test_a_broken_voice_does_not_end_the_process(process: PiperProcess, tmp_path: Path) -> None:
    (tmp_path / "voices" / "en_GB-alba-medium.onnx").unlink()
    broken = voice(tmp_path, "en_GB-bad-low", "en_GB")
    broken.with_name(f"{broken.name}.json").write_text('{"language": {"code": "en"}}')
    said = speak("High.")
    assert (said.engine, said.note) == (
        "espeak",
        "The speech engine failed (KeyError). The voice “gmw/en” spoke instead.",
    )
    assert speak("Hoch.", language="de").engine == "piper"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"espeak": {}}', '{"language": 5}', "\x00", '"text"']
)
def test_a_file_that_is_no_voice_is_ignored(
    process: PiperProcess, tmp_path: Path, content: str
) -> None:
    path = voice(tmp_path, "en_GB-odd-low", "en_GB")
    path.with_name(f"{path.name}.json").write_text(content)
    piper.piper_language.cache_clear()
    assert Piper().voices("en") == ["en_GB-alba-medium"]


def test_the_voices_of_the_region_come_first(process: PiperProcess, tmp_path: Path) -> None:
    voice(tmp_path, "en_US-amy-low", "en_US")
    (tmp_path / "voices" / "a name with spaces.onnx").touch()
    assert Piper().voices("en") == ["en_GB-alba-medium", "en_US-amy-low"]
    assert Piper().voices("en-us") == ["en_US-amy-low", "en_GB-alba-medium"]
    assert Piper().voices("tlh") == []


def test_piper_gets_none_of_our_secrets(
    process: PiperProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-secret")
    assert speak("A secret.").note == ""


def test_voices_have_names_for_people(process: PiperProcess) -> None:
    assert engines.choices("en-GB", "joe")[:3] == [
        ("en_GB-alba-medium", "Alba (en-GB, medium, Piper)"),
        ("gmw/en", "en (espeak-ng)"),
        ("gmw/en+f3", "en, higher (espeak-ng)"),
    ]
    assert engines.choices("en-GB", "joe")[-1] == (
        "joe",
        "joe (Piper), not installed for this language",
    )


def test_a_long_text_without_a_full_stop_is_divided_for_the_voice(process: PiperProcess) -> None:
    # Each part has 280 letters at most; the memory for more would not do.
    assert speak("word " * 400).times == [(0, 100)]
