from __future__ import annotations

import pytest

from stories.text.cleaning import clean_line, clean_text, cut
from stories.text.sentences import reading_seconds, sentences, word_count
from stories.text.urls import MAX_URL, canonical_url

HOSTILE = {
    "a million openings": "<" * 1_000_000,
    "comments without end": "<!--" * 250_000 + ">",
    "tags without end": "<a" * 500_000,
    "quotes across tags": '<a b="\'">' * 100_000 + "<a b='>" * 10_000,
    "one endless tag": "<a " + "b=c " * 250_000 + ">",
    "scripts without end": "<script>" * 100_000 + "</a" * 10_000 + ">",
    "marked sections": "<![CDATA[" * 100_000 + "<![odd[",
    "an entity with a million digits": "&#" + "1" * 1_000_000 + ";",
    "a letter under a million accents": "a" + "\u0301\u0323" * 500_000,
    "a million stops": "." * 1_000_000,
    "quoted stops": '."' * 500_000,
    "a word of a million letters": "x" * 1_000_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_cut_to_its_limit_and_cleaning_ends(text: str) -> None:
    assert len(clean_line(text, 500)) <= 500
    assert len(clean_text(text, 20_000)) <= 20_000
    assert len(sentences(text)) <= len(text)
    assert word_count(text) <= len(text)
    assert canonical_url("https://example.org/" + text) == ""


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("<p>Fish &amp; <b>chips</b></p>", "Fish & chips"),
        ("a < b and c > d, I <3 it", "a < b and c > d, I <3 it"),
        ("Why Vec<T> is not a tag", "Why Vec<T> is not a tag"),
        ("one<script>alert(1)</script> two<style>p{}</style>", "one two"),
        ("<script>never closed", "never closed"),
        ("before <!-- hidden --> after", "before after"),
        ("<![CDATA[kept]]>", "kept"),
        ("<img src=x onerror=alert(1)>seen", "seen"),
        ("Use &lt;b&gt; for bold", "Use <b> for bold"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("\u202ebackwards\u202c zero\u200bwidth\ufeff", "backwards zerowidth"),
        ("nul\0 bell\x07 lone\ud800", "nul bell lone"),
        (" folded \t\n\u00a0\u3000 white\u2028space ", "folded white space"),
        ("شكرا and 港 stay", "شكرا and 港 stay"),
    ],
)
def test_a_line_is_plain_text(dirty: str, clean: str) -> None:
    assert clean_line(dirty, 500) == clean


def test_paragraphs_of_html_and_of_plain_text_are_kept() -> None:
    assert clean_text("<p>One\nline.</p><p>Two<br>lines.</p>", 99) == "One line.\n\nTwo\nlines."
    assert clean_text("One\r\nline.\n\n\n\nTwo.", 99) == "One\nline.\n\nTwo."


def test_a_cut_falls_between_words_and_is_marked() -> None:
    assert clean_line("The harbor bridge reopens", 16) == "The harbor…"
    assert cut("fits exactly", 12) == "fits exactly"
    assert cut("x" * 30, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        (
            "HTTPS://Example.ORG:443/News?utm_source=a&b=1&fbclid=c#top",
            "https://example.org/News?b=1",
        ),
        ("http://example.org:8080", "http://example.org:8080/"),
        ("http://example.org./x?ref=front", "http://example.org/x"),
        ("\thttps://exam\nple.org/a b", "https://example.org/a%20b"),
        ("https://b\u00fccher.example/\u6e2f", "https://xn--bcher-kva.example/%E6%B8%AF"),
        ("https://[::1]/x", "https://[::1]/x"),
        ("/story?id=7", "https://example.org/story?id=7"),
        ("//cdn.example.org/a", "https://cdn.example.org/a"),
    ],
)
def test_an_address_has_one_canonical_form(url: str, canonical: str) -> None:
    assert canonical_url(url, "https://example.org/feed/") == canonical
    assert canonical_url(canonical) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "ftp://example.org/",
        "https://user:secret@example.org/",
        "https://example.org\\@evil.example/",
        "https://example.org:99999/",
        "https://[broken/",
        "https:///nowhere",
        "https://exa mple.org/",
        "https://\ud800.example/",
        "https://example.org/" + "x" * MAX_URL,
    ],
)
def test_an_address_that_cannot_be_trusted_is_dropped(url: str) -> None:
    assert canonical_url(url) == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Dr. A. B. Lahr paid 3.5 crowns. It was 5 p.m. She left.", 3),
        ('"Stop!" he said. See https://a.example/b.c for more.', 2),
        ("No. 5 won. He said no. Then he went.", 3),
        ("The U.S. Navy and Salt Co. Ltd. of Elowen agreed…", 1),
        ("A heading\nand a line", 2),
        ("「はい。」そう。次", 3),
        ("", 0),
    ],
)
def test_sentences_end_where_a_reader_would_pause(text: str, parts: int) -> None:
    assert len(sentences(text)) == parts


def test_words_are_counted_as_a_reader_counts_them() -> None:
    assert word_count("It's 3.5 well-known miles — really") == 5
    assert word_count("港の船") == 3


def test_reading_takes_as_long_as_the_pace_says() -> None:
    assert reading_seconds(90, 180) == 30
    assert reading_seconds(90, 0) == 0
