"""Expressions that see text from outside take time in proportion to it, whatever the text is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from broadcast.narrators import output_check, passages
from sessions_app.files import artifacts
from stories import corrections
from stories.sources import http_client, pasted
from stories.text import dates, markup
from stories.text.cleaning import clean_text


def replaced(pattern: re.Pattern[str]) -> Callable[[str], object]:
    return lambda text: pattern.sub("", text)


READERS: dict[str, tuple[Callable[[str], object], str]] = {
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
