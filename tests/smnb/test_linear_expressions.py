"""Expressions that see text from outside take time in proportion to it, whatever the text is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from broadcast.narrators import output_check, passages
from broadcast.narrators.statements import Context, problem
from sessions_app.files import artifacts
from stories import corrections
from stories.posts import features, selection
from stories.posts.features import Report
from stories.sources import http_client, pasted
from stories.text import dates, markup
from stories.text.cleaning import clean_text


def replaced(pattern: re.Pattern[str]) -> Callable[[str], object]:
    return lambda text: pattern.sub("", text)


def grounded(passage: str) -> str:
    """Checks a sentence against a passage that no full stop ends."""
    context = Context(report=passage, before=passage)
    return problem(
        "He called half of it \u201ca lie\u201d.", [{"text": passage, "report": 0}], context
    )


READERS: dict[str, tuple[Callable[[str], object], str]] = {
    "a passage of verbs": (grounded, "beat "),
    "a passage of one word": (grounded, "a"),
    "a passage of names": (grounded, "Os Of of the "),
    "a passage of single letters": (grounded, "A. "),
    "a passage of shares": (grounded, "half "),
    "a passage of numbers": (grounded, "1 000 "),
    "a passage of opened quotations": (grounded, "\u300c"),
    "a passage of apostrophes": (grounded, " 'a'b"),
    "a passage of clauses": (grounded, "who, had not and "),
    "the start of a sentence": (lambda text: list(features._tokens(text)), ". "),
    "a headline that is a comment": (replaced(selection._COMMENT), " "),
    "a report": (lambda text: features.features(Report(text, text)), "UPDATE: "),
    "white space of a header": (lambda text: http_client.Headers([("X", text)]), "\t"),
    "a comment behind a date": (replaced(dates._COMMENT), "\n"),
    "a comment behind another": (replaced(dates._COMMENT), "("),
    "line breaks": (replaced(corrections._LINE_BREAK), " "),
    "marks of a narration": (replaced(passages._MARK), " "),
    "a growing mark": (replaced(passages._UNFINISHED_MARK), " "),
    "a growing list in a mark": (replaced(passages._UNFINISHED_MARK), "[1,"),
    "a range in a mark": (replaced(passages._RANGE), "0"),
    "a growing word": (replaced(output_check._UNFINISHED), "a\u00e9" * 2 + "a" * 50),
    "a growing word without end": (replaced(output_check._UNFINISHED), "a"),
    "spaces before a stop": (replaced(output_check._SPACE_BEFORE_STOP), " "),
    "links that are pasted": (replaced(pasted._LINK), "<a "),
    "links in Markdown": (replaced(pasted._LINK), "["),
    "control characters": (lambda text: clean_text(text, 10**7), "\u200b a"),
    "a file name": (artifacts.safe_name, "\u0301."),
    "tags": (lambda text: markup.decoded(text, "html", 10**7), "<a "),
    "comments": (lambda text: markup.decoded(text, "html", 10**7), "<!--"),
    "entities": (lambda text: markup.decoded(text, "html", 10**7), "&#"),
}


@pytest.mark.parametrize("name", READERS)
def test_twice_the_text_takes_about_twice_the_time(name: str) -> None:
    read, piece = READERS[name]

    def seconds(size: int) -> float:
        text, times = piece * (size // len(piece)), []
        for _ in range(2):
            began = time.process_time()
            read(text + "\x00")
            times.append(time.process_time() - began)
        return min(times)

    # A quadratic expression needs four times as long, and seconds for a text of this size.
    assert seconds(40_000) < 3.2 * seconds(20_000) + 0.02
