"""Sentences and the lengths of texts."""

from __future__ import annotations

import json

import pytest

from stories.text.sentences import (
    full_stop,
    has_sentence,
    in_digits,
    is_complete,
    reading_seconds,
    sentences,
    word_count,
)
from tests.standins.recorded import DATA

# Texts of many scripts, divided into their sentences, and numbers of words: in scripts without
# spaces estimates (the Thai line has 7 words by a dictionary).
SCRIPTS = json.loads((DATA / "text" / "scripts.json").read_text("utf-8"))


@pytest.mark.parametrize("parts", SCRIPTS["spaced"])
def test_every_script_has_sentences(parts: list[str]) -> None:
    assert sentences(" ".join(parts)) == parts


@pytest.mark.parametrize("parts", SCRIPTS["unspaced"])
def test_stops_of_scripts_without_spaces_need_none(parts: list[str]) -> None:
    assert sentences("".join(parts)) == parts


@pytest.mark.parametrize(("text", "words"), SCRIPTS["words"].items())
def test_words_are_counted_as_a_reader_says_them(text: str, words: int) -> None:
    assert word_count(text) == words


@pytest.mark.parametrize(
    "text",
    ["." * 200_000, '."' * 100_000, "x" * 200_000, "A. " * 60_000, "1. " * 60_000],
)
def test_hostile_text_has_sentences_too(text: str) -> None:
    assert len(sentences(text)) <= len(text)
    assert word_count(text) <= len(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Dr. A. B. Lahr paid 3.5 crowns. It was 5 p.m. She left.", 3),
        ('"Stop!" he said. See https://a.example/b.c for more.', 2),
        ("No. 5 won. He said no. Then he went.", 3),
        ("The U.S. Navy and Salt Co. Ltd. of Elowen agreed…", 1),
        ("A heading\nand a line", 2),
        ("「はい。」そう。次", 3),
        ("", 0),
    ],
)
def test_sentences_end_where_a_reader_would_pause(text: str, parts: int) -> None:
    assert len(sentences(text)) == parts


def test_a_long_thai_text_is_divided_between_clauses() -> None:
    clause = "วันนี้ฝนตกหนักมากในกรุงเทพมหานครและปริมณฑลทำให้น้ำท่วมขังหลายพื้นที่และรถติดทั่วเมือง"
    assert sentences(f"{clause} {clause} ฝนหยุด") == [clause, clause, "ฝนหยุด"]
    assert sentences("ฝนตก รถติด") == ["ฝนตก รถติด"]


@pytest.mark.parametrize(
    "text",
    [
        "J. R. R. Tolkien wrote to C. S. Lewis",
        "Update to v2.1. of the tool or stay with 2.0.",
        "Write to a.b@c.example. or see example.com. for more.",
        "At 5 p.m. today, at 6 p.m. Monday and at 7 a.m. EST it rained.",
        "It grew by 3.5 percent to $1.2 bn. in 2026.",
        "He paused... and Wait … Anna left.",
        "1. Open the door",
        "See No. 5, Art. 3 and p. 12 of vol. 2.",
        "Salt, e.g. The Sea Salt, i.e. It.",
        "The boat weighs 5 kg. or so.",
    ],
)
def test_numbers_initials_addresses_and_times_end_no_sentence(text: str) -> None:
    assert sentences(text) == [text]


def test_a_time_can_end_a_sentence() -> None:
    assert sentences("It closed at 5 p.m. Residents left.") == [
        "It closed at 5 p.m.",
        "Residents left.",
    ]
    assert sentences("So it ended... The boat sank.") == ["So it ended...", "The boat sank."]


@pytest.mark.parametrize(
    ("text", "complete", "stop"),
    [
        ("It is late.”", True, "."),
        ("It is late", False, "."),
        ("यह पहला है।", True, "।"),
        ("پل کھل گیا؟", True, "."),
        ("今日は晴れ", False, "。"),
        ("ሰላም ነው", False, "።"),
        ("ฝนตก", False, ""),
        ("នេះជាទីមួយ", False, "។"),
    ],
)
def test_the_stop_fits_the_script(text: str, complete: bool, stop: str) -> None:
    assert is_complete(text) == complete
    assert full_stop(text) == stop


def test_reading_takes_as_long_as_the_pace_says() -> None:
    assert reading_seconds(90, 180) == 30
    assert reading_seconds(90, 0) == 0


@pytest.mark.parametrize(
    ("text", "sentence", "found"),
    [
        (
            "Der Rat schließt die Schulen im Norden nicht.",
            "Der Rat schließt die Schulen im Norden.",
            False,
        ),
        ("The storm killed 12 people.", "The storm killed 1.", False),
        ("The town sold the mine for $2.5 million.", "The town sold the mine for $2.", False),
        ("He resigns, if he loses the vote.", "He resigns.", False),
        ("It rained. The storm killed 12 people. It went on.", "The storm killed 12 people.", True),
        ("“It is over.” He left.", "He left", True),
        ("He said: “It is over.” Then he left.", "Then he left.", True),
        ("The mine closes; the town protests.", "The mine closes.", True),
        ("学校は閉まる。駅は開く。", "学校は閉まる。", True),
    ],
)
def test_a_part_of_a_sentence_is_no_sentence(text: str, sentence: str, found: bool) -> None:
    assert has_sentence(text, sentence) is found


@pytest.mark.parametrize(
    ("text", "language", "digits"),
    [
        ("a las dos y cuarto", "es", "a  2:15"),
        ("In der zwölften Runde", "de", "In der 12 Runde"),
        ("In der dreiundzwanzigsten Runde", "de", "In der 23 Runde"),
        ("Im zweiten Satz", "de", "Im zweiten Satz"),
        ("Dritter wurde Berg", "de", "Dritter wurde Berg"),
        ("anderhalf miljoen", "nl", "1,5 miljoen"),
        ("halvanden million", "da", "1,5 million"),
    ],
)
def test_ordinals_and_halves_are_read(text: str, language: str, digits: str) -> None:
    assert in_digits(text, language, lambda _word: False) == digits
