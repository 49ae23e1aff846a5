"""Decodes the text of a source by its declared type; the result is plain text.

Each function takes hostile input in linear time: the raw text is cut to a limit first, and the HTML
parser gets complete tags only.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cache
from html.entities import html5
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Literal

from stories.text.sentences import word_set

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

TextType = Literal["plain", "html", "markdown", "entities"]
"""``entities`` is plain text that was escaped once too often: character references, no tags."""

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

_VOID = word_set("br wbr img hr input col source track area embed")

_UNREAD = ("script", "style")
_STRUCK = ("del", "s", "strike")

_BLOCK_TAG = re.compile(
    r"</?(?:" + "|".join(sorted(_BLOCKS | _LINES)) + r")\b[^<>]*>", re.IGNORECASE
)

_DECLARATION = re.compile(r"<[!?][^<>]*>")

_NO_TAG = re.compile(r"<(?!/?[a-zA-Z][^<>]*>)")

_ENDLESS_NUMBER = re.compile(r"&#[0-9]{8,}+;?")

_NAME = "(?:" + "|".join(sorted(_ELEMENTS)) + ")"
_TAG = re.compile(rf"<(/?)({_NAME})\b[^<>]*>", re.IGNORECASE)
# Where a type is not declared, a tag is markup if it is glued to a word, has attributes or "/>".
_MARKUP = re.compile(
    rf"<!|(?<=\S)</{_NAME}>|<{_NAME}\b[^<>=/]{{0,99}}[=/][^<>]{{0,2000}}>|<{_NAME}>(?=[^\s.,;:?!)\]'\"\u2019\u201d…])"
    r"|(?<=[\w.,;:?!])<(?:br|hr|p)>",
    re.IGNORECASE,
)

_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|([a-zA-Z][a-zA-Z0-9]{1,31}));")

_HIDDEN_STYLE = re.compile(r"display:none|visibility:hidden|font-size:0(?:px|pt|em|;|$)")


class _Reader(HTMLParser):
    """Collects the text of a document, without what its pages hide, veil as a spoiler or strike.

    With ``blocks``, only elements make line breaks; otherwise those in the text stay.
    """

    def __init__(self, blocks: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._blocks = blocks
        self._unseen = ""  # the element that is not read
        self._depth = 0
        self._from = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == self._unseen:
            self._depth += 1
        elif not self._unseen and (tag in (*_UNREAD, *_STRUCK) or _is_hidden(tag, attrs)):
            self._unseen, self._depth, self._from = tag, 1, len(self.pieces)
        self._tag(tag, self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag(tag, self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        self._tag(tag, "")
        if tag == self._unseen:
            self._depth -= 1
            if not self._depth:
                del self.pieces[self._from :]
                self._unseen = ""
                self._tag(tag, "")

    def handle_data(self, data: str) -> None:
        self.pieces.append(re.sub(r"\s", " ", data) if self._blocks else data)

    def _tag(self, tag: str, raw: str) -> None:
        if tag in _BLOCKS:
            self.pieces.append("\n\n")
        elif tag in _LINES:
            self.pieces.append("\n")
        elif tag not in _ELEMENTS and re.fullmatch(r"<\w+>", raw):
            self.pieces.append(raw)  # "Vec<T>" is text, not markup


def _is_hidden(tag: str, attrs: list[tuple[str, str | None]]) -> bool:
    given = {name: (value or "").lower() for name, value in attrs}
    style = given.get("style", "").replace(" ", "")
    return tag not in _VOID and (
        "hidden" in given
        or "md-spoiler-text" in given.get("class", "").split()
        or bool(_HIDDEN_STYLE.search(style))
    )


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


def decoded(text: str, declared: TextType, limit: int) -> str:
    """Returns the plain text of a field with its line breaks; reads only what ``limit`` can need."""
    text = text[: limit * 8 + 4096].replace("\0", "")
    if declared == "html" and "<" in text:
        return _from_html(text.replace("\r\n", "\n"))
    if declared == "markdown":
        return from_markdown(text)
    if declared != "plain":
        # int() raises ValueError above 4,300 digits, which html.unescape() does not catch.
        return html.unescape(_ENDLESS_NUMBER.sub("", text))
    return text


def _from_html(text: str) -> str:
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
    return "".join(reader.pieces)


def type_of_title(text: str) -> TextType:
    """Returns the type of an RSS title, which the format leaves open: "a <div> in a page" is plain."""
    first = _TAG.match(text.lstrip())
    wrapped = first and f"</{first[2].lower()}>" in text.lower()
    return "html" if wrapped or _MARKUP.search(text) else _type_without_tags(text)


def type_of_description(text: str) -> TextType:
    """Returns the type of an RSS description, which may be HTML or plain text."""
    tags = {(slash, name.lower()) for slash, name in _TAG.findall(text)}
    closed = any(slash and ("", name) in tags for slash, name in tags)
    return "html" if closed or _MARKUP.search(text) else _type_without_tags(text)


def _type_without_tags(text: str) -> TextType:
    references = _REFERENCE.finditer(text)
    known = any(match[1] is None or f"{match[1]};" in html5 for match in references)
    return "entities" if known else "plain"


MOST = 24_000  # characters; a body has at most 20,000
_LONGEST_NUMBER = 2  # digits of an item's number; "2026." begins a sentence

# A spoiler in a line, a paragraph that is one, and small print: ^(text) and ^word.
_SPOILER = re.compile(r">!(?:(?!!<|\n\n|>!)[\s\S]){0,10000}!<")
_SPOILER_LINE = re.compile(r"^ {0,3}>!.*$", re.MULTILINE)
# The parser takes quadratic time for brackets that are never closed.
_NONSENSE = re.compile(r"(?:!?\[){16,}+")
_HEADING = re.compile(r"^(#{2,6})(?=[^#\s])", re.MULTILINE)  # Reddit needs no space after it
_RAISED = re.compile(r"\^\(([^()]{0,1000})\)|(?<!\S)\^+(?=\w)")


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # Reddit shows HTML in a post as it was typed.
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20})
    return parser.enable(["table", "strikethrough"])


def from_markdown(text: str, *, line_breaks: bool = False) -> str:
    """Returns the text of a post: paragraphs, list items and headings, each on its own line.

    Spoilers, struck text, tables, blocks of code and pictures are left out. With ``line_breaks``,
    a line of a paragraph stays a line.
    """
    text = _NONSENSE.sub("", text[:MOST].replace("\r\n", "\n"))
    text = _SPOILER_LINE.sub("", _SPOILER.sub("", text))
    text = _HEADING.sub(r"\1 ", _RAISED.sub(lambda match: match[1] or "", text))
    pieces: list[str] = []
    in_table = False
    tokens = _parser().parse(text)
    alone = _items_alone(tokens)
    for at, token in enumerate(tokens):
        if token.type in ("table_open", "table_close"):
            in_table = token.type == "table_open"
        elif token.type == "inline" and not in_table:
            pieces.append(_line(token.children or [], "\n" if line_breaks else " "))
        elif token.type == "code_block":
            pieces.append(token.content + "\n")
        elif at in alone or (token.type == "list_item_open" and len(token.info) > _LONGEST_NUMBER):
            pieces.append(f"{token.info}{token.markup} ")
        elif token.type == "paragraph_close" and token.hidden:
            pieces.append("\n")  # an item of a list whose items follow each other closely
        elif token.block and token.nesting <= 0 and token.type != "list_item_close":
            pieces.append("\n\n")
    return "".join(pieces)


def _items_alone(tokens: Sequence[Token]) -> set[int]:
    """Returns which items are the only one of a numbered list: "1. FC Elowen won" is a sentence."""
    found: set[int] = set()
    items: list[list[int]] = []
    for at, token in enumerate(tokens):
        if token.type in ("ordered_list_open", "bullet_list_open"):
            items.append([])
        elif token.type == "list_item_open" and items:
            items[-1].append(at)
        elif token.type in ("ordered_list_close", "bullet_list_close"):
            inner = items.pop()
            if token.type == "ordered_list_close" and len(inner) == 1:
                found.add(inner[0])
    return found


def _line(tokens: Sequence[Token], line_break: str) -> str:
    pieces: list[str] = []
    struck = 0
    for token in tokens:
        if token.type in ("s_open", "s_close"):
            struck += token.nesting
        elif struck or token.type == "image":
            continue
        elif token.type == "softbreak":
            pieces.append(line_break)
        elif token.type == "hardbreak":
            pieces.append("\n")
        else:
            pieces.append(token.content)
    return "".join(pieces)
