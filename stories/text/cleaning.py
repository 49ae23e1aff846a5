"""Tidies plain text: which characters stay, one line or paragraphs, cut to a length.

Nothing here decodes: text from outside is decoded once, by its declared type (see markup.py).
"""

from __future__ import annotations

import re
import unicodedata

ELLIPSIS = "…"

_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co"})
# Invisible in other categories: fillers, a joiner of marks, and code points that stay without glyph.
_INVISIBLE = re.compile(r"[\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufdd0-\ufdef\ufff0-\ufff8]")
# Visible in category Cf: Arabic and Kaithi number signs, and the layout of hieroglyphs.
_VISIBLE_FORMAT = re.compile(
    r"[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f]"
)
# The flags of England, Scotland and Wales. Tag characters elsewhere are text that only a model reads.
_FLAG = (
    "\U0001f3f4\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067"
    "|\U000e0073\U000e0063\U000e0074|\U000e0077\U000e006c\U000e0073)\U000e007f"
)
_SPELLING = re.compile(
    _FLAG + r"|[\u061c\u180b-\u180f\u200b-\u200f\ufe00-\ufe0f\U000e0000-\U000e0fff]+"
)
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")
# Thai, Lao, Burmese, Khmer and their neighbours write no space between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u1aaf\ua9e0-\uaa7f]")
_IDEOGRAPH = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_MONGOLIAN = re.compile(r"[\u1800-\u18af]")
_EMOJI_SELECTORS = re.compile(r"[\ufe00-\ufe0f]")
_DIACRITICS = re.compile(r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_NEIGHBOURS = 40  # characters around a direction mark in which its script must occur
_DIACRITICS_IN_A_ROW, _MARKS_IN_A_ROW = 4, 8


class _Characters(dict[int, int | str | None]):
    """A table for ``str.translate`` that computes and stores a character's entry at its first use."""

    def __missing__(self, code: int) -> int | str | None:
        char = chr(code)
        entry: int | str | None = code
        if char in "\r\n\x0b\x0c\x85\u2028\u2029":
            entry = "\n"
        elif char in "\t\u2800" or unicodedata.category(char) == "Zs":
            entry = " "
        elif _SPELLING.fullmatch(char) or _VISIBLE_FORMAT.match(char):
            entry = code
        # Control, format (bidi), surrogate and private characters.
        elif unicodedata.category(char) in _DROPPED_CATEGORIES or _INVISIBLE.match(char):
            entry = None
        self[code] = entry
        return entry


_CHARACTERS = _Characters()


def _spelling(run: re.Match[str]) -> str:
    """Returns what spells something of a run of invisible characters: at most two of them."""
    if run[0][0] == "\U0001f3f4":
        return run[0]
    start, end = run.span()
    before, after = run.string[max(start - 1, 0) : start], run.string[end : end + 1]
    around = run.string[max(start - _NEIGHBOURS, 0) : end + _NEIGHBOURS]
    selector = joiner = ""
    for char in run[0]:
        if char in "\u200c\u200d":
            # Joiners spell in the scripts of Asia, and in emoji that consist of several.
            emoji = unicodedata.category(before or " ") in ("So", "Sk") or bool(selector)
            fits = after > "\u2000" if emoji else before > "\u02ff" and before.isprintable()
        elif char == "\u200b":
            fits = bool(_UNSPACED.match(before) and _UNSPACED.match(after))
        elif char in "\u061c\u200e\u200f":
            fits = bool(_RIGHT_TO_LEFT.search(around))
        elif char < "\u1900":
            fits = bool(_MONGOLIAN.match(before))
        elif _EMOJI_SELECTORS.match(char):
            fits = bool(before.strip()) and not (before.isascii() and before.isalpha())
        else:
            fits = char >= "\U000e0100" and bool(_IDEOGRAPH.match(before))
        if fits and (char < "\u1900" or char >= "\ufe00") and char != "\u061c":
            selector = selector or char
        elif fits:
            joiner = joiner or char
    return selector + joiner


def _characters(text: str) -> str:
    """Removes what can hide or reorder text, but no character that belongs to the spelling."""
    text = text.translate(_CHARACTERS)
    if text.isascii():
        return text
    text = _SPELLING.sub(_spelling, text)
    # Many combining marks on one letter cover the lines around it, and make normalising slow.
    pieces: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if marks <= (_DIACRITICS_IN_A_ROW if _DIACRITICS.match(char) else _MARKS_IN_A_ROW):
            pieces.append(char)
    return unicodedata.normalize("NFC", "".join(pieces))


def cut(text: str, limit: int) -> str:
    """Returns at most ``limit`` characters of ``text``; a cut is after a word and ends in "…"."""
    if len(text) <= limit:
        return text
    head = text[: max(limit - 1, 0)]
    space = max(head.rfind(" "), head.rfind("\n"))
    if not text[len(head)].isspace() and space > len(head) // 2:
        head = head[:space]
    return (head.rstrip(" \n,;:-\u2013—\u200c\u200d") + ELLIPSIS)[:limit]


def clean_line(text: str, limit: int) -> str:
    """Returns one line of plain text of at most ``limit`` characters."""
    return cut(" ".join(_characters(text[: _enough(limit)]).split()), limit)


def clean_text(text: str, limit: int) -> str:
    """Returns plain text of at most ``limit`` characters, with empty lines between paragraphs."""
    plain = _characters(text[: _enough(limit)].replace("\r\n", "\n"))
    lines = (" ".join(line.split()) for line in plain.split("\n"))
    return cut(re.sub(r"\n{3,}+", "\n\n", "\n".join(lines).strip("\n")), limit)


def _enough(limit: int) -> int:
    """Returns how many raw characters are read for ``limit`` clean ones."""
    return limit * 8 + 4096


def within(text: str, tokens: int) -> str:
    """Returns the beginning of ``text`` of at most ``tokens`` tokens, cut at a word."""
    spent = 0.0
    for at, char in enumerate(text):
        spent += 0.25 if char < "\x80" else 1
        if spent > tokens:
            return cut(text, at)
    return text
