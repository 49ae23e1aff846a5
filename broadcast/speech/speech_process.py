"""Speaks passages to an MP3, in a separate process: both engines are GPL and read untrusted text.

Run as a file, never imported by the studio. For espeak-ng the process speaks one request: standard
input is JSON ``{"passages", "pace"}``, each passage ``[text, voice]``; the answer is one line of JSON
``{"seconds", "times", "bytes"}`` and then the MP3. ``times`` has the begin and end of each passage.
Without passages the answer is the list of voices, ``[[language, priority, name], …]``.

With the arguments ``piper SECONDS FOLDER`` it takes one request a line, where a voice is the path of its
file, until there is none for so long or the studio's process has ended: loading a voice takes a second
and 300 MB. The folder has the libraries, if they are in one of their own. A request that fails is
answered with the line ``{"error"}``.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import select
import sys
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

CPU_SECONDS, MEMORY = 30, 512 * 2**20
SYNCHRONOUS, DO_NOT_EXIT = 2, 0x8000
RATE, SLOWEST, FASTEST = 1, 80, 450
CHARACTERS, UTF8 = 1, 1
MP3_RATE, KBITS = 22_050, 48
# Silence at the end of every text, so that an episode is a plain concatenation of sounds.
PAUSE_SECONDS = 0.8
# Between two passages, as the engines pause only between sentences of one text.
GAP_SECONDS = 0.3

PIPER_CPU_SECONDS, PIPER_MEMORY = 240, 2 * 2**30
# Words per minute of most voices at their own speed, and how far it can be changed.
OWN_PACE, SLOWEST_SPEED, FASTEST_SPEED = 185, 0.6, 2.0
# The memory for a sentence grows with the square of its length, so a long one is divided.
LONGEST = 280
_DIVIDE = re.compile(rf".{{1,{LONGEST}}}(?:[,;:\u2013\u2014 ]|$)|.{{1,{LONGEST}}}", re.DOTALL)

SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Voice(ctypes.Structure):
    """The beginning of espeak_VOICE; ``languages`` is (priority, text, NUL) … NUL."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_ubyte)),
        ("identifier", ctypes.c_char_p),
    )

    def spoken(self) -> Iterator[tuple[str, int]]:
        at = 0
        while priority := self.languages[at]:
            at += 1
            letters = []
            while letter := self.languages[at]:
                letters.append(letter)
                at += 1
            at += 1
            yield bytes(letters).decode("ascii", "replace"), priority


def limit(cpu_seconds: int, memory: int) -> None:
    """Limits time and memory to what a long story needs; not every system knows every limit."""
    for kind, most in ((resource.RLIMIT_CPU, cpu_seconds), (resource.RLIMIT_AS, memory)):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def start_engine() -> tuple[ctypes.CDLL, int]:
    """Starts the engine; returns it with its sample rate."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    folder = espeakng_loader.get_data_path().encode()
    samples = library.espeak_Initialize(SYNCHRONOUS, 0, folder, DO_NOT_EXIT)
    if samples <= 0:
        raise SystemExit("The speech engine does not start.")
    return library, samples


def voices(library: ctypes.CDLL) -> list[tuple[str, int, str]]:
    """Returns the language, priority and name of each voice."""
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(Voice))
    pointers = library.espeak_ListVoices(None)
    rows, at = [], 0
    while pointers[at]:
        voice = pointers[at].contents
        name = voice.identifier.decode()
        rows += [(language, priority, name) for language, priority in voice.spoken()]
        at += 1
    return sorted(rows)


def synthesize(library: ctypes.CDLL, text: str, voice: str, pace: int) -> bytes:
    """Returns the text as 16-bit samples."""
    samples = bytearray()

    def collect(wave: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
        if wave and count:
            samples.extend(ctypes.string_at(wave, count * 2))
        return 0

    # The variable keeps the callback alive while the library uses it.
    callback = SynthCallback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise SystemExit("The speech engine does not have that voice.")
    library.espeak_SetParameter(RATE, min(max(pace, SLOWEST), FASTEST), 0)
    raw = text.encode() + b"\0"
    library.espeak_Synth(raw, len(raw), 0, CHARACTERS, 0, UTF8, None, None)
    return bytes(samples)


def encode_mp3(samples: bytes, rate: int) -> bytes:
    import lameenc

    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_channels(1)
    encoder.set_in_sample_rate(rate)
    encoder.set_out_sample_rate(MP3_RATE)
    encoder.set_bit_rate(KBITS)
    encoder.set_quality(5)
    return bytes(encoder.encode(samples) + encoder.flush())


def answer(spoken: Iterable[bytes], rate: int) -> bytes:
    """Returns the head and the MP3 of passages that are given as 16-bit samples."""
    samples = bytearray()
    times: list[list[float]] = []
    for passage in spoken:
        samples += bytes(2 * round(GAP_SECONDS * rate)) if times else b""
        begin = len(samples) / 2 / rate
        samples += passage
        times.append([round(begin, 3), round(len(samples) / 2 / rate, 3)])
    samples += bytes(2 * round(PAUSE_SECONDS * rate))
    data = encode_mp3(bytes(samples), rate)
    # The encoder fills up the first and last frame, which adds up when an episode joins many sounds.
    head = {"seconds": len(data) * 8 / (KBITS * 1000), "times": times, "bytes": len(data)}
    return json.dumps(head).encode() + b"\n" + data


@lru_cache(maxsize=2)  # two presenters
def load(path: str) -> Any:
    """Loads a voice, which must have its settings in a file beside it."""
    import onnxruntime
    from piper.config import PiperConfig
    from piper.voice import PiperVoice

    options = onnxruntime.SessionOptions()
    # A second thread would make speech faster and the pages of the studio slower.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return PiperVoice(
        config=PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_text())),
        session=onnxruntime.InferenceSession(
            path, sess_options=options, providers=["CPUExecutionProvider"]
        ),
    )


def synthesize_piper(text: str, path: str, pace: int) -> bytes:
    """Returns the text as 16-bit samples."""
    from piper.config import SynthesisConfig

    voice = load(path)
    speed = min(max(pace / OWN_PACE, SLOWEST_SPEED), FASTEST_SPEED)
    settings = SynthesisConfig(length_scale=voice.config.length_scale / speed)
    samples = bytearray()
    for part in _DIVIDE.findall(text):
        # A text in [[brackets]] would be read as phonemes.
        for chunk in voice.synthesize(part.replace("[[", "[ ["), settings):
            samples += resampled(chunk.audio_int16_bytes, chunk.sample_rate)
    return bytes(samples)


def resampled(samples: bytes, rate: int) -> bytes:
    """Returns the samples at the rate of all sounds; small voices have a lower one."""
    if rate == MP3_RATE:
        return samples
    values = array("h", samples)
    values.append(values[-1] if values else 0)
    result = array("h")
    for number in range((len(values) - 1) * MP3_RATE // rate):
        at, rest = divmod(number * rate, MP3_RATE)
        result.append(values[at] + (values[at + 1] - values[at]) * rest // MP3_RATE)
    return result.tobytes()


def requests(idle_seconds: float) -> Iterator[Any]:
    """Yields requests until there is none for a while, or the studio's process has ended."""
    waiting = b""
    while True:
        while b"\n" not in waiting:
            if not select.select([0], [], [], idle_seconds)[0]:
                return
            data = os.read(0, 65_536)
            if not data:
                return
            waiting += data
        line, _, waiting = waiting.partition(b"\n")
        yield json.loads(line)


def serve_piper(idle_seconds: float) -> None:
    """Answers requests until no more come."""
    with suppress(OSError):
        os.nice(5)
    # A library that prints something must not write into an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for request in requests(idle_seconds):
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit(int(used.ru_utime + used.ru_stime) + PIPER_CPU_SECONDS, PIPER_MEMORY)
        try:
            passages, pace = request["passages"], request["pace"]
            spoken = [synthesize_piper(text, path, pace) for text, path in passages]
            output = answer(spoken, MP3_RATE)
        except Exception as error:  # noqa: BLE001 - the process serves the next request
            output = json.dumps({"error": type(error).__name__}).encode() + b"\n"
        answers.write(output)
        answers.flush()


def main() -> None:
    if sys.argv[1:2] == ["piper"]:
        sys.path.append(sys.argv[3])
        serve_piper(float(sys.argv[2]))
        return
    limit(CPU_SECONDS, MEMORY)
    request = json.load(sys.stdin)
    library, rate = start_engine()
    if not request:
        json.dump(voices(library), sys.stdout)
        return
    passages, pace = request["passages"], request["pace"]
    spoken = (synthesize(library, text, voice, pace) for text, voice in passages)
    sys.stdout.buffer.write(answer(spoken, rate))


if __name__ == "__main__":
    main()
