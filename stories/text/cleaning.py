"""Plain text from HTML of unknown origin: one line, or paragraphs, cut to a length.

Every function takes hostile input in linear time: the raw text is cut to a limit first, and the HTML
parser gets complete tags only.
"""

from __future__ import annotations

import html
import re
import unicodedata
from html.parser import HTMLParser

from stories.text.words import word_set

ELLIPSIS = "…"

_BLOCKS = word_set("""
    address article aside blockquote div dl fieldset figure footer form h1 h2 h3 h4 h5 h6
    header hr main nav ol p pre section table ul
""")

_LINES = word_set("br dd dt figcaption li td th tr")

_INLINE = word_set("""
    a abbr acronym area audio b base bdi bdo big body button canvas caption center cite code
    col colgroup data datalist del details dfn dialog em embed font frame frameset head html i
    iframe img input ins kbd label legend link map mark meta meter noscript object optgroup
    option output param picture progress q rp rt ruby s samp script select slot small source
    span strike strong style sub summary sup svg math tbody template textarea tfoot thead time
    title track tt u var video wbr
""")

_ELEMENTS = _BLOCKS | _LINES | _INLINE

_UNREAD = ("script", "style")

_BLOCK_TAG = re.compile(
    r"</?(?:" + "|".join(sorted(_BLOCKS | _LINES)) + r")\b[^<>]*>", re.IGNORECASE
)

_DECLARATION = re.compile(r"<[!?][^<>]*>")

_NO_TAG = re.compile(r"<(?!/?[a-zA-Z][^<>]*>)")

# int() raises ValueError above 4,300 digits, which html.unescape() does not catch.
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{8,}+;?")

_DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co"})

_MARKS_IN_A_ROW = 4


class _Characters(dict[int, int | str | None]):
    """A table for ``str.translate`` that computes and stores a character's entry at its first use."""

    def __missing__(self, code: int) -> int | str | None:
        char = chr(code)
        entry: int | str | None = code
        if char in "\r\n\x0b\x0c\x85\u2028\u2029":
            entry = "\n"
        elif char == "\t" or unicodedata.category(char) == "Zs":
            entry = " "
        # Control, format (bidi), surrogate and private characters, and variation selectors.
        elif unicodedata.category(char) in _DROPPED_CATEGORIES or 0xE0100 <= code <= 0xE01EF:
            entry = None
        self[code] = entry
        return entry


_CHARACTERS = _Characters()


class _Reader(HTMLParser):
    """Collects the text of a document.

    With ``blocks``, only elements make line breaks; otherwise those in the text stay.
    """

    def __init__(self, blocks: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._blocks = blocks
        self._skipping = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNREAD:
            self._skipping = tag
        self._tag(tag, self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag(tag, self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._skipping:
            self._skipping = ""
        self._tag(tag, "")

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.pieces.append(re.sub(r"\s", " ", data) if self._blocks else data)

    def _tag(self, tag: str, raw: str) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n\n")
        elif tag in _LINES:
            self.pieces.append("\n")
        elif tag not in _ELEMENTS and re.fullmatch(r"<\w+>", raw):
            self.pieces.append(raw)  # "Vec<T>" is text, not markup


def _without(text: str, opening: str, closing: str) -> str:
    """Removes each ``opening … closing`` part; one that is not closed loses its opening only."""
    pieces: list[str] = []
    at = 0
    while (start := text.find(opening, at)) >= 0:
        pieces.append(text[at:start])
        end = text.find(closing, start + len(opening))
        if end < 0:
            pieces.append(text[start:].replace(opening, ""))
            return "".join(pieces)
        at = end + len(closing)
    pieces.append(text[at:])
    return "".join(pieces)


def _plain(text: str, limit: int) -> str:
    """Returns the text of possible HTML with its line breaks; reads only what ``limit`` can need."""
    text = text[: limit * 8 + 4096].replace("\0", "").replace("\r\n", "\n")
    if "<" in text:
        text = _without(text, "<!--", "-->").replace("<![CDATA[", "").replace("]]>", "")
        text = _DECLARATION.sub("", text)
        # A script or style tag that is not closed would hide all the text after it.
        for tag in _UNREAD:
            last = text.lower().rfind(f"</{tag}")
            opening = re.compile(rf"<{tag}\b[^<>]*>", re.IGNORECASE)
            text = text[: last + 1] + opening.sub("", text[last + 1 :])
        text = _NO_TAG.sub("&lt;", text)
        reader = _Reader(_BLOCK_TAG.search(text) is not None)
        reader.feed(_ENDLESS_NUMBER.sub("", text))
        reader.close()
        text = "".join(reader.pieces)
    elif "&" in text:
        text = html.unescape(_ENDLESS_NUMBER.sub("", text))
    text = text.translate(_CHARACTERS)
    if text.isascii():
        return text
    # Many combining marks on one letter cover the lines around it, and make normalising slow.
    pieces: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks <= _MARKS_IN_A_ROW:
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
    return (head.rstrip(" \n,;:-\u2013—") + ELLIPSIS)[:limit]


def clean_line(text: str, limit: int) -> str:
    """Returns one line of plain text of at most ``limit`` characters."""
    return cut(" ".join(_plain(text, limit).split()), limit)


def clean_text(text: str, limit: int) -> str:
    """Returns plain text of at most ``limit`` characters, with empty lines between paragraphs."""
    lines = (" ".join(line.split()) for line in _plain(text, limit).split("\n"))
    return cut(re.sub(r"\n{3,}+", "\n\n", "\n".join(lines).strip("\n")), limit)


def within(text: str, tokens: int) -> str:
    """Returns the beginning of ``text`` of at most ``tokens`` tokens, cut at a word."""
    spent = 0.0
    for at, char in enumerate(text):
        spent += 0.25 if char < "\x80" else 1
        if spent > tokens:
            return cut(text, at)
    return text
