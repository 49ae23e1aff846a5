"""Stands in for piper.voice: a tone of 50 ms for each letter, and texts that make the process fail."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Alignment:
    phoneme: str
    num_samples: int


@dataclass
class Chunk:
    sample_rate: int
    audio_int16_bytes: bytes
    phonemes: list[str]
    phoneme_alignments: Any = None


@dataclass
class PiperVoice:
    config: Any
    session: Any

    def phonemize(self, text: str) -> list[list[str]]:
        return [list(text)]

    def synthesize(
        self, text: str, settings: Any, include_alignments: bool = False
    ) -> Iterator[Chunk]:
        print("A library may print.")
        if "crash" in text:
            os.abort()
        if "hang" in text:
            time.sleep(60)
        if "secret" in text:
            assert "ANTHROPIC_API_KEY" not in os.environ
        assert self.session.threads == 1
        rate = self.config.sample_rate
        count = round(len(text) * 0.05 * settings.length_scale * rate)
        tone = array("h", ((number % 100) * 200 - 10_000 for number in range(count)))
        each = [Alignment("^", 0), *(Alignment(letter, count // len(text)) for letter in text)]
        yield Chunk(rate, tone.tobytes(), list(text), each if "uneven" not in text else None)
