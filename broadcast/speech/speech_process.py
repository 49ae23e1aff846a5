"""Speaks passages to an MP3, in a separate process: both engines are GPL and read untrusted text.

Run as a file, never imported by the studio. For espeak-ng the process speaks one request: standard
input is JSON ``{"passages", "pace"}``, each passage ``[text, voice]``; the answer is one line of JSON
``{"seconds", "times", "bytes"}`` and then the MP3. ``times`` has the begin and end of each part of each
passage; a mark in its text, U+001F, begins a new part. Without passages the answer is the list of
voices, ``[[language, priority, name], …]``.

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
from itertools import accumulate, chain, pairwise
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

MARK = "\x1f"
# The tensor of a voice with the length of each phoneme, as the exporter of Piper names it.
LENGTHS = b"/Ceil_output_0"
STRESS = "\u02c8\u02cc\u02d0"


class Event(ctypes.Structure):
    """The beginning of espeak_EVENT; the list of events ends with one of type 0."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


WORD = 1  # the type of the event that begins a word

SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
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


# The sound of a passage as 16-bit samples, and where its parts after the first begin, in samples.
Spoken = tuple[bytes, list[int]]


def marks_of(text: str) -> tuple[str, list[int]]:
    """Returns a text without its marks, and the place of each of them."""
    parts = text.split(MARK)
    places = list(accumulate(map(len, parts[:-1])))
    return "".join(parts), places


def synthesize(library: ctypes.CDLL, text: str, voice: str, pace: int, rate: int) -> Spoken:
    """Returns the sound of a passage."""
    samples = bytearray()
    words: list[tuple[int, int]] = []
    text, marks = marks_of(text)

    def collect(
        wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[Event]
    ) -> int:
        if wave and count:
            samples.extend(ctypes.string_at(wave, count * 2))
        at = 0
        while events and events[at].type:
            if events[at].type == WORD:
                # Characters are counted from one.
                words.append((events[at].text_position - 1, events[at].audio_position))
            at += 1
        return 0

    # The variable keeps the callback alive while the library uses it.
    callback = SynthCallback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise SystemExit("The speech engine does not have that voice.")
    library.espeak_SetParameter(RATE, min(max(pace, SLOWEST), FASTEST), 0)
    raw = text.encode() + b"\0"
    library.espeak_Synth(raw, len(raw), 0, CHARACTERS, 0, UTF8, None, None)
    begins = ([ms for place, ms in words if place >= mark] for mark in marks)
    return bytes(samples), [rate * found[0] // 1000 if found else len(samples) for found in begins]


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


def answer(spoken: Iterable[Spoken], rate: int) -> bytes:
    """Returns the head and the MP3 of passages."""
    samples = bytearray()
    times: list[list[float]] = []
    for passage, begins in spoken:
        samples += bytes(2 * round(GAP_SECONDS * rate)) if times else b""
        first, length = len(samples) // 2, len(passage) // 2
        samples += passage
        edges = accumulate((0, *(min(begin, length) for begin in begins), length), max)
        times += [[round((first + edge) / rate, 3) for edge in part] for part in pairwise(edges)]
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
            with_lengths(Path(path).read_bytes()),
            sess_options=options,
            providers=["CPUExecutionProvider"],
        ),
    )


def with_lengths(model: bytes) -> bytes:
    """Returns a voice that also puts out how long each phoneme is, if it computes that.

    The library does the same with a package of 100 MB. In the format of a voice, what is appended to a
    message is added to its lists: here a name (1) in an output (12) of the graph (7).
    """
    if LENGTHS not in model:
        return model
    message = LENGTHS
    for number in (1, 12, 7):
        message = bytes((number << 3 | 2, len(message))) + message
    return model + message


def synthesize_piper(text: str, path: str, pace: int) -> Spoken:
    """Returns the sound of a passage."""
    from piper.config import SynthesisConfig

    voice = load(path)
    speed = min(max(pace / OWN_PACE, SLOWEST_SPEED), FASTEST_SPEED)
    settings = SynthesisConfig(length_scale=voice.config.length_scale / speed)
    samples = bytearray()
    text, marks = marks_of(text)
    # A text in [[brackets]] would be read as phonemes.
    text, at, begins = text.replace("[[", "[("), 0, []
    for part in _DIVIDE.findall(text):
        sounds: list[float] = []  # where each of them begins
        for chunk in voice.synthesize(part, settings, include_alignments=True):
            sounds += begins_of_sounds(chunk, len(samples) / 2)
            samples += resampled(chunk.audio_int16_bytes, chunk.sample_rate)
        for mark in marks:
            if at <= mark < at + len(part):
                before = chain.from_iterable(voice.phonemize(part[: mark - at]))
                number = sum(map(is_sound, before))
                begins.append(round([*sounds, len(samples) / 2][min(number, len(sounds))]))
        at += len(part)
    return bytes(samples), begins


def begins_of_sounds(chunk: Any, first: float) -> Iterator[float]:
    """Yields where each sound of a chunk begins, in samples; the chunk begins at ``first``."""
    known = chunk.phoneme_alignments
    even = len(chunk.audio_int16_bytes) / 2 / max(len(chunk.phonemes), 1)
    lengths = [(each.phoneme, each.num_samples) for each in known or ()]
    for phoneme, length in lengths or [(phoneme, even) for phoneme in chunk.phonemes]:
        if is_sound(phoneme):
            yield first
        first += length * MP3_RATE / chunk.sample_rate


def is_sound(phoneme: str) -> bool:
    return phoneme.isalpha() and phoneme not in STRESS


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
    spoken = (synthesize(library, text, voice, pace, rate) for text, voice in passages)
    sys.stdout.buffer.write(answer(spoken, rate))


if __name__ == "__main__":
    main()
