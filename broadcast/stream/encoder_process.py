"""Renders parts of a programme to MP3 in a separate process: the wheel of av has GPL codecs in it.

Run as a file, never imported. Standard input is JSON ``{"parts", "ranges"}``: the parts as
``schedule.Part`` with absolute paths, and ``[first frame, number of frames]`` of each segment. The
answer is the MP3 frames of all ranges, each of the same size. Every segment is a function of the
parts alone: whichever process renders it makes the same bytes, and segments that follow one another
decode without a seam.
"""

from __future__ import annotations

import json
import math
import resource
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
from av.audio.codeccontext import AudioCodecContext
from av.filter import Graph

CPU_SECONDS, MEMORY = 40, 1024 * 2**20
RATE, FRAME = 24_000, 576  # samples a second, samples of a frame: 24 ms
BIT_RATE = 64_000
FRAME_BYTES = BIT_RATE * FRAME // RATE // 8
# The encoder needs the frames before a segment, as each frame overlaps with the next; it returns a
# frame when it has more than one frame of sound after it.
PRIMING, DELAY = 8, 1
# In LUFS; the encoder makes every sound quieter by 0.45, so that listeners get -16.
LOUDNESS = -15.55
COMPRESSOR = "threshold=0.125:ratio=3:attack=5:release=100"
# Below -1 dB by as much as encoding and the filter of a player may raise peaks again.
LIMITER = "limit=0.67:attack=2:release=40:level=0:latency=1"
SILENCE = -60.0
FADE = RATE // 2
CHORDS = ((220, 262, 330), (175, 220, 262), (131, 165, 196), (196, 247, 294))  # Hz
CHORD_SECONDS = 3
CHIME = ((0.0, 659.3), (0.16, 880.0))  # seconds, Hz
CHIME_SECONDS = 1.2


def limit() -> None:
    """Limits time and memory to what a few segments need; not every system knows every limit."""
    for kind, most in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY)):
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def frames_of(samples: bytes) -> Iterator[av.AudioFrame]:
    """Yields samples (16 bits, mono) as frames of the libraries."""
    for begin in range(0, len(samples), 2 * FRAME):
        data = samples[begin : begin + 2 * FRAME]
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(data) // 2)
        frame.planes[0].update(data)
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), begin // 2
        yield frame


def filtered(samples: bytes, *filters: tuple[str, str]) -> Iterator[av.AudioFrame]:
    """Yields what a chain of filters makes of the samples."""
    graph = Graph()
    source = graph.add_abuffer(
        format="s16", sample_rate=RATE, layout="mono", time_base=Fraction(1, RATE)
    )
    nodes = [source, *(graph.add(*named) for named in filters), graph.add("abuffersink")]
    graph.link_nodes(*nodes).configure()
    for frame in (*frames_of(samples), None):
        graph.push(frame)
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                result = graph.pull()
                assert isinstance(result, av.AudioFrame)
                yield result


def content(frame: av.AudioFrame) -> bytes:
    """Returns the samples of a frame, without the padding of its buffer."""
    return bytes(frame.planes[0])[: 2 * frame.samples]


def loudness(samples: bytes) -> float:
    """Returns the integrated loudness (BS.1770) in LUFS."""
    result = SILENCE
    for frame in filtered(samples, ("ebur128", "metadata=1")):
        # A short frame, such as the last one, may have no figures.
        result = float(frame.metadata.get("lavfi.r128.I", result))
    return result


def joined(samples: bytes, *filters: tuple[str, str]) -> bytes:
    """Returns what a chain of filters makes of the samples, as samples of the same form."""
    output = ("aformat", f"sample_fmts=s16:sample_rates={RATE}:channel_layouts=mono")
    return b"".join(map(content, filtered(samples, *filters, output)))


def level(samples: bytes) -> bytes:
    """Brings a sound to the loudness of the stream, with its peaks limited."""
    found = loudness(samples)
    if not found > SILENCE:
        return samples
    gain = LOUDNESS - found
    # Raw speech has peaks that would allow no more than -20 LUFS.
    source = joined(samples, ("volume", f"{gain:.2f}dB"), ("acompressor", COMPRESSOR))
    gain, result = LOUDNESS - loudness(source), source
    for _ in range(2):
        # The second time for what the limiter has taken away.
        result = joined(source, ("volume", f"{gain:.2f}dB"), ("alimiter", LIMITER))
        gain += LOUDNESS - loudness(result)
    return result


def decode(path: str, tempo: float) -> bytes:
    """Returns the samples of a sound file, read faster or slower at the same pitch."""
    samples = bytearray()
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(path) as container:
        for frame in (*container.decode(audio=0), None):
            for result in resampler.resample(frame):
                samples += content(result)
    if tempo == 1:
        return bytes(samples)
    return joined(bytes(samples), ("atempo", str(tempo)))


def bed() -> bytes:
    """Returns quiet chords, which fill the time without speech; their end fits their begin."""
    samples, length = array("h"), CHORD_SECONDS * RATE
    swell = [4000 * math.sin(math.pi * (at + 0.5) / length) ** 0.5 for at in range(length)]
    for chord in CHORDS:
        # Whole numbers of periods in a second, so that one second is enough.
        second = [
            math.fsum(math.sin(2 * math.pi * tone * at / RATE) for tone in chord)
            for at in range(RATE)
        ]
        tones = second * CHORD_SECONDS
        samples.extend(int(a * b) for a, b in zip(swell, tones, strict=True))
    return level(samples.tobytes())


def chime() -> bytes:
    """Returns the short sound between two stories."""
    samples = array("h", bytes(2 * round(CHIME_SECONDS * RATE)))
    for begin, tone in CHIME:
        first = round(begin * RATE)
        for at in range(len(samples) - first):
            fall = 7000 * math.exp(-5 * at / RATE) * min(1.0, at / 120)
            samples[first + at] += int(fall * math.sin(2 * math.pi * tone * at / RATE))
    return level(samples.tobytes())


class Mixer:
    """The samples of the programme at any time; each sound is made once."""

    def __init__(self, parts: Sequence[Mapping[str, Any]]) -> None:
        self.parts = parts
        self.sounds: dict[tuple[object, ...], bytes] = {}

    def sound(self, part: Mapping[str, Any]) -> bytes:
        key = (part["path"], part["tempo"]) if part["path"] else (part["kind"],)
        if key not in self.sounds:
            self.sounds[key] = self.make(part)
        return self.sounds[key]

    def make(self, part: Mapping[str, Any]) -> bytes:
        if part["kind"] == "chime":
            return chime()
        try:
            return level(decode(part["path"], part["tempo"])) if part["path"] else bed()
        except (OSError, av.FFmpegError, IndexError):
            # A sound that was removed or is damaged must not end the stream.
            sys.stderr.write(f"not readable: {part['path'].rpartition('/')[2]}\n")
            return b""

    def samples(self, first: int, last: int) -> bytes:
        """Returns the samples from frame ``first`` to before frame ``last``; silence where no part is."""
        result = bytearray()
        for part in self.parts:
            begin, end = max(first, part["at"]), min(last, part["at"] + part["frames"])
            if begin < end:
                result += bytes(2 * FRAME * (begin - first) - len(result))
                result += self.cut(part, FRAME * (begin - part["at"]), FRAME * (end - part["at"]))
        return bytes(result.ljust(2 * FRAME * (last - first), b"\0"))

    def cut(self, part: Mapping[str, Any], begin: int, end: int) -> bytes:
        """Returns the samples ``begin`` to ``end`` of a part."""
        sound = self.sound(part)
        if part["kind"] != "bed":
            return sound[2 * begin : 2 * end].ljust(2 * (end - begin), b"\0")
        start, length = 2 * begin % len(sound), FRAME * part["frames"]
        loop = array("h", (sound[start:] + sound * (end // RATE))[: 2 * (end - begin)])
        for at in (*range(begin, min(end, FADE)), *range(max(begin, length - FADE), end)):
            loop[at - begin] = int(loop[at - begin] * min(1.0, at / FADE, (length - at) / FADE))
        return loop.tobytes()


def encode(samples: bytes) -> bytes:
    """Returns the samples as MP3 frames, without those of the priming."""
    codec = av.CodecContext.create("libmp3lame", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format = RATE, "mono", "s16p"
    codec.bit_rate = BIT_RATE
    # Frames that borrow bits from earlier ones could not be cut from them.
    codec.options = {"reservoir": "0"}
    packets = []
    for frame in frames_of(samples):
        frame.time_base = Fraction(1, RATE)
        packets += [bytes(packet) for packet in codec.encode(frame)]
    packets += [bytes(packet) for packet in codec.encode(None)]
    first = PRIMING - DELAY
    return b"".join(packets[first : first + len(samples) // 2 // FRAME - PRIMING])


def main() -> None:
    limit()
    request = json.load(sys.stdin)
    mixer = Mixer(request["parts"])
    for first, number in request["ranges"]:
        data = encode(mixer.samples(first - PRIMING, first + number))
        if len(data) != number * FRAME_BYTES:
            raise SystemExit(f"A segment has {len(data)} bytes.")
        sys.stdout.buffer.write(data)


if __name__ == "__main__":
    main()
