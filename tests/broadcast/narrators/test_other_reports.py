"""Stories that several outlets report: what each adds, and which outlet is credited for it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from broadcast.narrators.extractive import ExtractiveNarrator
from broadcast.narrators.grounding import Checked, checked
from broadcast.narrators.prompts import ask_for, passages_of
from stories.types import Brief, Narration, OtherReport, SpokenSentence

BRIEF = Brief(
    title="Fire guts the Ashby mill in Tavish Reach",
    body="Fire has gutted the old Ashby mill in Tavish Reach. Forty workers were led out.",
    author="",
    source="Elowen Courier",
    url="",
    published_at=datetime(2026, 11, 16, tzinfo=UTC),
    score=0,
    comments=0,
    priority=0.5,
    others=(
        OtherReport(
            "Shore Post",
            "Overnight fire guts Ashby mill",
            "The mill burned in the night. A night watchman smelled smoke at three. Piers Holloway, the "
            "owner, puts the damage at nine million crowns. The road stays closed until Friday.",
        ),
    ),
)
SECOND = OtherReport("Marrow Gazette", "Ashby mill lost to fire", "The Ashby mill is lost to fire.")


def said(brief: Brief, *sentences: tuple[str, list[int]]) -> Checked:
    """A narration by a model, checked; each sentence rests on the passages of these numbers."""
    passages = passages_of(brief)
    spoken = tuple(
        SpokenSentence(text, tuple(passages[n] for n in numbers)) for text, numbers in sentences
    )
    text = " ".join(one.text for one in spoken)
    narration = Narration("Fire at the mill", text, "developing", "neutral", [], "", "", spoken)
    return checked(narration, brief, may_wait=False)


LEAD = ("Fire has gutted the Ashby mill in Tavish Reach.", [1])
DAMAGE = "The owner, Piers Holloway, puts the damage at nine million crowns."


def test_a_model_reads_every_sentence_of_each_report_with_its_number() -> None:
    [other] = json.loads(ask_for(BRIEF, "m", "post-1").prompt.split("\n")[1])["also"]
    assert other["text"] == (
        "[3] Overnight fire guts Ashby mill [4] The mill burned in the night. [5] A night watchman "
        "smelled smoke at three. [6] Piers Holloway, the owner, puts the damage at nine million "
        "crowns. [7] The road stays closed until Friday."
    )


def test_what_rests_on_another_outlet_alone_credits_it() -> None:
    result = said(BRIEF, LEAD, (DAMAGE, [6]), ("Forty workers were led out.", [2]))
    assert result.narration.narrative == (
        f"{LEAD[0]} {DAMAGE} That is according to the Shore Post. Forty workers were led out."
    )
    assert [row["support"] for row in result.sentences] == [
        "passages",
        "passages",
        "link",
        "passages",
    ]
    assert result.sentences[1]["passages"][0]["report"] == 1
    assert result.dropped == ()


def test_an_outlet_that_is_named_is_credited_once() -> None:
    named = f"According to the Shore Post, the {DAMAGE[4:]}"
    assert said(BRIEF, LEAD, (named, [6])).narration.narrative == f"{LEAD[0]} {named}"


def test_an_outlet_without_a_sentence_is_credited_at_the_end() -> None:
    brief = replace(BRIEF, others=(*BRIEF.others, SECOND))
    assert said(brief, LEAD).narration.narrative == (
        f"{LEAD[0]} The Shore Post and the Marrow Gazette also report this."
    )


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (f"The Elowen Courier reports that the {DAMAGE[4:]}", [6]),
        ("The Shore Post says that forty workers were led out.", [2]),
    ],
)
def test_one_outlet_is_not_credited_with_the_words_of_another(
    text: str, numbers: list[int]
) -> None:
    [dropped] = said(BRIEF, LEAD, ("Forty were led out.", [2]), (text, numbers)).dropped
    assert dropped["text"] == text


def test_a_sentence_on_both_outlets_may_name_both() -> None:
    text = (
        "The Elowen Courier and the Shore Post report that it happened overnight at the old mill."
    )
    assert said(BRIEF, LEAD, (text, [1, 3])).narration.narrative == f"{LEAD[0]} {text}"


def narrative(brief: Brief) -> str:
    result = checked(ExtractiveNarrator().narrate(brief, lambda _: None), brief, may_wait=False)
    assert result.dropped == ()
    return result.narration.narrative


def test_the_offline_host_reads_what_another_outlet_adds() -> None:
    assert narrative(BRIEF) == (
        "Here's one from the Elowen Courier. Fire has gutted the old Ashby mill in Tavish Reach. "
        "Forty workers were led out. There is more from the Shore Post. A night watchman smelled "
        "smoke at three."
    )


def test_outlets_with_names_are_credited_on_air() -> None:
    differs = OtherReport("Tavish Reach News", "30 workers led out", "", differs="30 workers")
    brief = replace(BRIEF, verbosity="concise", others=(differs, *BRIEF.others, SECOND))
    assert narrative(brief).endswith(
        "Forty workers were led out. Tavish Reach News puts it at 30 workers. "
        "The Shore Post and the Marrow Gazette also report this."
    )


def test_in_another_language_only_the_names_are_read() -> None:
    text = narrative(replace(BRIEF, language="cy", others=(*BRIEF.others, SECOND)))
    assert text.startswith("Elowen Courier. Fire has")
    assert text.endswith("Shore Post. A night watchman smelled smoke at three. Marrow Gazette.")
