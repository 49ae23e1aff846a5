"""Stands in for piper.config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class SynthesisConfig:
    length_scale: float


@dataclass
class PiperConfig:
    sample_rate: int
    length_scale: float

    @staticmethod
    def from_dict(settings: dict[str, Any]) -> PiperConfig:
        return PiperConfig(
            sample_rate=settings["audio"]["sample_rate"],
            length_scale=settings["inference"]["length_scale"],
        )
