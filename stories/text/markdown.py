"""Plain text from Reddit's Markdown, without what a listener should not hear."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

# Reddit shows HTML in a post as it was typed.
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20})
_PARSER.enable(["table", "strikethrough"])

MOST = 24_000  # characters; a body has at most 20,000
_LONGEST_NUMBER = 2  # digits of an item's number; "2026." begins a sentence

# A spoiler in a line, a paragraph that is one, and small print: ^(text) and ^word.
_SPOILER = re.compile(r">!(?:(?!!<|\n\n|>!)[\s\S]){0,10000}!<")
_SPOILER_LINE = re.compile(r"^ {0,3}>!.*$", re.MULTILINE)
# The parser takes quadratic time for brackets that are never closed.
_NONSENSE = re.compile(r"(?:!?\[){16,}+")
_HEADING = re.compile(r"^(#{2,6})(?=[^#\s])", re.MULTILINE)  # Reddit needs no space after it
_RAISED = re.compile(r"\^\(([^()]{0,1000})\)|(?<!\S)\^+(?=\w)")


def from_markdown(text: str) -> str:
    """Returns the text of a post: paragraphs, list items and headings, each on its own line.

    Spoilers, struck text, tables, blocks of code and pictures are left out.
    """
    text = _NONSENSE.sub("", text[:MOST].replace("\r\n", "\n"))
    text = _SPOILER_LINE.sub("", _SPOILER.sub("", text))
    text = _HEADING.sub(r"\1 ", _RAISED.sub(lambda match: match[1] or "", text))
    pieces: list[str] = []
    in_table = False
    for token in _PARSER.parse(text):
        if token.type in ("table_open", "table_close"):
            in_table = token.type == "table_open"
        elif token.type == "inline" and not in_table:
            pieces.append(_line(token.children or []))
        elif token.type == "code_block":
            pieces.append(token.content + "\n")
        elif token.type == "list_item_open" and len(token.info) > _LONGEST_NUMBER:
            pieces.append(f"{token.info}{token.markup} ")
        elif token.type == "paragraph_close" and token.hidden:
            pieces.append("\n")  # an item of a list whose items follow each other closely
        elif token.block and token.nesting <= 0 and token.type != "list_item_close":
            pieces.append("\n\n")
    return "".join(pieces)


def _line(tokens: Sequence[Token]) -> str:
    pieces: list[str] = []
    struck = 0
    for token in tokens:
        if token.type in ("s_open", "s_close"):
            struck += token.nesting
        elif struck or token.type == "image":
            continue
        elif token.type == "softbreak":
            pieces.append(" ")
        elif token.type == "hardbreak":
            pieces.append("\n")
        else:
            pieces.append(token.content)
    return "".join(pieces)
