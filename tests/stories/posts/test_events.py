from __future__ import annotations

import pytest

from stories.posts.events import Index, Report, best_match, judge

CLOSED = Report(
    "Harbor bridge in Port Elowen closes for urgent repairs",
    "Engineers have closed the harbor bridge in Port Elowen after finding cracks in two hangers.",
)
REOPENED = Report(
    "Harbor bridge in Port Elowen reopens after repairs",
    "The harbor bridge in Port Elowen is open again. Both cracked hangers have been replaced.",
)


def test_a_turn_of_the_story_is_a_development_with_its_reason() -> None:
    judgement = judge(REOPENED, CLOSED)
    assert judgement.kind == "development"
    assert judgement.reasons[0] == "“reopens” now, “closes” before."


def test_the_same_text_under_another_headline_is_a_duplicate() -> None:
    assert judge(Report("Cracks shut a bridge", CLOSED.text), CLOSED).kind == "duplicate"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Heavy snow is expected in the northern valley tonight.", "Strong wind on the coast."),
        ("River Tave has reached the quay at Osselby.", "The Ure is over its banks in Brenholm."),
    ],
)
def test_one_headline_over_different_texts_is_no_duplicate(one: str, other: str) -> None:
    title = "Severe weather warning"
    assert judge(Report(title, one), Report(title, other)).kind == "unrelated"


def test_the_best_of_several_candidates_is_found_by_its_key() -> None:
    candidates = [(7, Report("Seal count passes 1,000")), (9, CLOSED)]
    match = best_match(REOPENED, candidates)
    assert match is not None
    assert match.key == 9
    assert best_match(Report("Choir sings a crane to sleep"), candidates) is None


def test_an_index_finds_a_report_that_was_added_later() -> None:
    index = Index([(7, Report("Seal count passes 1,000"))])
    assert index.best(REOPENED) is None
    index.add(9, CLOSED)
    match = index.best(REOPENED)
    assert match is not None
    assert match.key == 9
