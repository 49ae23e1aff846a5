"""A JSON object read while it streams: the shown text only grows."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stories.llm.partial_json import is_prose, narration_so_far, parsed

OBJECTS = st.fixed_dictionaries(
    {"narration": st.text()},
    optional={"title": st.text(), "topics": st.lists(st.text(), max_size=3)},
)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 2]))
def test_every_prefix_of_the_object_gives_a_prefix_of_the_narration(
    whole: dict[str, object], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(whole, ensure_ascii=ascii_only, indent=indent)
    narration = str(whole["narration"])
    texts = [narration_so_far(text[:end]) for end in range(len(text) + 1)]
    assert all(narration.startswith(one) for one in texts)
    assert texts == sorted(texts, key=len)
    assert texts[-1] == narration


@given(OBJECTS)
def test_a_fence_and_space_around_the_object_change_nothing(whole: dict[str, object]) -> None:
    text = f"\n```json\n{json.dumps(whole)}\n```"
    assert narration_so_far(text) == whole["narration"]
    assert parsed(text) == whole


@pytest.mark.parametrize("end", range(1, 12))
def test_a_surrogate_pair_cut_in_two_waits_for_its_other_half(end: int) -> None:
    text = r'{"narration": "A \ud83d\ude00'
    expected = "A " if end < 12 else "A 😀"
    assert narration_so_far(text[: len(text) - 12 + end]) == expected


@pytest.mark.parametrize(
    "lonely", [r"\ud83d!", r"\ud83d\n", r"\ud83d\u0041", r"\ud83d\ud83d!", r"\ude00!"]
)
def test_half_a_pair_that_stays_alone_is_replaced(lonely: str) -> None:
    text = narration_so_far('{"narration": "A' + lonely + '"}')
    assert text.startswith("A\ufffd")
    text.encode()


@pytest.mark.parametrize(
    "start", ["", " ", "\ufeff", "`", "```", "```json", "```json\n", "{", "{ "]
)
def test_nothing_is_said_while_it_may_still_become_json(start: str) -> None:
    assert narration_so_far(start) == ""


def test_prose_is_its_own_narration() -> None:
    assert narration_so_far("  Good evening from the ha") == "Good evening from the ha"
    assert is_prose("Good evening {and hello}.")


def test_an_object_announced_by_prose_is_found() -> None:
    text = 'Here it is: {"narration": "It rains.", "title": "Rain"} Enjoy!'
    assert narration_so_far(text) == "It rains."
    assert parsed(text) == {"narration": "It rains.", "title": "Rain"}


def test_a_narration_that_is_not_first_is_found_once_the_others_are_complete() -> None:
    text = '{"title": "Rain, \\"today\\"", "topics": ["a", {"b": 1}], "narration": "It ra'
    assert narration_so_far(text) == "It ra"
    assert narration_so_far(text[:30]) == ""


@pytest.mark.parametrize(
    "odd", ['{"narration": 7}', '{"narration" 7', '{"x": tru, "narration": "a"}', "{]", '{"a": 1}']
)
def test_an_object_without_a_narration_says_nothing(odd: str) -> None:
    assert narration_so_far(odd) == ""


def test_deep_nesting_is_no_way_to_break_it() -> None:
    deep = '{"x": ' + "[" * 100_000
    assert narration_so_far(deep) == ""
    assert parsed(deep) is None


def test_a_broken_object_is_no_object() -> None:
    assert parsed('{"narration": "It rains"') is None
    assert parsed("[1]") is None


def test_a_backslash_before_a_line_break_leaves_the_text_readable() -> None:
    assert narration_so_far('{"narration":"b c\\\n rest"}') == "b c\n rest"


@pytest.mark.parametrize("end", ["", '"', ' more"}'])
def test_an_escape_without_its_digits_is_replaced(end: str) -> None:
    text = narration_so_far(r'{"narration":"a \uZZ' + end)
    assert text.startswith("a \ufffdZZ")
