"""Speech engines behind one interface; without the audio extra, the silent engine is used.

Piper speaks the languages for which it has a voice, and espeak-ng all others; it also replaces a voice
that is missing or fails. Every engine makes MP3 (mono, 22,050 samples per second, 48 kbit/s) with a
short silence at the end, so that concatenated sounds are an episode. ``SMNB_SPEECH`` names the engine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol

import structlog
from django.conf import settings

from sessions_app.errors import SmnbError

log = structlog.get_logger(__name__)

SPEAKER = Path(__file__).with_name("speech_process.py")
# Where ``make voices`` puts packages that only the process that speaks may load.
VOICE_PACKAGES = Path(__file__).parents[2] / ".voices"
DEADLINE = 40.0  # seconds; ten minutes of speech take two
MOST_CHARACTERS = 20_000


class Unspoken(SmnbError):
    """The text cannot be spoken, for the reason in the sentence."""

    code = "unspoken"


@dataclass(frozen=True, slots=True)
class Speech:
    """A sound: ``data`` is the content of the file, ``seconds`` its duration.

    ``times`` has the begin and end of each part of each passage in seconds. ``note`` says why another
    voice spoke than the one that was asked for.
    """

    data: bytes
    media_type: str
    seconds: float
    engine: str = ""
    voice: str = ""
    times: Sequence[tuple[float, float]] = ()
    note: str = ""


# Begins a part of a passage whose time is wanted. It is not spoken.
MARK = "\x1f"


class Passage(NamedTuple):
    """A text with the voice that speaks it; without one, the best voice of the language does."""

    text: str
    voice: str = ""


class Engine(Protocol):
    """A speech engine. ``pace`` is in words per minute; ``speak`` raises Unspoken.

    The names of voices differ between engines. A text is one passage.
    """

    @property
    def name(self) -> str: ...

    def voices(self, language: str) -> list[str]:
        """Returns the voices for a language tag, best first; none when it is not supported."""

    def speak(self, text: str | Sequence[Passage], language: str, pace: int) -> Speech: ...


class Silent:
    """The engine where none is installed; callers check ``available`` first."""

    name = "off"

    def voices(self, language: str) -> list[str]:
        return []

    def speak(self, text: str | Sequence[Passage], language: str, pace: int) -> Speech:
        raise Unspoken("No speech engine is installed: make audio installs one.")


class Espeak:
    """espeak-ng from a wheel, run in a separate process for each text."""

    name = "espeak"

    def voices(self, language: str) -> list[str]:
        exact = language.lower().replace("_", "-")
        names: list[str] = []
        for tag in (exact, exact.split("-")[0]):
            ranked = [
                (priority, name) for spoken, priority, name in espeak_voices() if spoken == tag
            ]
            names += [name for _, name in sorted(ranked) if name not in names]
        # A higher variant of the first voice, for a second presenter.
        return [*names[:1], f"{names[0]}+f3", *names[1:]] if names else []

    def speak(self, text: str | Sequence[Passage], language: str, pace: int) -> Speech:
        voices = self.voices(language)
        if not voices:
            raise Unspoken(f"The speech engine has no voice for the language “{language[:20]}”.")
        passages = passages_of(text, voices[0])
        head, _, data = run_espeak({"passages": passages, "pace": pace}).partition(b"\n")
        return speech(self.name, head, data, passages)


def passages_of(text: str | Sequence[Passage], voice: str) -> list[Passage]:
    """Returns the passages, each with a voice; raises Unspoken when they are too long."""
    passages = [Passage(text)] if isinstance(text, str) else text
    if sum(len(passage.text) for passage in passages) > MOST_CHARACTERS:
        raise Unspoken("The story is too long to be spoken.")
    # A voice would say "less than, script, greater than".
    tag = re.compile(r"</?([a-z][\w-]*)[^<>\x1f]{0,100}>", re.IGNORECASE)
    return [Passage(tag.sub(r"\1", passage.text), passage.voice or voice) for passage in passages]


def speech(engine: str, head: bytes, data: bytes, passages: Sequence[Passage]) -> Speech:
    """Returns the speech that a process answered with; ``head`` is the first line of its answer."""
    answer = json.loads(head)
    times = [(begin, end) for begin, end in answer["times"]]
    voices = ", ".join(dict.fromkeys(passage.voice for passage in passages))
    return Speech(data, "audio/mpeg", float(answer["seconds"]), engine, voices, times)


@cache
def espeak_voices() -> Sequence[tuple[str, int, str]]:
    """Returns the language, priority and name of each voice."""
    return [(tag, priority, name) for tag, priority, name in json.loads(run_espeak({}))]


def run_espeak(request: Mapping[str, object]) -> bytes:
    return run_process(SPEAKER, request, DEADLINE, "The speech engine", Unspoken).stdout


def run_process(
    program: Path,
    request: Mapping[str, object],
    deadline: float,
    name: str,
    failure: type[SmnbError],
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program of ours on a request; raises ``failure`` when it does not end as it should.

    It gets no environment variables, as these hold secrets, and is killed at the deadline.
    """
    try:
        return subprocess.run(
            [sys.executable, "-I", str(program)],
            input=json.dumps(request).encode(),
            env={},
            capture_output=True,
            timeout=deadline,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise failure(f"{name} took too long.") from None
    except subprocess.CalledProcessError as error:
        raise failure(f"{name} failed (exit code {error.returncode}).") from None
    except OSError as error:
        raise failure(f"{name} did not start: {error.strerror}.") from None


class Installed:
    """All installed engines as one: the voice of a passage decides which of them speaks it."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.engines = engines
        self.name = ", ".join(engine.name for engine in engines)

    def voices(self, language: str) -> list[str]:
        return [voice for engine in self.engines for voice in engine.voices(language)]

    def speak(self, text: str | Sequence[Passage], language: str, pace: int) -> Speech:
        """Speaks with the named voices, or with others and a note that says why."""
        owners = {voice: engine for engine in self.engines for voice in engine.voices(language)}
        voices = list(owners)
        if not voices:
            raise Unspoken(f"The speech engine has no voice for the language “{language[:20]}”.")
        passages = passages_of(text, voices[0])
        chosen = replacements([passage.voice for passage in passages], voices)
        note = next(
            (
                f"The voice “{voice[:60]}” is not installed for this language: “{other}” speaks."
                for voice, other in chosen.items()
                if voice != other
            ),
            "",
        )
        known = [passage._replace(voice=chosen[passage.voice]) for passage in passages]
        parts: list[Speech] = []
        for engine, group in groupby(known, key=lambda passage: owners[passage.voice]):
            part = list(group)
            try:
                parts.append(engine.speak(part, language, pace))
            except Unspoken as error:
                others = [other for other in self.engines if other is not engine]
                if not any(other.voices(language) for other in others):
                    raise
                log.warning("voice_replaced", engine=engine.name, sentence=error.sentence)
                spoken = Installed(others).speak(part, language, pace)
                note = f"{error.sentence} The voice “{spoken.voice}” spoke instead."
                parts.append(spoken)
        return joined(parts, note)


def replacements(wanted: Sequence[str], voices: Sequence[str]) -> dict[str, str]:
    """Returns a voice for each one that is wanted; two presenters get two voices, if possible."""
    chosen = {voice: voice for voice in wanted if voice in voices}
    for voice in dict.fromkeys(wanted):
        if voice not in chosen:
            unused = (other for other in voices if other not in chosen.values())
            chosen[voice] = next(unused, voices[0])
    return chosen


def joined(parts: Sequence[Speech], note: str) -> Speech:
    """Joins sounds that follow one another."""
    start, times = 0.0, []
    for part in parts:
        times += [(round(start + begin, 3), round(start + end, 3)) for begin, end in part.times]
        start += part.seconds
    return Speech(
        data=b"".join(part.data for part in parts),
        media_type=parts[0].media_type if parts else "audio/mpeg",
        seconds=start,
        engine=", ".join(dict.fromkeys(part.engine for part in parts)),
        voice=", ".join(dict.fromkeys(part.voice for part in parts)),
        times=times,
        note=note,
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine by name, and the modules that must be installed for it."""

    make: Callable[[], Engine]
    modules: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        return all(folder_of(module) is not None for module in self.modules)


def folder_of(module: str) -> Path | None:
    """Returns the folder of an installed package, or of one that ``make voices`` has installed."""
    if spec := find_spec(module):
        return Path(spec.origin or "").parent
    folder = VOICE_PACKAGES / module
    return folder if folder.is_dir() else None


# The engine that was registered last is preferred by ``auto``.
_engines: dict[str, Choice] = {}


def register(name: str, choice: Choice) -> None:
    _engines[name] = choice


register("espeak", Choice(Espeak, ("espeakng_loader", "lameenc")))


def engine() -> Engine:
    """Returns the engines that SMNB_SPEECH allows as one, or the silent one without any."""
    configured = settings.SMNB.speech
    installed = [
        choice.make()
        for name, choice in reversed(_engines.items())
        if configured in ("auto", name) and choice.installed
    ]
    return Installed(installed) if installed else Silent()


def available() -> bool:
    return not isinstance(engine(), Silent)


def choices(language: str, current: str) -> list[tuple[str, str]]:
    """Returns the voices for a language with their labels; ``current`` stays one of them."""
    voices = [(voice, label_of(voice)) for voice in engine().voices(language)]
    if current and current not in dict(voices):
        voices.append((current, f"{label_of(current)}, not installed for this language"))
    return voices


def label_of(voice: str) -> str:
    """Returns a voice's name for people: "Joe (en-US, Piper)" of "en_US-joe-medium"."""
    if "/" in voice:
        tag, _, variant = voice.rpartition("/")[2].partition("+")
        return f"{tag}{', higher' if variant else ''} (espeak-ng)"
    tag, _, name = voice.partition("-")
    name, _, quality = name.rpartition("-")
    if not name:
        return f"{voice} (Piper)"
    shown = name.replace("_", " ").title()
    return f"{shown} ({tag.replace('_', '-')}, {quality}, Piper)"


_HEADER = 10  # bytes
_ENCODING = b"\x01"  # UTF-16 with a byte order mark, which every reader of version 2.3 knows
_END = b"\x00\x00"


def id3_tag(title: str, programme: str, making: str, source_type: str) -> bytes:
    """Returns the ID3 tag of an MP3 file, which precedes the audio and marks it as synthetic.

    ``source_type`` is the address of a term in IPTC's digital source types.
    """
    frames = (
        _frame(b"TIT2", _text(title)),
        _frame(b"TPE1", _text(programme)),
        _frame(b"TCON", _text("Speech")),
        _frame(b"COMM", b"eng" + _text("") + _END + _text(making)),
        _frame(b"TXXX", _text("DigitalSourceType") + _END + _text(source_type)),
    )
    body = b"".join(frames)
    # Bytes without the high bit, so that no decoder takes the size for audio.
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + body


def without_tag(data: bytes) -> bytes:
    """Returns the audio without the tag before it; only the first tag of a file is skipped."""
    if not data.startswith(b"ID3") or len(data) < _HEADER:
        return data
    size = 0
    for byte in data[6:_HEADER]:
        size = size << 7 | byte
    return data[_HEADER + size :]


def _frame(name: bytes, content: bytes) -> bytes:
    body = _ENCODING + content
    return name + len(body).to_bytes(4, "big") + b"\x00\x00" + body


def _text(text: str) -> bytes:
    return text.replace("\x00", "").encode("utf-16", "replace")
