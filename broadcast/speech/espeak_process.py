"""Speaks passages to one MP3 in a separate process: espeak-ng is GPL and reads untrusted text.

Run as a file, never imported by the studio. Standard input is JSON ``{"passages", "pace"}``, each
passage ``[text, voice]``; the answer is one line of JSON ``{"seconds", "times"}`` and then the MP3.
``times`` has the begin and end of each passage. Without passages the answer is the list of voices,
``[[language, priority, name], …]``.
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress

CPU_SECONDS, MEMORY = 30, 512 * 2**20
SYNCHRONOUS, DO_NOT_EXIT = 2, 0x8000
RATE, SLOWEST, FASTEST = 1, 80, 450
CHARACTERS, UTF8 = 1, 1
MP3_RATE, KBITS = 22_050, 48
# Silence at the end of every text, so that an episode is a plain concatenation of sounds.
PAUSE_SECONDS = 0.8
# Between two passages, as the engines pause only between sentences of one text.
GAP_SECONDS = 0.3

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


def limit() -> None:
    """Limits time and memory to what a long story needs; not every system knows every limit."""
    for kind, most in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY)):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


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
    samples, times = bytearray(), []
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


def main() -> None:
    limit()
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
