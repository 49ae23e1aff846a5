"""Plain text: which characters stay, lines, paragraphs and cuts."""

from __future__ import annotations

import pytest

from stories.text.cleaning import clean_line, clean_text, cut

SPELLED = [
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family day in \U0001f3f3\ufe0f\u200d\U0001f308 town",
    "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f beats Wales",
    "\U0001f469\U0001f3fd\u200d\u2695\ufe0f is on duty, press 1\ufe0f\u20e3",
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3 \u0dbd\u0d82\u0d9a\u0dcf",
    "\u0627\u0648 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u062f",
    "\u0d05\u0d35\u0d28\u0d4d\u200d \u0d35\u0d28\u0d4d\u0d28\u0d41",
    "\u845b\U000e0100\u57ce market",
    "\u1820\u180b\u182d\u180e\u1820",
    "\u1797\u17b6\u179f\u17b6\u200b\u1781\u17d2\u1798\u17c2\u179a",
    "\u05e9\u05e4\u05ea C++\u200f \u05e7\u05dc\u05d4",
    "\u0660\u0661 \u06dd\u0662\u0663",
    "\u0f66\u0f92\u0fb2\u0f74\u0f56",
    "\u0634\u0643\u0631\u0627 and \u6e2f stay",
]


@pytest.mark.parametrize("text", SPELLED)
def test_characters_that_spell_stay(text: str) -> None:
    assert clean_line(text, 500) == text


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("\u202ebackwards\u202c zero\u200bwidth\ufeff", "backwards zerowidth"),
        ("\u2066isolated\u2069 and \u2068first\u2069", "isolated and first"),
        ("nul\0 bell\x07 lone\ud800", "nul bell lone"),
        ("pri\ue000vate so\u00adft no\u2060break", "private soft nobreak"),
        (" folded \t\n\u00a0\u3000 white\u2028space ", "folded white space"),
        ("re\u200dmove w\u200ch\u200di\u200cle", "remove while"),
        ("left\u200e to right\u200f", "left to right"),
        ("three \U0001f389\ufe0f\ufe0f\ufe0f\u200d", "three \U0001f389\ufe0f"),
        ("hidden \U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065", "hidden"),
        ("\U0001f3f4\U000e0069\U000e0067\U000e006e\U000e007f flag", "\U0001f3f4 flag"),
        ("smile \U0001f600" + "".join(map(chr, range(0xE0100, 0xE0150))), "smile \U0001f600"),
        ("fill\u3164er j\u034foined \u2800", "filler joined"),
        ("Z\u0300\u0301\u0302\u0303\u0304\u0305 stack", "Z\u0300\u0301\u0302\u0303 stack"),
        ("Cafe\u0301", "Caf\u00e9"),
    ],
)
def test_what_hides_or_reorders_text_is_removed(dirty: str, clean: str) -> None:
    assert clean_line(dirty, 500) == clean
    assert clean_line(clean, 500) == clean


@pytest.mark.parametrize(
    "text",
    [
        "How to centre a <div> in a page",
        "Why Vec<T> and a < b && c > d, I <3 it",
        "AT&amp;T typed by a person",
        "<b>Bold</b> &lt;i&gt; <!-- a comment --> <script>alert(1)</script>",
    ],
)
def test_plain_text_is_never_decoded(text: str) -> None:
    assert clean_line(clean_text(text, 500), 500) == text


def test_paragraphs_of_plain_text_stay() -> None:
    assert clean_text("One\r\nline.\n\n\n\nTwo.", 99) == "One\nline.\n\nTwo."


def test_a_cut_falls_between_words_and_is_marked() -> None:
    assert clean_line("The harbor bridge reopens", 16) == "The harbor…"
    assert cut("fits exactly", 12) == "fits exactly"
    assert cut("x" * 30, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0301\u0323" * 500_000,
        "\u200d" * 1_000_000,
        "\U0001f3f4" * 1_000_000,
        "\u05d0\u200f" * 500_000,
        "x" * 1_000_000,
    ],
)
def test_hostile_text_is_cut_to_its_limit(text: str) -> None:
    assert len(clean_line(text, 500)) <= 500
    assert len(clean_text(text, 20_000)) <= 20_000
