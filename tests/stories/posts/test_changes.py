"""What changed between two reports is named in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stories.posts.changes import compare
from stories.sources import recording

BOOK = json.loads(Path(recording.__file__).with_name("recording.json").read_text())
POSTS = {post["id"]: post for post in BOOK["posts"]}


@pytest.mark.parametrize(
    ("earlier", "later", "words"),
    [
        ("rec-005", "rec-016", ["11,500 homes, up from 4,000"]),
        ("rec-077", "rec-079", ["five hurt, up from three"]),
        ("rec-007", "rec-019", ["3 percent, down from 3.25"]),
        ("rec-010", "rec-030", ["41 million kilometres, up from 14 million"]),
        ("rec-016", "rec-034", ["600 homes, down from 11,500"]),
    ],
)
def test_changed_figures_of_the_recording_are_named(
    earlier: str, later: str, words: list[str]
) -> None:
    new, old = POSTS[later], POSTS[earlier]
    changes = compare(new["title"], new["body"], old["title"], old["body"])
    assert [change.words for change in changes] == words


@pytest.mark.parametrize(
    "later",
    sorted(set(BOOK["follow_ups"]) - {"rec-016", "rec-079", "rec-019", "rec-030", "rec-034"}),
)
def test_other_follow_ups_of_the_recording_change_no_figure(later: str) -> None:
    new, old = POSTS[later], POSTS[BOOK["follow_ups"][later]]
    assert compare(new["title"], new["body"], old["title"], old["body"]) == []


@pytest.mark.parametrize(
    ("title", "earlier", "words"),
    [
        ("Quake kills 31 people", "Quake kills twelve people", "31 people, up from twelve"),
        ("Rate cut to 2.5%", "Rate held at 2.75%", "2.5%, down from 2.75"),
        (
            "Fire spreads to 1.2 million hectares",
            "Fire spreads to 900,000 hectares",
            "1.2 million hectares, up from 900,000",
        ),
        ("Nine rescued from cave", "Six rescued from cave", "nine rescued, up from six"),
    ],
)
def test_numbers_in_words_with_scales_and_percent_are_compared(
    title: str, earlier: str, words: str
) -> None:
    assert [change.words for change in compare(title, "", earlier, "")] == [words]


@pytest.mark.parametrize(
    ("title", "body", "earlier", "earlier_body"),
    [
        # The same figure, and figures of other things.
        ("Storm hits 40 towns", "", "Storm hits 40 towns", ""),
        ("Storm hits 40 towns", "", "Storm fells 300 trees", ""),
        # Spans of time and dates.
        ("Strike ends after 9 days", "", "Strike enters its 3 days", ""),
        ("Vote on 14 March", "", "Vote on 9 March", ""),
        # Only in the texts.
        ("Mill burns", "It had 20 rooms.", "Mill on fire", "It had 30 rooms."),
        # Which of two belong together is unknown.
        ("12 people and 30 people hurt", "", "9 people hurt", ""),
        # Scores and versions.
        ("United win 2-1", "", "United lead 1-0", ""),
    ],
)
def test_what_did_not_change_is_not_named(
    title: str, body: str, earlier: str, earlier_body: str
) -> None:
    assert compare(title, body, earlier, earlier_body) == []


def test_the_sentences_of_a_change_are_those_of_the_reports() -> None:
    change = compare("Storm hits homes", "Now 900 homes are dark. It rains.", "100 homes dark", "")[
        0
    ]
    assert change.now.sentence == "Now 900 homes are dark."
    assert change.before.sentence == "100 homes dark"
