"""Speech engines behind one interface; without the audio extra there is the silent one.

Every engine makes MP3 (mono, 22,050 samples a second, 48 kbit/s) with a short silence at the end, so
that sounds one after another are an episode. ``SMNB_SPEECH`` names the engine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings

from sessions_app.errors import SmnbError

SPEAKER = Path(__file__).with_name("espeak_process.py")
DEADLINE = 40.0  # seconds; ten minutes of speech take two
MOST_CHARACTERS = 20_000


class Unspoken(SmnbError):
    """The text has no sound; the sentence says why."""

    code = "unspoken"


@dataclass(frozen=True, slots=True)
class Speech:
    """A sound: ``data`` as it is stored, ``seconds`` as it is heard."""

    data: bytes
    media_type: str
    seconds: float
    voice: str = ""


class Engine(Protocol):
    """What can speak. ``pace`` is in words a minute; ``speak`` raises Unspoken."""

    @property
    def name(self) -> str: ...

    def voices(self, language: str) -> list[str]:
        """The voices for a language tag, best first; none when it is not spoken."""

    def speak(self, text: str, language: str, pace: int) -> Speech: ...


class Silent:
    """No engine: nothing is spoken, and nothing asks for it."""

    name = "off"

    def voices(self, language: str) -> list[str]:
        return []

    def speak(self, text: str, language: str, pace: int) -> Speech:
        raise Unspoken("No speech engine is installed: make audio installs one.")


class Espeak:
    """espeak-ng from a wheel, in a process of its own for each text."""

    name = "espeak"

    def voices(self, language: str) -> list[str]:
        exact = language.lower().replace("_", "-")
        for tag in (exact, exact.split("-")[0]):
            found = [(priority, name) for spoken, priority, name in _spoken() if spoken == tag]
            if found:
                return [name for _, name in sorted(found)]
        return []

    def speak(self, text: str, language: str, pace: int) -> Speech:
        voices = self.voices(language)
        if not voices:
            raise Unspoken(f"The speech engine has no voice for the language “{language[:20]}”.")
        if len(text) > MOST_CHARACTERS:
            raise Unspoken("The story is too long to be spoken.")
        answer = _ask({"text": text, "voice": voices[0], "pace": pace})
        head, _, data = answer.partition(b"\n")
        return Speech(data, "audio/mpeg", float(json.loads(head)["seconds"]), voices[0])


@cache
def _spoken() -> Sequence[tuple[str, int, str]]:
    return [(tag, priority, name) for tag, priority, name in json.loads(_ask({}))]


def _ask(wanted: dict[str, Any]) -> bytes:
    """What the speaker answers; it gets nothing of our environment, and is ended at the deadline."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(SPEAKER)], input=json.dumps(wanted).encode(), env={},
            capture_output=True, timeout=DEADLINE, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unspoken("The speech engine took too long.") from None
    except subprocess.CalledProcessError as error:
        raise Unspoken(f"The speech engine failed (exit code {error.returncode}).") from None
    except OSError as error:
        raise Unspoken(f"The speech engine did not start: {error.strerror}.") from None
    return done.stdout


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine by name, and the modules that must be installed for it."""

    make: Callable[[], Engine]
    modules: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        return all(find_spec(module) is not None for module in self.modules)


# In the order in which ``auto`` prefers them; other engines join here.
_engines: dict[str, Choice] = {}


def register(name: str, choice: Choice) -> None:
    _engines[name] = choice


register("espeak", Choice(Espeak, ("espeakng_loader", "lameenc")))


def engine() -> Engine:
    """The engine that SMNB_SPEECH names, or the silent one when it is not installed."""
    wanted = settings.SMNB.speech
    for name, choice in _engines.items():
        if wanted in ("auto", name) and choice.installed:
            return choice.make()
    return Silent()


def available() -> bool:
    return not isinstance(engine(), Silent)
