"""The numbered sentences of a brief, and the numbers that a model puts after its own sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

from broadcast.narrators.base import spoken
from stories.text.cleaning import clean_line, clean_text
from stories.text.sentences import sentences
from stories.types import Brief, Passage, SpokenSentence

MOST_BODY = 3000  # characters; later parts of a post are hardly ever used
MOST_OF_OTHER, MOST_OF_OLDER = 400, 160  # characters of another report of the event
EARLIER = -1  # the report of a passage that is from an earlier story of the thread

_NUMBERS = r"\d{1,3}(?:\s?[,;\u2013-]\s?\d{1,3})*"
_MARK = re.compile(rf"(?<!\s)\s*\[({_NUMBERS})\]")
# The end of a growing text may be the beginning of a mark.
_UNFINISHED_MARK = re.compile(r"(?<!\s)\s*\[[\d,;\u2013\s-]*\Z")
_RANGE = re.compile(r"(?<!\d)(\d+)\s?[\u2013-]\s?(\d+)")


def passages_of(brief: Brief, most: int = MOST_BODY) -> list[Passage]:
    """Returns the sentences that a narration may rest on: the title is number 0.

    The sentences of the post follow, then the earlier stories of its thread with the sentences of
    which a figure has changed, and the other reports that the story covers.
    """
    title = clean_line(brief.title, 300)
    body = sentences(spoken(clean_text(brief.body, most)))
    found: list[Passage] = [{"text": text, "report": 0} for text in [title, *body]]
    for earlier_title, summary in brief.earlier:
        text = f"{clean_line(earlier_title, 120)}: {clean_text(summary, 160)}"
        found.append({"text": text, "report": EARLIER})
    found += [{"text": change.before, "report": EARLIER} for change in brief.changes]
    for report, other in enumerate(brief.others, 1):
        most_of_it = MOST_OF_OLDER if other.older else MOST_OF_OTHER
        body = sentences(spoken(clean_text(other.body, most_of_it)))
        lines = [clean_line(other.title, 300), *body]
        found += [{"text": text, "report": report, "source": other.source} for text in lines]
    return found


def numbered(passages: Sequence[Passage], report: int) -> str:
    """Returns the passages of one report as the model reads them; the title is left out."""
    rows = list(enumerate(passages))[1:]
    return " ".join(f"[{at}] {row['text']}" for at, row in rows if row["report"] == report)


def without_marks(text: str) -> str:
    """Returns a growing narration without the numbers after its sentences."""
    return _UNFINISHED_MARK.sub("", _MARK.sub("", text))


Mark = tuple[int, list[int]]
"""Where in the text without marks a mark was, and its numbers."""


def split_marks(text: str) -> tuple[str, list[Mark]]:
    """Returns the text without the numbers after its sentences, and these marks."""
    plain = ""
    marks: list[Mark] = []
    at = 0
    for mark in _MARK.finditer(text):
        plain = (plain + text[at : mark.start()]).lstrip()
        marks.append((len(plain), _numbers(mark[1])))
        at = mark.end()
    return (plain + text[at:]).lstrip(), marks


def spoken_sentences(
    text: str, marks: Sequence[Mark], passages: Sequence[Passage]
) -> list[SpokenSentence]:
    """Returns the sentences of a narration, each with the passages whose numbers follow it.

    Numbers that no passage has are ignored.
    """
    spoken_: list[SpokenSentence] = []
    # A mark in front of the first sentence shows that the others are in front as well.
    in_front = bool(marks) and marks[0][0] == 0
    end = 0
    for sentence in sentences(text):
        before, end = end, text.index(sentence, end) + len(sentence)
        numbers = {
            number
            for place, numbers in marks
            if (before <= place < end if in_front else before < place <= end)
            for number in numbers
            if number < len(passages)
        }
        rests_on = tuple(passages[number] for number in sorted(numbers)) if numbers else None
        spoken_.append(SpokenSentence(sentence, rests_on))
    return spoken_


def _numbers(text: str) -> list[int]:
    spans = [range(int(a), min(int(b), int(a) + 20) + 1) for a, b in _RANGE.findall(text)]
    return [*map(int, re.findall(r"\d+", text)), *(number for span in spans for number in span)]
