"""Speech: a text becomes MP3 in a process of its own, or a sentence says why it does not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from broadcast.speech import engines
from broadcast.speech.engines import Choice, Espeak, Passage, Silent, Speech, Unspoken
from broadcast.stream import stream
from sessions_app.errors import Retry
from tests.broadcast.speech.recorded_session import with_engine

TEXT = "A lighthouse is lit again after forty years. The keeper said so on Monday."
# The head of a frame: MPEG-2 layer III, 48 kbit/s, 22,050 samples a second, mono.
FRAME = b"\xff\xf3\x60\xc4"
BYTES_A_SECOND = 6000


@pytest.fixture
def engine() -> Espeak:
    return Espeak()


def test_a_text_is_spoken_as_long_as_its_words_take(engine: Espeak) -> None:
    said = engine.speak(TEXT, "en", 150)
    assert (said.media_type, said.data[:4]) == ("audio/mpeg", FRAME)
    assert 4 < said.seconds < 9
    assert len(said.data) / BYTES_A_SECOND == pytest.approx(said.seconds, abs=0.2)


def test_a_quick_pace_makes_it_shorter(engine: Espeak) -> None:
    slow, quick = (engine.speak(TEXT, "en", pace).seconds for pace in (100, 300))
    assert quick < slow / 1.8


def test_the_times_of_passages_are_those_of_the_sound(engine: Espeak) -> None:
    texts = TEXT.partition("years.")
    first, second = Passage(f"{texts[0]}{texts[1]}"), Passage(texts[2], "gmw/en-US")
    said = engine.speak([first, second], "en", 150)
    alone = [engine.speak([passage], "en", 150).times[0] for passage in (first, second)]
    (begin, end), (next_begin, next_end) = said.times
    assert (begin, end) == alone[0]
    assert next_begin == pytest.approx(end + 0.3, abs=0.002)
    assert next_end - next_begin == pytest.approx(alone[1][1], abs=0.002)
    assert said.seconds == pytest.approx(next_end + 0.8, abs=0.15)
    assert said.seconds == len(said.data) / BYTES_A_SECOND
    assert said.voice == "gmw/en, gmw/en-US"


@pytest.mark.parametrize(
    ("language", "voice"),
    [("en", "gmw/en"), ("pt-BR", "roa/pt-BR"), ("de-AT", "gmw/de"), ("en_US", "gmw/en-US")],
)
def test_a_language_has_its_voice(engine: Espeak, language: str, voice: str) -> None:
    assert engine.voices(language)[0] == voice
    assert engine.speak("12", language, 150).voice == voice


def test_a_language_without_a_voice_is_named(engine: Espeak) -> None:
    assert engine.voices("tlh") == []
    with pytest.raises(Unspoken, match="no voice for the language “tlh”"):
        engine.speak(TEXT, "tlh", 150)


@pytest.mark.parametrize(
    "text", ["", "\x00\x01", "<speak>&amp;[[_:", "日本", "-f /etc/passwd", "🛶" * 99]
)
def test_hostile_text_is_only_text(engine: Espeak, text: str) -> None:
    assert engine.speak(text, "en", 150).data.startswith(FRAME)


def test_what_is_too_long_is_refused(engine: Espeak) -> None:
    with pytest.raises(Unspoken, match="too long"):
        engine.speak("word " * engines.MOST_CHARACTERS, "en", 150)


def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Another speaker in the place of ours."""
    path = tmp_path / "speaker.py"
    path.write_text(code)
    monkeypatch.setattr(engines, "SPEAKER", path)


def test_a_speaker_that_hangs_is_ended(
    engine: Espeak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.voices("en")
    script(tmp_path, monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(engines, "DEADLINE", 0.3)
    with pytest.raises(Unspoken, match="took too long"):
        engine.speak(TEXT, "en", 150)


def test_a_speaker_that_dies_is_told_of(
    engine: Espeak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.voices("en")
    script(tmp_path, monkeypatch, "import os; os.abort()")
    with pytest.raises(Unspoken, match="failed"):
        engine.speak(TEXT, "en", 150)


def test_the_encoder_of_the_stream_fails_like_the_speaker_and_is_tried_again(
    engine: Espeak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.voices("en")
    script(tmp_path, monkeypatch, "import sys; sys.exit(7)")
    monkeypatch.setattr(stream, "ENCODER", tmp_path / "speaker.py")
    with pytest.raises(Unspoken, match=r"^The speech engine failed \(exit code 7\)\.$"):
        engine.speak(TEXT, "en", 150)
    with pytest.raises(Retry, match=r"^The encoder of the audio stream failed \(exit code 7\)\.$"):
        stream.encode([], [5])
    # Not even the interpreter starts.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with pytest.raises(Unspoken, match=r"engine did not start: No such file or directory\.$"):
        engine.speak(TEXT, "en", 150)
    with pytest.raises(Retry, match=r"stream did not start: No such file or directory\.$"):
        stream.encode([], [5])


def test_the_speaker_gets_none_of_our_secrets(
    engine: Espeak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.voices("en")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-secret")
    code = "import os, sys; sys.exit(3 if 'ANTHROPIC_API_KEY' in os.environ else 4)"
    script(tmp_path, monkeypatch, code)
    with pytest.raises(Unspoken, match="exit code 4"):
        engine.speak(TEXT, "en", 150)


def test_the_engine_stays_out_of_our_process(
    engine: Espeak, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another test may have imported them.
    for name in ("espeakng_loader", "lameenc"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    engine.speak(TEXT, "en", 150)
    assert not {"espeakng_loader", "lameenc"} & sys.modules.keys()


def test_the_variable_names_the_engine(settings: Any) -> None:
    for wanted, found in (("auto", "espeak"), ("espeak", "espeak"), ("off", "off")):
        with_engine(settings, wanted)
        assert engines.engine().name == found


def test_without_the_extra_nothing_speaks(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(settings)
    missing = Choice(Espeak, ("no_such_module",))
    monkeypatch.setattr(engines, "_engines", {"espeak": missing})
    assert not engines.available()
    with pytest.raises(Unspoken, match="make audio"):
        engines.engine().speak(TEXT, "en", 150)


class Other(Silent):
    """An engine that has one voice."""

    name = "other"

    def voices(self, language: str) -> list[str]:
        return ["one"]

    def speak(self, text: str | Sequence[Passage], language: str, pace: int) -> Speech:
        return Speech(b"heard", "audio/mpeg", 1.0, "other", "one", [(0, 1)])


def test_another_engine_fits_in(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with_engine(settings)
    monkeypatch.setattr(engines, "_engines", {})
    engines.register("other", Choice(Other))
    assert engines.engine().name == "other"
    assert engines.engine().speak(TEXT, "en", 150).data == b"heard"
