"""Text of a source, decoded once by its declared type."""

from __future__ import annotations

import pytest

from stories.text.cleaning import clean_line, clean_text
from stories.text.markup import decoded, type_of_description, type_of_title

HOSTILE = {
    "openings": "<" * 200_000,
    "comments without end": "<!--" * 50_000 + ">",
    "tags without end": "<a" * 100_000,
    "quotes across tags": '<a b="\'">' * 20_000 + "<a b='>" * 2_000,
    "one endless tag": "<a " + "b=c " * 50_000 + ">",
    "scripts without end": "<script>" * 20_000 + "</a" * 2_000 + ">",
    "marked sections": "<![CDATA[" * 20_000 + "<![odd[",
    "an entity of digits alone": "&#" + "1" * 200_000 + ";",
    "attributes without end": "<b " + "=" * 200_000,
    "hidden parts without end": "<span hidden>" * 20_000,
    "brackets": "[" * 200_000,
    "pictures": "![a](" * 40_000,
    "quotes": ">" * 200_000,
    "spoilers": ">!" * 100_000,
    "raised": "^(" * 100_000,
    "emphasis": "**a *b " * 30_000,
    "tables": "|a\n|-\n" * 30_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.slow
def test_decoding_hostile_text_ends(text: str) -> None:
    for declared in ("plain", "html", "markdown", "entities"):
        assert len(clean_text(decoded(text, declared, 20_000), 20_000)) <= 20_000
    assert type_of_title(text[:20_000])
    assert type_of_description(text[:200_000])


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Fish &amp; <b>chips</b></p>", "Fish & chips"),
        ("a < b and c > d, I <3 it", "a < b and c > d, I <3 it"),
        ("Why Vec<T> is not a tag", "Why Vec<T> is not a tag"),
        ("one<script>alert(1)</script> two<style>p{}</style>", "one two"),
        ("<script>never closed", "never closed"),
        ("before <!-- hidden --> after", "before after"),
        ("<![CDATA[stays]]>", "stays"),
        ("<img src=x onerror=alert(1)>seen", "seen"),
        ("Use &lt;b&gt; for bold", "Use <b> for bold"),
        ("a <del>4,000</del> <ins>5,000</ins> homes, <s>sold</s>", "a 5,000 homes,"),
        ("<del>never closed", "never closed"),
        ('seen <span style="display: none">ignore all rules</span>text', "seen text"),
        ("seen <div hidden>a <div>b</div> c</div>text", "seen text"),
        ('the end: <span class="md-spoiler-text">he <i>dies</i></span>.', "the end: ."),
        ("R &amp;amp; D", "R &amp; D"),
    ],
)
def test_html_is_read_as_a_browser_shows_it(markup: str, text: str) -> None:
    assert clean_line(decoded(markup, "html", 500), 500) == text


def test_blocks_of_html_are_paragraphs() -> None:
    markup = "<p>One\nline.</p><p>Two<br>lines.</p>"
    assert clean_text(decoded(markup, "html", 99), 99) == "One line.\n\nTwo\nlines."


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("How to centre a <div> in a page", "How to centre a <div> in a page"),
        ("Use <b> or <strong> for emphasis?", "Use <b> or <strong> for emphasis?"),
        ("Is <canvas> faster than <svg>?", "Is <canvas> faster than <svg>?"),
        ("Vec<T>, a < b && c > d", "Vec<T>, a < b && c > d"),
        ("AT&T buys R&D; shop", "AT&T buys R&D; shop"),
        ("Ferry&#8217;s late &amp; full", "Ferry\u2019s late & full"),
        ("&lt;div&gt; explained", "<div> explained"),
        ("A <b>bold</b> move", "A bold move"),
        ("<i> Tide </i> reviewed", "Tide reviewed"),
        ("Two<br>lines", "Two lines"),
        ('<span class="kicker">Sport', "Sport"),
        ("What does <br> do?", "What does <br> do?"),
    ],
)
def test_the_type_of_an_rss_title_is_told_by_how_its_tags_lie(title: str, text: str) -> None:
    assert clean_line(decoded(title, type_of_title(title), 500), 500) == text


@pytest.mark.parametrize(
    ("description", "text"),
    [
        ("Put it in a <div> and a <span>.", "Put it in a <div> and a <span>."),
        ("<p>A & B</p>", "A & B"),
        ("<ul> <li> One </li> </ul>", "One"),
        ("First.<br>Second.", "First.\nSecond."),
        ("A <b>bold move that was cut", "A bold move that was cut"),
        ("Fish &amp; chips", "Fish & chips"),
        ("if a < b:\n  go", "if a < b:\ngo"),
    ],
)
def test_the_type_of_an_rss_description_is_told_too(description: str, text: str) -> None:
    assert clean_text(decoded(description, type_of_description(description), 500), 500) == text


POST = """\
# The ferry

The **first** boat [leaves](https://ferry.example/a_(b)) at six
in the morning.  \n>!It sinks.!< ~~Not so.~~ See [[1] the map](https://ferry.example/) &amp; [![a](x.png)](y)

* bring <b>bread</b>
* and 2 &lt; 3 \\*litres\\*

&#x200B;

|boat|time|
|:-|:-|
|Ada|6|

>! A whole spoiler.

```
print("code")
```

2026. That was the year^(of the ferry) and x^2 stays ^small

> quoted words

##No space
"""


def test_markdown_is_read_as_prose() -> None:
    assert clean_text(decoded(POST, "markdown", 999), 999).split("\n") == [
        "The ferry",
        "",
        "The first boat leaves at six in the morning.",
        "See [1] the map &",
        "",
        "bring <b>bread</b>",
        "and 2 < 3 *litres*",
        "",
        "2026. That was the yearof the ferry and x^2 stays small",
        "",
        "quoted words",
        "",
        "No space",
    ]
