"""What a listener of an audio stream hears: MP3 as samples, compared and measured."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator
from fractions import Fraction

import av
from av.filter import Graph

RATE = 24_000
STEP = RATE // 20  # samples of which one figure of an envelope is made


def samples(mp3: bytes) -> array[int]:
    """The sound as 16-bit samples, 24,000 a second."""
    found = array("h")
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(io.BytesIO(mp3), "r") as container:
        for frame in (*container.decode(audio=0), None):
            for part in resampler.resample(frame):
                found.frombytes(bytes(part.planes[0])[: 2 * part.samples])
    return found


def envelope(sound: array[int]) -> list[float]:
    """How loud the sound is, twenty times a second."""
    return [
        sum(map(abs, sound[at : at + STEP])) / STEP for at in range(0, len(sound) - STEP + 1, STEP)
    ]


def places(part: list[float], whole: list[float], least: float = 0.6) -> list[int]:
    """Where the envelope of a sound is found in that of another, by correlation."""
    size = len(part)
    mean = sum(part) / size
    own = [value - mean for value in part]
    power = sum(value * value for value in own)
    found: list[tuple[float, int]] = []
    for at in range(len(whole) - size + 1):
        window = whole[at : at + size]
        middle = sum(window) / size
        other = sum((value - middle) ** 2 for value in window)
        score = sum(a * b for a, b in zip(own, window, strict=True)) / (power * other or 1) ** 0.5
        if score > least:
            found.append((score, at))
    best: list[int] = []
    for _, at in sorted(found, reverse=True):
        # Neighbours of a place are nearly as like.
        if all(abs(at - other) > size // 2 for other in best):
            best.append(at)
    return sorted(best)


def longest_silence(loudness: list[float]) -> float:
    """The longest time without a sound, in seconds."""
    longest = run = 0
    for value in loudness:
        run = run + 1 if value < 30 else 0
        longest = max(longest, run)
    return longest * STEP / RATE


def measured(sound: array[int]) -> tuple[float, float]:
    """Loudness in LUFS and true peak as a ratio to full scale, by ITU-R BS.1770."""
    graph = Graph()
    source = graph.add_abuffer(
        format="s16", sample_rate=RATE, layout="mono", time_base=Fraction(1, RATE)
    )
    meter, sink = graph.add("ebur128", "metadata=1:peak=true"), graph.add("abuffersink")
    graph.link_nodes(source, meter, sink).configure()
    figures: dict[str, str] = {}
    for frame in _frames(sound.tobytes()):
        graph.push(frame)
        while True:
            try:
                figures.update(graph.pull().metadata)
            except (av.BlockingIOError, av.EOFError):
                break
    return float(figures["lavfi.r128.I"]), float(figures["lavfi.r128.true_peak"])


def _frames(data: bytes) -> Iterator[av.AudioFrame | None]:
    for begin in range(0, len(data), RATE):
        part = data[begin : begin + RATE]
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(part) // 2)
        frame.planes[0].update(part)
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), begin // 2
        yield frame
    yield None
