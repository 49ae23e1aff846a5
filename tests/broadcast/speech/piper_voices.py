"""Voices of Piper for tests: a folder with two voices, and a process with stand-ins for the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broadcast.speech import engines, piper
from broadcast.speech.engines import Choice
from broadcast.speech.piper import Piper, PiperProcess
from tests.broadcast.speech.recorded_session import with_engine

STANDIN = Path(__file__).parents[2] / "standins" / "piper_process.py"


def voice(folder: Path, name: str, language: str, rate: int = 22_050) -> Path:
    """Puts a voice into the folder as its owner would."""
    path = folder / "voices" / f"{name}.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_text(name)
    content = {
        "audio": {"sample_rate": rate},
        "inference": {"length_scale": 1},
        "language": {"code": language},
    }
    path.with_name(f"{path.name}.json").write_text(json.dumps(content))
    return path


def with_piper(settings: Any, monkeypatch: pytest.MonkeyPatch, folder: Path) -> PiperProcess:
    """Installs Piper with the voices of the folder; espeak-ng stays the real one."""
    with_engine(settings)
    settings.DATA_DIR = folder
    process = PiperProcess()
    monkeypatch.setattr(engines, "SPEAKER", STANDIN)
    monkeypatch.setattr(piper, "piper_process", process)
    choices = {"espeak": engines._engines["espeak"], "piper": Choice(Piper)}
    monkeypatch.setattr(engines, "_engines", choices)
    monkeypatch.setattr(engines, "VOICE_PACKAGES", folder)
    return process
