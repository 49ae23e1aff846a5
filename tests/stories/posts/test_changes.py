"""What changed between two reports is named in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stories.posts.changes import compare, status_changes
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


@pytest.mark.parametrize(
    ("earlier", "later", "words"),
    [
        ("rec-011", "rec-032", "“reopens” now, “closes” before"),
        ("rec-014", "rec-026", "“safe” now, “missing” before"),
        ("rec-003", "rec-053", "“resumes” now, “suspended” before"),
        ("rec-018", "rec-041", "“end” now, “begin” before"),
    ],
)
def test_changed_statuses_of_the_recording_are_named(earlier: str, later: str, words: str) -> None:
    new, old = POSTS[later], POSTS[earlier]
    changes = status_changes(new["title"], old["title"], old["body"])
    assert [change.words for change in changes] == [words]


@pytest.mark.parametrize(
    "later",
    sorted(set(BOOK["follow_ups"]) - {"rec-032", "rec-026", "rec-053", "rec-041"}),
)
def test_other_follow_ups_of_the_recording_change_no_status(later: str) -> None:
    new, old = POSTS[later], POSTS[BOOK["follow_ups"][later]]
    assert status_changes(new["title"], old["title"], old["body"]) == []


@pytest.mark.parametrize(
    ("title", "earlier", "words"),
    [
        ("Mayor confirms taking gifts", "Mayor denies taking gifts", "“confirms” now, “denies”"),
        ("Airport of Larne shut by fog", "Airport of Larne open in fog", "“shut” now, “open”"),
        ("All six miners freed from pit", "Six miners trapped in pit", "“freed” now, “trapped”"),
        (
            "Court overturns ban on kites",
            "Court upholds ban on kites",
            "“overturns” now, “upholds”",
        ),
        ("Escaped wolf recaptured near Larne", "Wolf escapes near Larne", "“recaptured” now, “esc"),
        (
            "Ferry suspended again, fog is back",
            "Ferry resumes as fog lifts",
            "“suspended” now, “res",
        ),
        ("Bridge reopens", "Harbor bridge closes in Larne", "“reopens” now, “closes”"),
    ],
)
def test_an_opposite_status_of_the_same_thing_is_a_change(
    title: str, earlier: str, words: str
) -> None:
    (change,) = status_changes(title, earlier, "")
    assert change.words.startswith(words)
    assert change.now.sentence == title
    assert change.before.sentence == earlier


def test_the_earlier_status_may_be_in_the_lead() -> None:
    lead = "Ferries were suspended at noon. They carry cars."
    (change,) = status_changes("Marrow Sound ferries resume", "Fire on Marrow Sound ferry", lead)
    assert change.before.sentence == "Ferries were suspended at noon."


def test_an_earlier_report_that_has_both_statuses_is_not_changed() -> None:
    title, earlier = "Walker in Skarrow hills found safe", "Walker missing in Skarrow hills"
    assert status_changes(title, earlier, "She left at dawn. The hills are steep.")
    assert status_changes(title, earlier, "The walker was found in a hut.") == []


CLOSED = "Harbor bridge in Larne closes for repairs"
LOST = "Boy missing in woods near Adlow"


@pytest.mark.parametrize(
    ("title", "earlier"),
    [
        # Not yet, not at all, asked, denied, or conditional.
        ("Harbor bridge in Larne to reopen on Monday", CLOSED),
        ("Harbor bridge in Larne to be reopened soon", CLOSED),
        ("Harbor bridge in Larne could reopen soon", CLOSED),
        ("Harbor bridge in Larne has not reopened", CLOSED),
        ("Harbor bridge in Larne hasn\u2019t reopened", CLOSED),
        ("Harbor bridge in Larne never opened, says diver", CLOSED),
        ("Will harbor bridge in Larne reopen?", CLOSED),
        ("Harbor bridge in Larne open, mayor denies", CLOSED),
        ("No repairs of harbor bridge in Larne until it is open", CLOSED),
        ("Boy no longer missing near Adlow", "Boy found near Adlow"),
        # Of the time before.
        ("Harbor bridge in Larne shut days after it reopened", CLOSED),
        # Still so.
        ("Harbor bridge in Larne stays shut", CLOSED),
        # Of another thing.
        ("Larne library opens", CLOSED),
        ("Police find car of missing boy near Adlow", LOST),
        ("Missing boy\u2019s shoe found in woods near Adlow", LOST),
        ("Two miners rescued from Kestrel pit", "Six miners trapped in Kestrel pit"),
        # Another sense.
        ("Larne bridge: repairs close to the end", "Larne bridge open for repairs"),
        ("Police open fire near harbor bridge in Larne", CLOSED),
        ("Open letter on harbor bridge in Larne", CLOSED),
    ],
)
def test_what_is_not_said_as_a_fact_of_the_same_thing_is_no_change(
    title: str, earlier: str
) -> None:
    assert status_changes(title, earlier, "") == []
