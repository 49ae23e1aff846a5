"""Expressions that see text from outside take time in proportion to it, whatever the text is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from broadcast.chat import intents
from broadcast.narrators import anthropic, base, prompts
from broadcast.narrators.statements import Context, problem
from sessions_app.files import artifacts
from stories import corrections
from stories.posts import features, selection
from stories.posts.features import Report
from stories.sources import feed_document, http_client, pasted, reddit
from stories.text import addresses, dates, markup
from stories.text.cleaning import clean_text
from tests.smnb.expressions import OWN_TEXT, Expression, all_expressions, slow_text


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
    "marks of a narration": (replaced(prompts._MARK), " "),
    "a growing mark": (replaced(prompts._UNFINISHED_MARK), " "),
    "a growing list in a mark": (replaced(prompts._UNFINISHED_MARK), "[1,"),
    "a range in a mark": (replaced(prompts._RANGE), "0"),
    "a growing word": (replaced(anthropic._UNFINISHED), "a\u00e9" * 2 + "a" * 50),
    "a growing word without end": (replaced(anthropic._UNFINISHED), "a"),
    "spaces before a stop": (replaced(anthropic._SPACE_BEFORE_STOP), " "),
    "links that are pasted": (replaced(pasted._LINK), "<a "),
    "links in Markdown": (replaced(pasted._LINK), "["),
    "control characters": (lambda text: clean_text(text, 10**7), "\u200b a"),
    "a file name": (artifacts.safe_name, "\u0301."),
    "tags": (lambda text: markup.decoded(text, "html", 10**7), "<a "),
    "comments": (lambda text: markup.decoded(text, "html", 10**7), "<!--"),
    "entities": (lambda text: markup.decoded(text, "html", 10**7), "&#"),
    "comments of a feed": (feed_document.document_of, "<!--"),
    "parts of a feed that are quoted": (feed_document.document_of, "<rss><![CDATA["),
    "instructions of a feed": (feed_document.document_of, "<!DOCTYPE [<?<rss >"),
    "references of a feed": (feed_document.document_of, "<rss >&a"),
    "a feed in JSON": (feed_document.feed_of, '{ "'),
    "encodings of a feed": (lambda text: feed_document.decoded(text.encode(), text), "charset="),
    "what is asked in the chat": (lambda text: list(intents.clauses(text)), " now"),
    "a label of a headline": (base.kicker_of, " [opinion] "),
    "a tone of a headline": (lambda text: base.tone_of(text, text), "village what "),
    "addresses on air": (addresses.without_addresses, "[0:"),
    "names on air": (addresses.without_addresses, "a.b@"),
    "a subreddit": (lambda text: reddit._ENDING.sub("", text), "/"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.slow
def test_twice_the_text_takes_about_twice_the_time(name: str) -> None:
    read, piece = READERS[name]

    def seconds(size: int) -> float:
        text = piece * (size // len(piece)) + "\x00"
        began = time.process_time()
        read(text)
        return time.process_time() - began

    # A quadratic expression needs four times as long, and seconds for a text of this size. Something
    # else may disturb one measurement, but not three.
    assert any(seconds(20_000) < 3.2 * seconds(10_000) + 0.02 for _ in range(3))


@pytest.mark.slow
def test_every_expression_of_the_product_is_linear() -> None:
    """With texts made from its own parts; ``make chaos ARGS=--long`` reads longer ones."""
    found = all_expressions()
    assert len(found) > 250
    assert [
        f"{each.place} with {slow!r}"
        for each in found
        if not each.place.startswith(OWN_TEXT) and (slow := slow_text(each, 500))
    ] == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"\s+$",
        r"<!--.*?-->",
        r"\bvillage\b.*\bshop\b",
        r"\[[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*\]",
        r"^(?:put|add)\s+(.{2,80}?)\s+in\s+(?:the\s+)?board$",
        r"(?:a+)+b",
        r"(?:\w+\s?)*:",
    ],
)
@pytest.mark.slow
def test_an_expression_that_is_not_linear_is_found(pattern: str) -> None:
    assert slow_text(Expression("", re.compile(pattern), anchored=False), 500)


@pytest.mark.parametrize("pattern", [r"\w+", r"<[^<>]*>", r"\w++\s?", r"(?<!/)/+\Z"])
def test_an_expression_that_is_linear_is_not_found(pattern: str) -> None:
    assert slow_text(Expression("", re.compile(pattern), anchored=False), 500) is None
