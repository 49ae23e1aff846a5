"""The host's own sentences: varied, idiomatic, and free of news."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from broadcast.narrators import presentation
from broadcast.narrators.extractive import ExtractiveNarrator
from stories.sources.recording import recording
from stories.text.sentences import sentences
from stories.types import Brief

BRIEF = Brief(
    title="Harbor bridge in Port Elowen closes",
    body="Engineers have closed the harbor bridge in Port Elowen after finding cracks.",
    author="Harbour Watch",
    source="Harbour Watch",
    url="",
    published_at=None,
    score=0,
    comments=0,
    priority=0.5,
)


def introduced(brief: Brief, lead: str = "The bridge is closed.") -> tuple[str, ...]:
    result = presentation.introduction(
        brief, "developing", "", lead, first_person=False, flows_on=False
    )
    return (*result.before, *result.after)


def programme(personality: str) -> list[str]:
    """The narrations of the whole recording, one after the other."""
    narrated: list[str] = []
    titles: tuple[str, ...] = ()
    for number, post in enumerate(recording()["posts"]):
        brief = replace(
            BRIEF,
            title=post["title"],
            body=post["body"],
            author=post["author"],
            source=post["outlet"],
            personality=personality,
            number=number,
            recent_titles=titles,
        )
        narration = ExtractiveNarrator().narrate(brief, lambda _: None)
        titles = (narration.title,)
        narrated.append(narration.narrative)
    return narrated


@pytest.mark.parametrize("personality", ["formal", "conversational", "analytical", "energetic"])
def test_no_two_stories_in_a_row_begin_alike(personality: str) -> None:
    heard = [" ".join(text.split()[:4]) for text in programme(personality)]
    assert not [one for one, other in pairwise(heard) if one == other]
    assert max(heard.count(start) for start in heard) <= 13


def test_grave_news_is_not_announced_with_a_cry() -> None:
    for number in range(12):
        brief = replace(BRIEF, personality="energetic", number=number)
        assert "!" in " ".join(introduced(brief))
        assert "!" not in " ".join(introduced(brief, "Three workers were hurt in a landslide."))


def test_the_recording_is_never_named_as_a_source() -> None:
    assert not any("recording" in sentences(text)[0] for text in programme("conversational"))


@pytest.mark.parametrize(
    ("source", "spoken"),
    [
        ("Elowen Courier", "the Elowen Courier"),
        ("The Guardian", "The Guardian"),
        ("Kilobyte Weekly", "Kilobyte Weekly"),
        ("r/science", "r/science"),
        ("bbc.co.uk", "bbc.co.uk"),
        ("Telegraph", "Telegraph"),
        ("Open Quay forum", "the Open Quay forum"),
        ("", "our sources"),
    ],
)
def test_an_outlet_is_spoken_with_the_article_that_it_takes(source: str, spoken: str) -> None:
    assert presentation.spoken_source(source) == spoken


def test_a_source_that_the_lead_names_is_not_credited_twice() -> None:
    assert introduced(BRIEF, "The bridge is closed, Harbour Watch reports.") == ()


def test_a_credit_is_never_put_between_sentences_that_belong_together() -> None:
    texts = [
        presentation.introduction(
            replace(BRIEF, number=number),
            "developing",
            "",
            "The bridge is closed.",
            first_person=False,
            flows_on=True,
        )
        for number in range(12)
    ]
    assert all(text.before and not text.after for text in texts)


def test_a_story_about_the_same_place_is_linked_to_the_one_before() -> None:
    brief = replace(BRIEF, recent_titles=("Warm lunch in Port Elowen for every pupil",))
    assert introduced(brief) == ("Staying with Port Elowen, a report from Harbour Watch.",)


FOLLOW_UP = replace(BRIEF, relation="new-development", earlier=(("The bridge closes.", "…"),))


@pytest.mark.parametrize(
    ("brief", "lead", "link"),
    [
        (FOLLOW_UP, "It opens.", "Harbour Watch has the latest on a story from earlier."),
        (replace(FOLLOW_UP, number=1), "It opens.", "An update now, from Harbour Watch."),
        (
            replace(FOLLOW_UP, recent_titles=("The bridge closes.", "Bees swarm")),
            "It opens.",
            "Staying with that story, Harbour Watch has an update.",
        ),
        (FOLLOW_UP, "It opens, says Harbour Watch.", "An update on a story from earlier."),
        (
            replace(FOLLOW_UP, relation="clarification", number=1),
            "It opens.",
            "Harbour Watch has this story.",
        ),
    ],
)
def test_a_follow_up_is_told_as_one_without_the_headline_before(
    brief: Brief, lead: str, link: str
) -> None:
    assert introduced(brief, lead) == (link,)


def test_a_correction_names_the_story_that_it_corrects() -> None:
    brief = replace(FOLLOW_UP, relation="correction", number=1)
    assert introduced(brief) == (
        "A correction to our earlier story, “The bridge closes”.",
        "Harbour Watch has this story.",
    )


def test_an_opinion_ends_with_its_author() -> None:
    post = replace(
        BRIEF,
        title="Opinion: Give the children their boredom back",
        body="My daughter's school locks its phones away. I like it. Boredom is where one finds out "
        "what one likes. No app has ever managed to be nothing.",
        author="Tobit Ravenscar",
        source="Osselby Echo",
        number=3,
        upcoming="Terrace Talk",
    )
    first, *_, last = ExtractiveNarrator().narrate(post, lambda _: None).spoken
    assert first.text == "Tobit Ravenscar has written an opinion piece for the Osselby Echo."
    assert last.text == "That was Tobit Ravenscar, in the Osselby Echo."
    anonymous = replace(post, author="", title="Why I like boredom")
    *_, last = ExtractiveNarrator().narrate(anonymous, lambda _: None).spoken
    assert last.text == "Those were the author's own words, from the Osselby Echo."


def test_every_fourth_story_says_what_comes_next() -> None:
    briefs = [replace(BRIEF, number=number, upcoming="Elowen Courier") for number in range(8)]
    assert [presentation.coming_up(brief) for brief in briefs] == [
        (),
        (),
        (),
        ("Coming up, a report from the Elowen Courier.",),
        (),
        (),
        (),
        ("Still to come, news from the Elowen Courier.",),
    ]
    assert presentation.coming_up(replace(BRIEF, number=3)) == ()
    assert presentation.coming_up(replace(BRIEF, number=3, upcoming="Harbour Watch")) == (
        "More from Harbour Watch in a moment.",
    )


def test_other_languages_get_no_english_links() -> None:
    brief = replace(BRIEF, language="de", number=3, upcoming="Elowen Courier")
    assert introduced(brief) == ("Harbour Watch.",)
    assert presentation.coming_up(brief) == ()
