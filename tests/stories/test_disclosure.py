"""What is said of a story's making: for each origin, edited or not, approved or not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stories import disclosure
from stories.models import Story

AT = datetime(2026, 12, 2, 8, 0, tzinfo=UTC)
MODEL = "claude-haiku-5-5"
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def made(origin: str, **more: Any) -> disclosure.Disclosure:
    return disclosure.of_story(Story(origin=origin, **more))


@pytest.mark.parametrize(
    ("origin", "more", "text", "source_type"),
    [
        (
            "model",
            {"model": MODEL},
            "Written by claude-haiku-5-5 and read by a synthetic voice.",
            "trainedAlgorithmicMedia",
        ),
        (
            "model",
            {"model": ""},
            "Written by software and read by a synthetic voice.",
            "trainedAlgorithmicMedia",
        ),
        (
            "model",
            {"model": MODEL, "version": 2},
            "Written by claude-haiku-5-5, edited by an editor and read by a synthetic voice.",
            "compositeWithTrainedAlgorithmicMedia",
        ),
        (
            "model",
            {"model": MODEL, "approved_at": AT},
            "Written by claude-haiku-5-5 and read by a synthetic voice. Approved by an editor.",
            "trainedAlgorithmicMedia",
        ),
        (
            "model",
            {"model": MODEL, "approved_at": AT, "approved_as": "Olga N."},
            "Written by claude-haiku-5-5 and read by a synthetic voice. Approved by Olga N.",
            "trainedAlgorithmicMedia",
        ),
        (
            "extractive",
            {},
            "Verbatim from the source, selected and introduced by software and read by a synthetic voice.",
            "algorithmicMedia",
        ),
        (
            "extractive",
            {"version": 3},
            "Verbatim from the source, selected and introduced by software, edited by an editor and "
            "read by a synthetic voice.",
            "algorithmicMedia",
        ),
        (
            "manual",
            {"approved_at": AT},
            "Written by an editor and read by a synthetic voice.",
            "digitalCreation",
        ),
        (
            "manual",
            {"approved_at": AT, "approved_as": "Olga N.", "version": 2},
            "Written by Olga N. and read by a synthetic voice.",
            "digitalCreation",
        ),
        (
            "draft",
            {},
            "Written by software in the writers' room and read by a synthetic voice.",
            "trainedAlgorithmicMedia",
        ),
        (
            "legacy",
            {"model": "old-model"},
            "Written by old-model in an earlier system and read by a synthetic voice.",
            "trainedAlgorithmicMedia",
        ),
    ],
)
def test_each_origin_is_disclosed(
    origin: str, more: dict[str, Any], text: str, source_type: str
) -> None:
    found = made(origin, **more)
    assert (found["text"], found["source_type"]) == (text, IPTC + source_type)


def test_a_public_name_that_ends_with_a_full_stop_gets_no_second_one() -> None:
    text = made("model", approved_at=AT, approved_as="Olga N.")["text"]
    assert text.endswith("Approved by Olga N.")


def test_a_story_is_labelled_unless_an_editor_answers_for_it() -> None:
    assert made("model")["labelled"] is True
    assert made("model", label_off=True, approved_at=AT)["labelled"] is False


@pytest.mark.parametrize(
    ("origin", "term"),
    [
        ("model", "trainedAlgorithmicMedia"),
        ("draft", "trainedAlgorithmicMedia"),
        ("legacy", "trainedAlgorithmicMedia"),
        ("extractive", "algorithmicMedia"),
        ("recap", "algorithmicMedia"),
        ("manual", "algorithmicMedia"),
    ],
)
def test_a_sound_is_of_a_trained_model_only_where_one_wrote_the_story(
    origin: str, term: str
) -> None:
    assert disclosure.source_type_of_sound(made(origin)) == IPTC + term


def test_the_name_of_the_narrator_without_a_model_is_not_public() -> None:
    assert made("extractive", model="extractive")["model"] == ""


@pytest.mark.parametrize(
    ("stories", "text"),
    [
        (
            [("model", {"model": MODEL})],
            "Stories are written by claude-haiku-5-5. They are read by a synthetic voice.",
        ),
        (
            [("extractive", {})],
            "Stories are taken verbatim from their sources by software. They are read by a "
            "synthetic voice.",
        ),
        (
            [("model", {"model": MODEL}), ("extractive", {}), ("manual", {})],
            "Stories are written by claude-haiku-5-5, or taken verbatim from their sources by "
            "software, or written by an editor. They are read by a synthetic voice.",
        ),
        (
            [("model", {"model": "b"}), ("model", {"model": "a"}), ("model", {"model": "a"})],
            "Stories are written by a and b. They are read by a synthetic voice.",
        ),
        ([], "Stories are written by software. They are read by a synthetic voice."),
    ],
)
def test_a_programme_names_all_its_makers(
    stories: list[tuple[str, dict[str, Any]]], text: str
) -> None:
    assert disclosure.spoken([made(origin, **more) for origin, more in stories]) == text
