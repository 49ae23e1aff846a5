"""The numbers of source sentences: as a model reads them, and as it answers with them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from broadcast.narrators.anthropic import Review
from broadcast.narrators.prompts import ask_for, passages_of, split_marks, spoken_sentences
from stories.llm import Answer
from stories.types import Brief

BRIEF = Brief(
    title="Harrow Ford mill turns again",
    body="The mill ground its first flour since 1985 on Sunday. It stood still for 41 years.\n\n"
    "- Volunteers rebuilt the **wheel**. All may come.",
    author="miller",
    source="r/harrowford",
    url="",
    published_at=None,
    score=4,
    comments=1,
    priority=0.5,
    earlier=(("Mill to reopen", "The council gave 4,000 pounds."),),
    relation="follow-up",
)


def test_a_model_reads_numbered_sentences_and_the_earlier_story_after_them() -> None:
    block = json.loads(ask_for(BRIEF, "m", "post-1").prompt.split("\n")[1])
    assert block["title"] == "Harrow Ford mill turns again"
    assert block["text"] == (
        "[1] The mill ground its first flour since 1985 on Sunday. "
        "[2] It stood still for 41 years. [3] Volunteers rebuilt the wheel. [4] All may come."
    )
    assert block["earlier"] == "[5] Mill to reopen: The council gave 4,000 pounds."


@pytest.mark.parametrize(
    ("answer", "sentences"),
    [
        ("It turns. [1] It rests. [2,3]", [("It turns.", [1]), ("It rests.", [2, 3])]),
        ("It turns [1]. It rests [2, 3].", [("It turns.", [1]), ("It rests.", [2, 3])]),
        ("[1] It turns. [2-4] It rests.", [("It turns.", [1]), ("It rests.", [2, 3, 4])]),
        ("It turns [1] and grinds [0] at last.", [("It turns and grinds at last.", [0, 1])]),
        ("Good news. It turns. [1]", [("Good news.", None), ("It turns.", [1])]),
        ("It turns. [99]", [("It turns.", None)]),
        ("It cost 5 [2; 3].\nIt rests.", [("It cost 5.", [2, 3]), ("It rests.", None)]),
        ("No numbers here.", [("No numbers here.", None)]),
    ],
)
def test_each_sentence_has_the_numbers_that_follow_it(
    answer: str, sentences: list[tuple[str, list[int] | None]]
) -> None:
    passages = passages_of(BRIEF)
    spoken = spoken_sentences(*split_marks(answer), passages)
    expected = [
        (text, None if numbers is None else [passages[n]["text"] for n in numbers])
        for text, numbers in sentences
    ]
    assert [
        (one.text, None if one.passages is None else [p["text"] for p in one.passages])
        for one in spoken
    ] == expected


def test_no_number_is_heard_or_shown_while_the_answer_grows() -> None:
    text = json.dumps({"narration": "The mill turns. [1, 2] It stood still [2]. All came. [3]"})
    review = Review(BRIEF, "post-1")
    shown = [review.on_air(text[15:end]) for end in range(15, len(text) - 1)]
    assert not any("[" in part or part.endswith((" 1", " 2")) for part in shown)
    assert shown[-1].startswith("The mill turns. It stood still. All came.")
    narration = review.narration(Answer(text, "end_turn", "m", complete=True))
    assert narration.narrative == "The mill turns. It stood still. All came."
    assert narration.summary == "The mill turns."


def test_a_sentence_that_was_cut_takes_its_number_with_it() -> None:
    text = '{"narration": "The mill at Harrow Ford turns again. [1] It stood still for [2'
    review = Review(replace(BRIEF, verbosity="concise"), "post-1")
    narration = review.narration(Answer(text, "max_tokens", "m", complete=False))
    assert narration.narrative == "The mill at Harrow Ford turns again."
    assert [(one.text, len(one.passages or ())) for one in narration.spoken] == [
        ("The mill at Harrow Ford turns again.", 1)
    ]
