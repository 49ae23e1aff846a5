"""Keywords of a post: names first, no fragments, and linear time for any input."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from stories.market.ngrams import MAX_KEY, MOST, key_of, keywords_of

RECORDING = Path(__file__).resolve().parents[3] / "stories" / "sources" / "recording.json"


def labels(title: str, body: str = "") -> list[str]:
    return [keyword.label for keyword in keywords_of(title, body)]


def keys(title: str, body: str = "") -> list[str]:
    return [keyword.key for keyword in keywords_of(title, body)]


def test_names_stand_before_other_words() -> None:
    found = labels("A ferry between Port Elowen and Tavish Reach is late")
    assert found[:2] == ["Port Elowen", "Tavish Reach"]
    assert "ferry" in found


def test_a_name_is_one_keyword_without_its_pieces() -> None:
    found = keys("Storms reach the Bank of Veyland", "The Bank of Veyland is closed.")
    assert "bank of veyland" in found
    assert not {"bank", "veyland"} & set(found)


def test_a_phrase_that_repeats_swallows_its_words() -> None:
    found = keys("The tidal turbine turns", "Next week the tidal turbine rests.")
    assert "tidal turbine" in found
    assert not {"tidal", "turbine"} & set(found)


def test_a_word_that_stands_more_often_than_its_phrase_stays() -> None:
    found = keys("The tidal turbine turns", "The tidal turbine rests. This turbine is new.")
    assert {"tidal turbine", "turbine"} <= set(found)


def test_words_of_the_headline_stay_when_their_pair_stands_there_once() -> None:
    assert {"interest", "rates", "interest rates"} <= set(keys("Now interest rates fall"))


def test_filler_and_numbers_are_no_keywords() -> None:
    assert labels("What he said about it after 365 days, and why they would") == []


def test_stop_words_of_other_languages_are_no_keywords() -> None:
    assert keys("Der Hafen wird nach einem Sturm wieder geöffnet") == [
        "hafen",
        "sturm",
        "geöffnet",
    ]


def test_spellings_share_a_key() -> None:
    assert key_of("Car-Free") == key_of("car free") == "car free"
    assert key_of("STRASSE") == key_of("Straße")
    assert key_of("Elowen\u2019s") == key_of("Elowen's")


def test_a_possessive_belongs_to_the_name() -> None:
    assert "Elowen" in labels("This is what Elowen's divers found")


def test_a_shouted_headline_reads_in_lower_case() -> None:
    assert "harbour bridge" in labels("HARBOUR BRIDGE CLOSED FOREVER AND EVER")


def test_a_headline_in_title_case_proves_no_names() -> None:
    found = labels("Harbour Bridge Closes After Strong Storm")
    assert "harbour" in found
    assert "Harbour Bridge Closes After Strong Storm" not in found


def test_short_capitals_are_kept_as_they_are() -> None:
    assert "EU" in labels("New rules of the EU for tidal power")


def test_the_body_adds_its_names_and_what_it_comes_back_to() -> None:
    body = "The keeper met Ines Calloway. A lantern fell. The lantern broke. Lanterns! One lantern."
    found = keys("A quiet evening", body)
    assert {"ines calloway", "lantern"} <= set(found)
    assert "keeper" not in found


def test_scripts_without_latin_letters_have_keywords() -> None:
    assert "порт" in keys("порт закрыт")


def test_no_post_of_the_recording_has_more_than_eight_or_one_twice() -> None:
    for post in json.loads(RECORDING.read_text("utf-8"))["posts"]:
        found = keywords_of(post["title"], post.get("body", ""))
        assert len(found) <= MOST
        assert len({each.key for each in found}) == len(found)


@pytest.mark.parametrize("text", ["", " ", "!!!", "\u200b", "'", "-", "the", "0 1 2", "\ud83d"])
def test_a_text_without_words_has_no_keywords(text: str) -> None:
    assert keywords_of(text, text) == []


HOSTILE = [
    "A" * 200_000,
    "A " * 100_000,
    "Aa " * 100_000,
    "Aa of the " * 50_000,
    "a-" * 100_000,
    "Aa'" * 100_000,
    "word " * 100_000,
    "".join(f"Name{n} " for n in range(30_000)),
    "".join(f"word{n} " for n in range(30_000)),
    ". " * 100_000,
    "'\u2019" * 100_000,
    "ツ" * 100_000,
    "é\u0301" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_is_read_as_far_as_a_post_is_long(text: str) -> None:
    started = time.process_time()
    found = keywords_of(text, text)
    assert time.process_time() - started < 1  # it takes milliseconds; quadratic would take minutes
    assert len(found) <= MOST
    assert all(0 < len(keyword.key) <= MAX_KEY for keyword in found)
    assert all(0 < len(keyword.label) <= MAX_KEY for keyword in found)


def test_new_york_is_one_name() -> None:
    assert "New York" in labels("New York votes on a bridge")
    assert "rules" in labels("New rules for bridges")


def test_the_head_of_an_opening_name_is_kept_only_when_it_is_part_of_it() -> None:
    assert "Tavish Reach" in labels("Teenagers of Tavish Reach mend a radio")
    assert "Bank of Veyland" in labels("Bank of Veyland waits", "So the Bank of Veyland waits.")
