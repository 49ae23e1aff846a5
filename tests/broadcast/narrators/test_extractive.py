from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from broadcast.narrators.base import (
    kicker_of,
    spoken,
    title_of,
    tone_of,
    topics_of,
    whole_sentences,
)
from broadcast.narrators.extractive import ExtractiveNarrator, choose, wishes_of
from sessions_app.errors import StaleClaim
from stories.sources.recording import RecordingSource
from stories.text.cleaning import clean_text
from stories.text.sentences import sentences, word_count
from stories.types import Brief, FetchedPost, Narration, Tone

PERSONALITIES = ("formal", "conversational", "analytical", "energetic")
VERBOSITIES = ("concise", "detailed", "comprehensive")
MINUTES = RecordingSource().fetch("", "", {"next": 66}).posts[0]
FERRY = Brief(
    title="Marrow Sound ferry suspended after engine-room fire",
    body=(
        "The ferry between Port Elowen and Tavish Reach is out of service after a small fire. "
        "All 64 passengers were taken off within twenty minutes. It was the second fire this year. "
        "The Elowen Harbour Authority is running two water taxis."
    ),
    author="Harbour Watch",
    source="r/elowen",
    url="https://example.org/ferry",
    published_at=None,
    score=10,
    comments=2,
    priority=0.5,
)
LONG = replace(FERRY, title=MINUTES.title, body=MINUTES.body)


def told(brief: Brief) -> Narration:
    return ExtractiveNarrator().narrate(brief, lambda _: None)


def recorded() -> list[FetchedPost]:
    source = RecordingSource()
    return [post for at in range(0, 84, 2) for post in source.fetch("", "", {"next": at}).posts]


@pytest.mark.parametrize("verbosity", VERBOSITIES)
def test_every_post_of_the_recording_is_told_in_its_own_words(verbosity: str) -> None:
    for post in recorded():
        brief = replace(FERRY, title=post.title, body=post.body, verbosity=verbosity)
        read = sentences(told(brief).narrative)
        own = spoken(f"{kicker_of(post.title)[1]}\n{post.body}").replace("\n", " ")
        hosts = [sentence for sentence in read if sentence.rstrip(".") not in own]
        introduction, *closing = hosts
        assert FERRY.source in introduction
        assert closing in (
            [],
            [f"That was {FERRY.author}, in {FERRY.source}."],
            [f"Those were the author's own words, from {FERRY.source}."],
        )


def test_the_source_is_credited_beside_the_lead() -> None:
    for number in range(12):
        assert "r/elowen" in " ".join(sentences(told(replace(FERRY, number=number)).narrative)[:2])


def test_a_headline_is_not_read_before_a_lead_that_reports_the_same() -> None:
    assert sentences(told(FERRY).narrative)[1] == sentences(FERRY.body)[0]
    assert FERRY.title not in told(FERRY).narrative
    councillors = replace(
        FERRY,
        title="Brenholm council to vote on cars",
        body="Councillors in Brenholm decide tonight whether cars may enter the old town.",
    )
    assert "council to vote" not in told(councillors).narrative


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("A raft", "It took a week. Juno built it alone."),
        ("Bells ring again in Quillmere", "Sharing this because it made our week."),
        ("Bells ring again in Quillmere", ""),
        ("Quillmere lead Osselby 1-0", "A header gives Quillmere the lead over Osselby."),
    ],
)
def test_a_headline_is_read_where_the_lead_says_something_else(title: str, body: str) -> None:
    assert f"{title}." in told(replace(FERRY, title=title, body=body)).narrative


@pytest.mark.parametrize(
    ("title", "body"),
    [
        # The figure is in the body as a word, is not the news, or the second sentence has it all.
        ("Mail server on a boat reaches 10 years", "A mail server on a boat has run ten years."),
        ("Organ silent for 60 years plays again", "An organ that was silent plays again. It sang."),
        (
            "Oxmere switches off its last diesel generator",
            "The island of Oxmere runs on wind. Its last diesel generator was switched off.",
        ),
    ],
)
def test_a_headline_that_the_first_sentences_say_in_other_words_is_not_read(
    title: str, body: str
) -> None:
    assert title not in told(replace(FERRY, title=title, body=body)).narrative


def test_the_headline_of_a_comment_is_read_unless_its_lead_says_it() -> None:
    body = "The engine of the ferry is old. The average age of the fleet is 34."
    title = "Analysis: What the ferry says about a fleet with an average age of 34"
    assert title[10:] in told(replace(FERRY, title=title, body=body)).narrative


@pytest.mark.parametrize(
    "sentence",
    [
        "<script>alert('x')</script> was all it took.",
        "Here is what was decided, in the order in which it was taken.",
        "The bridge is pictured above.",
        "Call run() twice.",
        "The figures are as follows.",
    ],
)
def test_code_and_what_points_to_things_unseen_is_not_read(sentence: str) -> None:
    body = f"The bridge in Elowen is closed. {sentence} It opens on Monday."
    read = told(replace(FERRY, title="Bridge in Elowen closed", body=body)).narrative
    assert sentence not in read
    assert "It opens on Monday." in read


def test_a_headline_that_the_lead_repeats_is_read_once() -> None:
    brief = replace(FERRY, title="Two taxis run", body="Today two water taxis run. They are full.")
    assert told(brief).narrative.count("axis run") == 1


def test_verbosity_sets_the_length() -> None:
    lengths = [word_count(told(replace(LONG, verbosity=name)).narrative) for name in VERBOSITIES]
    assert lengths == sorted(lengths)
    assert lengths[0] <= 50
    assert 60 <= lengths[1] <= 90
    assert 110 <= lengths[2] <= 140


def test_a_short_post_is_said_to_be_short() -> None:
    assert "says no more" in told(replace(FERRY, verbosity="comprehensive")).note
    assert told(replace(LONG, verbosity="comprehensive")).note == ""


def test_each_personality_speaks_differently_and_always_the_same() -> None:
    told_once = [told(replace(FERRY, personality=name)).narrative for name in PERSONALITIES]
    assert len(set(told_once)) == len(PERSONALITIES)
    assert told_once == [told(replace(FERRY, personality=name)).narrative for name in PERSONALITIES]


def test_an_empty_body_leaves_the_headline_and_the_credit() -> None:
    narration = told(replace(FERRY, body=""))
    assert narration.narrative == "Here's one from r/elowen. " + FERRY.title + "."


def test_an_opinion_is_announced_as_somebody_elses() -> None:
    narration = told(replace(FERRY, title="Opinion: I like ferries", author="Ines Calloway"))
    assert "an opinion piece by Ines Calloway" in narration.narrative
    assert narration.title == "I like ferries"


def test_a_post_in_the_first_person_is_not_read_as_the_hosts_own() -> None:
    narration = told(replace(FERRY, title="A raft", body="It took a week. I built it alone."))
    assert "in its author's own words" in narration.narrative
    quoted = told(replace(FERRY, body='The raft took a week. "I built it alone," said Juno Vale.'))
    assert "own words" not in quoted.narrative


def test_a_correction_is_announced() -> None:
    narration = told(replace(FERRY, title="Correction: The ferry carried 64"))
    assert narration.narrative.startswith("r/elowen has corrected a report.")


def test_text_grows_sentence_by_sentence() -> None:
    heard: list[str] = []
    narration = ExtractiveNarrator().narrate(FERRY, heard.append)
    assert len(heard) == len(sentences(narration.narrative))
    assert all(later.startswith(earlier) for earlier, later in pairwise(heard))
    assert heard[-1] == narration.narrative


def test_a_stale_claim_stops_the_narrator() -> None:
    def stop(text: str) -> None:
        raise StaleClaim(text)

    with pytest.raises(StaleClaim):
        ExtractiveNarrator().narrate(FERRY, stop)


def test_another_language_is_not_pretended() -> None:
    narration = told(replace(FERRY, language="de"))
    assert "nothing is translated" in narration.note
    assert narration.narrative.startswith("r/elowen. ")


def test_instructions_steer_the_choice_and_say_so() -> None:
    asked = "Focus on water pipes. Avoid the budget."
    narration = told(replace(LONG, instructions=asked))
    assert "kilometres of pipe" in narration.narrative
    assert "budget" not in narration.narrative
    assert "only steer" in narration.note


def test_a_sentence_that_leans_on_another_is_not_read_without_it() -> None:
    body = ["The ferry stopped.", "A dog barked at the taxis all day.", "It barked at noon too."]
    assert "It barked at noon too." not in choose(body, 3, wishes_of("focus on noon"))


def test_an_avoided_sentence_does_not_come_in_as_support_of_another() -> None:
    body = ["The ferry stopped.", "The opera burned down.", "It was insured."]
    assert choose(body, 50, wishes_of("avoid opera")) == ["The ferry stopped."]


def test_a_gap_at_the_end_is_not_filled_with_a_stray_sentence() -> None:
    lead = "The ferry across the sound stopped at noon."
    central = "The ferry across the sound stopped because of a fire in the engine room " + "x " * 20
    assert choose([lead, central, "Cats slept.", "Dogs barked."], 12, wishes_of("")) == [lead]


@pytest.mark.parametrize("body", ["[" * 20_000, "A " * 10_000, "*" * 20_000, "Aa of " * 3_300])
def test_hostile_bodies_are_told_within_their_length(body: str) -> None:
    assert told(replace(FERRY, body=clean_text(body, 20_000))).narrative.startswith(
        sentences(told(FERRY).narrative)[0]
    )


@pytest.mark.parametrize(
    ("title", "tone"),
    [
        ("Opinion: Turn the bench", "opinion"),
        ("[Analysis] Rents in Elowen", "analysis"),
        ("Why rents fell", "analysis"),
        ("Storm cuts power to 4,000 homes", "breaking"),
        ("BREAKING - Bridge closed", "breaking"),
        ("Opinion-makers meet in Elowen", "developing"),
        ("Postwoman retires after 41 years", "human-interest"),
        ("Council sets lunch fees", "developing"),
    ],
)
def test_the_tone_follows_the_headline(title: str, tone: Tone) -> None:
    assert tone_of(title, "") == tone


def test_topics_are_the_names_in_a_text() -> None:
    topics = topics_of(FERRY.title, FERRY.body)
    assert topics[:2] == ["Marrow Sound", "Port Elowen"]
    assert len(topics) <= 5
    assert all(len(topic) <= 40 for topic in topics)


def test_a_text_without_names_is_about_its_longest_words() -> None:
    assert topics_of("why frequency beats timetables", "") == ["timetables", "frequency"]


def test_markup_addresses_and_emoji_are_not_read_out() -> None:
    assert spoken("**Bold** [link](https://a.example/x) 🎉\n> quote\n- item") == (
        "Bold link\n\nquote\n\nitem"
    )
    assert "example" not in spoken("More: see https://a.example/b now")


@pytest.mark.parametrize(
    ("text", "aloud"),
    [
        ("Room 2 * 3 m, snake_case_name, C# and F#", "Room 2 * 3 m, snake_case_name, C# and F#"),
        ("1. FC Elowen won 2:0.", "1. FC Elowen won 2:0."),
        ("24. December is a holiday", "24. December is a holiday"),
        ("1. Boil it.\n2. Eat it.", "Boil it.\nEat it."),
        ("First line\nSecond line", "First line\nSecond line"),
        ("The price is ~~9~~ 12 crowns", "The price is 12 crowns"),
        ("** Bold ** and **never closed", "Bold and never closed"),
        ("[The [nested] link](https://a.example) holds", "The [nested] link holds"),
        ("Use `make run`, or \\*this\\*", "Use make run, or *this*"),
        ("Head\n====\nBody\n\n---\nEnd", "Head\n\nBody\n\nEnd"),
        ("\u2022 One\n\u2022 Two", "One\nTwo"),
    ],
)
def test_only_what_is_markdown_is_left_out(text: str, aloud: str) -> None:
    assert spoken(text) == aloud


def test_a_title_is_the_first_sentence_of_prose() -> None:
    assert title_of("# The ferry stopped. It rained.") == "The ferry stopped"
    assert title_of("") == ""


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two. Thr", "One. Two."),
        ("One.\n\nTwo and", "One."),
        ('He said: "Yes."', 'He said: "Yes."'),
        ("never ends", ""),
        ("", ""),
    ],
)
def test_an_unfinished_sentence_is_left_out(text: str, kept: str) -> None:
    assert whole_sentences(text) == kept
