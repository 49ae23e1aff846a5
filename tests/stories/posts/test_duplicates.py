from __future__ import annotations

import json
from pathlib import Path

import pytest

from stories.posts.duplicates import nearest, same_news
from stories.sources.recording import recording
from stories.text.cleaning import clean_line
from stories.text.urls import canonical_url

RECORDED = {post["id"]: post for post in recording()["posts"]}
FIXTURES = Path(__file__).resolve().parents[3].parent / "shared" / "fixtures" / "reddit"


def is_duplicate(title: str, *known: str) -> bool:
    return nearest(title, list(enumerate(known))) is not None


@pytest.mark.parametrize(("later", "earlier"), recording()["duplicates"].items())
def test_a_duplicate_of_the_recording_is_caught_by_headline_or_address(
    later: str, earlier: str
) -> None:
    one, other = RECORDED[later], RECORDED[earlier]
    same_page = canonical_url(one["url"]) == canonical_url(other["url"])
    assert same_page or is_duplicate(one["title"], other["title"])


def test_nothing_else_of_the_recording_is_taken_for_a_duplicate() -> None:
    posts = recording()["posts"]
    known: list[tuple[int, str]] = []
    caught = set()
    for position, post in enumerate(posts):
        if nearest(post["title"], known):
            caught.add(post["id"])
        known.append((position, post["title"]))
    assert caught <= set(recording()["duplicates"])
    assert not caught & set(recording()["follow_ups"])


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
    ],
)
def test_the_same_news_in_other_words_is_a_duplicate(one: str, other: str) -> None:
    assert is_duplicate(one, other)


def test_the_nearest_of_many_is_named_with_its_likeness() -> None:
    known = [(7, "Storm moves out to sea"), (9, "Harbor bridge reopens after repairs")]
    match = nearest("Harbor bridge reopens after its repairs", known)
    assert match is not None
    assert match[0] == 9
    assert 66 <= match[1] <= 100


@pytest.mark.parametrize("title", ["", "!!!", "港"])
def test_a_title_that_says_nothing_has_no_likeness(title: str) -> None:
    assert nearest(title, [(1, "Harbor bridge reopens"), (2, "")]) is None


def test_likeness_is_mutual() -> None:
    one, other = "Shop with no staff counts its till", "Shop without staff counts the till"
    assert same_news(one, other)
    assert same_news(other, one)


def recorded_titles() -> list[str]:
    titles: dict[str, str] = {}
    for path in sorted(FIXTURES.glob("*.json")):
        listing = json.loads(path.read_text("utf-8")).get("data", {}).get("children", [])
        titles |= {post["data"]["id"]: clean_line(post["data"]["title"], 500) for post in listing}
    return sorted(set(titles.values()))


def test_real_posts_about_different_things_are_hardly_ever_taken_for_one() -> None:
    repeats = recording()["duplicates"]
    invented = [post["title"] for name, post in RECORDED.items() if name not in repeats]
    titles = recorded_titles() or invented
    known = list(enumerate(titles))
    flagged = sum(
        nearest(title, known[:position]) is not None for position, title in enumerate(titles)
    )
    assert flagged < 0.01 * len(titles)


def test_headlines_are_compared_from_a_likeness_of_66_per_cent() -> None:
    likeness_67 = "Owl hid fig jam at lighthouse gardener"
    likeness_65 = "Owl hid fig jam at beekeeper conservatory"
    assert is_duplicate(likeness_67, "Owl hid fig jam at bookbindery xylophonist")
    assert not is_duplicate(likeness_65, "Owl hid fig jam at bookbindery aquarium")
    assert same_news(likeness_65, "Owl hid fig jam at bookbindery aquarium")


def test_duplicates_share_two_thirds_of_their_words_and_not_less() -> None:
    title = "Red fox seen near harbour market stalls"
    assert is_duplicate(title, "Red fox seen near river bridge stalls today")
    assert not is_duplicate(title, "Red fox seen near river bridge")


def test_headlines_of_two_words_are_duplicates_only_when_both_are_the_same() -> None:
    assert is_duplicate("Owls nest", "The owls nest")
    assert not is_duplicate("Owl nest barn", "Owl nest")
