"""Sentences and the lengths of texts."""

from __future__ import annotations

import pytest

from stories.text.sentences import reading_seconds, sentences, word_count


@pytest.mark.parametrize(
    "text", ["." * 1_000_000, '."' * 500_000, "x" * 1_000_000, "<" * 1_000_000]
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


def test_words_are_counted_as_a_reader_counts_them() -> None:
    assert word_count("It's 3.5 well-known miles — really") == 5
    assert word_count("港の船") == 3


def test_reading_takes_as_long_as_the_pace_says() -> None:
    assert reading_seconds(90, 180) == 30
    assert reading_seconds(90, 0) == 0
