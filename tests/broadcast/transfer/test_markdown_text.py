"""Markdown: a reader shows a text as it is, and no backslash is written that is not needed."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from broadcast.transfer.formats.markdown_format import escape, heading, link

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKS = "ab1 \n*_~`#<>[]()&;:|-+=.\\$!/^é漢\"'"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("2026. A year in review", r"2026\. A year in review"),
        ("1) First", r"1\) First"),
        ("First\n2. Second", "First\n2\\. Second"),
        ("# Not a heading", r"\# Not a heading"),
        ("> Not a quote", r"\> Not a quote"),
        ("- Not a list", r"\- Not a list"),
        ("* Not a list", r"\* Not a list"),
        ("+ Not a list", r"\+ Not a list"),
        ("Above\n---", "Above\n\\---"),
        ("Above\n===", "Above\n\\==="),
        ("***", r"\***"),
        ("~~~", r"\~~~"),
        ("| a | b |\n|---|---|", "| a | b |\n\\|---|---|"),
        ("How to centre a <div> in a page", r"How to centre a \<div> in a page"),
        ("<!-- hidden -->", r"\<!-- hidden -->"),
        ("<https://example.org>", r"\<https://example.org>"),
        ("a *b* c", r"a \*b\* c"),
        ("5*3*2", r"5\*3\*2"),
        ("**bold**", r"\*\*bold\*\*"),
        ("_a_ and __init__", r"\_a\_ and \_\_init\_\_"),
        ("~~gone~~", r"\~\~gone\~\~"),
        ("`code`", r"\`code\`"),
        ("[a](javascript:x)", r"[a\](javascript:x)"),
        ("![i](https://x)", r"![i\](https://x)"),
        ("[a]: https://x", r"[a\]: https://x"),
        ("[a][b]", r"[a\][b]"),
        ("note[^1]", r"note\[^1]"),
        ("&lt; and &#60;", r"\&lt; and \&#60;"),
        ("$x$", r"\$x\$"),
        ("\\*", r"\\*"),
        ("the end\\", "the end\\\\"),
        ("    indented", "indented"),
        ("two spaces  \nbreak", "two spaces\nbreak"),
    ],
)
def test_what_would_have_an_effect_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "2026 was a year.",
        "It was 2026.",
        "3.5 million",
        "1.x",
        "snake_case_name",
        "a * b",
        "5*3",
        "~5 %",
        "#tag and C#",
        "a < b and b > a",
        "<3",
        "R&D, AT&T",
        "$5 and $10",
        "a | b",
        "a = b",
        "-5 °C",
        "+49 30 12345",
        "=1+1",
        ":smile:",
        "[Video] A title (2026)",
        "C:\\new\\files",
        'it\'s "quoted" (here)!',
        "a - b",
    ],
)
def test_what_has_no_effect_is_left_as_it_is(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("Learn C #", r"Learn C \#"), ("C# in a day", "C# in a day"), ("Two\nlines", "Two lines")],
)
def test_a_heading_is_one_line_that_keeps_its_end(text: str, escaped: str) -> None:
    assert heading(text) == escaped


def test_only_web_addresses_become_links() -> None:
    assert link("a", "javascript:alert(1)") == "a"
    assert link("a", "javascript://x.org/%0Aalert(1)") == "a"
    assert link("a]", "https://x.org/(a) b>") == r"[a\]](<https://x.org/(a)%20b%3E>)"
    assert link("a", "https://x.org/\\") == "[a](<https://x.org/%5C>)"


def words_in(rendered: str, tags: str) -> list[str]:
    """The words of a rendered document, which has no other tags than these."""
    assert re.sub(rf"</?(?:{tags})(?: href=\"https://x\.org/\")?>", "", rendered).count("<") == 0
    return html.unescape(re.sub(r"<[^>]*>", "", rendered)).split()


@given(st.text(alphabet=MARKS, max_size=40))
def test_a_reader_shows_any_text_as_it_is(text: str) -> None:
    assert words_in(READER.render(escape(text)), "p") == text.split()
    assert words_in(READER.render(f"### {heading(text)}"), "h3") == text.split()
    assert words_in(READER.render(link(text, "https://x.org/")), "p|a") == text.split()
