"""Duplicates among headlines alone, among the posts of the recording and among recorded listings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stories.posts.events import Index, Report, judge
from stories.sources.recording import recording
from stories.text.cleaning import clean_line

RECORDED = {
    post["id"]: Report(post["title"], post["body"], source="recording")
    for post in recording()["posts"]
}
FIXTURES = Path(__file__).resolve().parents[3].parent / "shared" / "fixtures" / "reddit"


def is_duplicate(title: str, other: str) -> bool:
    return judge(Report(title), Report(other)).kind == "duplicate"


@pytest.mark.parametrize(("later", "earlier"), recording()["duplicates"].items())
def test_a_duplicate_of_the_recording_is_found_without_its_address(
    later: str, earlier: str
) -> None:
    assert judge(RECORDED[later], RECORDED[earlier]).kind == "duplicate"


def test_nothing_else_of_the_recording_is_taken_for_a_duplicate() -> None:
    known, caught = Index(), set()
    for position, (name, report) in enumerate(RECORDED.items()):
        match = known.best(report)
        if match and match.judgement.kind == "duplicate":
            caught.add(name)
        known.add(position, report)
    assert caught == {"rec-012", "rec-021", "rec-028", "rec-036", "rec-049", "rec-070"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Harbor bridge reopens after repairs", "Harbor bridge closes for repairs"),
        ("Quarry landslide death toll rises to 12", "Quarry landslide death toll rises to 9"),
        ("Lumen 5 mini model released", "Lumen 6 mini model released"),
        ("Mayor denies taking gifts", "Mayor admits taking gifts, did not pay"),
        ("Three hurt in quarry landslide", "Five hurt in quarry landslide"),
        ("Fire at a school in Osselby", "Fire at a school in Brenholm"),
        ("Council to vote on car-free centre", "Council approves car-free centre in vote"),
        ("Correction: comet passes in March", "Comet passes in March"),
        ("The control", "To control pandemic"),
        ("Ferry suspended after fire", "Ferry resumes after fire"),
        ("Magnitude 5.8 quake strikes off Tarawi", "Magnitude 5.8 quake strikes off Belango"),
    ],
)
def test_a_development_is_not_a_duplicate(one: str, other: str) -> None:
    assert not is_duplicate(one, other)
    assert not is_duplicate(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Harbor Bridge Reopens After Repairs", "Harbor bridge reopens after repairs"),
        ("Ferry suspended after engine fire", "After engine fire, ferry is suspended"),
        ("Shop with no staff counts its till", "Shop without staff counts the till"),
        ("Seal count passes 1,000 in the sound", "Seal count in sound passes 1000"),
        ("Bees learn to open a drawer", "Bees have learned to open drawers"),
        ("Probe touches down on the moon Orla", "Probe lands on the moon Orla"),
        (
            "Quake of magnitude 6.1 shakes Tarawi, no damage reported",
            "Magnitude 6.1 earthquake strikes off Tarawi",
        ),
    ],
)
def test_the_same_news_in_other_words_is_a_duplicate(one: str, other: str) -> None:
    assert is_duplicate(one, other)


@pytest.mark.parametrize("title", ["", "!!!", "港"])
def test_a_title_that_says_nothing_is_no_duplicate(title: str) -> None:
    index = Index([(1, Report("Harbor bridge reopens")), (2, Report(""))])
    assert index.best(Report(title)) is None


def test_an_opinion_about_an_event_is_no_duplicate_of_its_report() -> None:
    report = Report(
        "Hospital trust sorry after leak of 80,000 records",
        "Northmoor Trust apologised on Monday after the records of 80,000 patients leaked.",
    )
    text = "When Northmoor Trust leaks the records of 80,000 patients, sorry is the least to say."
    assert judge(Report("Northmoor Trust and 80,000 records", text), report).kind == "duplicate"
    for opinion in ("Opinion: Northmoor Trust and 80,000 records", "Kommentar: Northmoor Trust"):
        assert judge(Report(opinion, text), report).kind != "duplicate"


def test_headlines_of_two_words_are_duplicates_only_when_both_are_the_same() -> None:
    assert is_duplicate("Owls nest", "The owls nest")
    assert not is_duplicate("Owl nest barn", "Owl nest")


def recorded_posts() -> list[Report]:
    posts: dict[str, Report] = {}
    for path in sorted(FIXTURES.glob("*.json")):
        listing = json.loads(path.read_text("utf-8")).get("data", {}).get("children", [])
        for post in (child["data"] for child in listing):
            title = clean_line(post["title"], 500)
            posts[post["id"]] = Report(title, post.get("selftext", ""), source=path.name)
    return list(posts.values())


def test_of_1127_recorded_posts_those_that_repeat_another_are_found() -> None:
    recorded = recorded_posts()
    known = recording()["duplicates"]
    posts = recorded or [post for name, post in RECORDED.items() if name not in known]
    index, repeats = Index(), 0
    for number, post in enumerate(posts):
        match = index.best(post)
        repeats += match is not None and match.judgement.kind in ("duplicate", "same event")
        index.add(number, post)
    # Looked at one by one: a notice in three subreddits, a question asked twice, a bare site name, and
    # a lobbying group's letter.
    assert repeats == (5 if recorded else 0)
