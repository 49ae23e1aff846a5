"""Escapes text for Markdown (CommonMark with GitHub's tables, strikethrough and mathematics).

A reader shows the text as it is, and the source has no backslash that is not needed: a mark is
escaped only where it would have an effect.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_PUNCTUATION = r"!-/:-@\[-`{-~"
# Marks with an effect wherever they are: escapes, code, tags, entities, and the ends of links.
_ANYWHERE = re.compile(
    rf"\\(?=[{_PUNCTUATION}]|\n|\Z)"
    r"|`"
    r"|<(?=[A-Za-z/!?])"
    r"|&(?=#?\w{1,40};)"
    r"|\[(?=\^)"
    r"|\](?=[(\[:])"
)
_FORMULA = re.compile(r"\$(?=\S)[^$\n]*?(?<=\S)\$(?!\d)")
_RUN = re.compile(r"\*+|_+|~+")
# Openings of lines: lists, headings, quotes, fences, rules, underlines of headings, and tables.
_LINE = re.compile(
    r"^(?:\d{1,9}(?=[.)](?:\s|$))"
    r"|(?=#{1,6}(?:\s|$)|>|[-+*](?:\s|$)|~~~"
    r"|(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,}|=+|-+)$"
    r"|(?=[^\n]*-)[|:\- \t]+$))",
    re.MULTILINE,
)
_HEADING_END = re.compile(r"(?<![^\s])#+$")


def escape(text: str) -> str:
    """Escapes a text: no heading, list, link, image, code, table or HTML comes of it."""
    # Spaces at the ends of a line would make code blocks and line breaks.
    lines = [line.strip() for line in re.split(r"\r\n?|\n", text)]
    blocks = re.split(r"(\n{2,})", "\n".join(lines))
    return "".join(_escaped(block, _marks(block)) for block in blocks)


def heading(text: str) -> str:
    """Escapes the text of a heading, which is one line."""
    line = " ".join(text.split())
    return _escaped(line, _marks(line) | {end.start() for end in _HEADING_END.finditer(line)})


def link(text: str, url: str) -> str:
    """Returns a link, or only the text if the address is not a web address."""
    parts = urlsplit(url) if url.isprintable() else urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return escape(text)
    address = url.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20").replace("\\", "%5C")
    label = " ".join(text.split())
    brackets = {place for place, character in enumerate(label) if character in "[]"}
    return f"[{_escaped(label, _marks(label) | brackets)}](<{address}>)"


def _escaped(text: str, places: set[int]) -> str:
    return "".join(f"\\{mark}" if place in places else mark for place, mark in enumerate(text))


def _marks(text: str) -> set[int]:
    """Returns the places of the marks in a paragraph that would have an effect."""
    places = {mark.start() for mark in _ANYWHERE.finditer(text)}
    places |= {opening.end() for opening in _LINE.finditer(text)}
    for formula in _FORMULA.finditer(text):
        places |= {formula.start(), formula.end() - 1}
    for kind in "*_~":
        runs = [run for run in _RUN.finditer(text) if run[0][0] == kind and _flanks(text, run)]
        # A single run has no other one to pair with.
        if len(runs) > 1:
            places.update(place for run in runs for place in range(*run.span()))
    return places


def _flanks(text: str, run: re.Match[str]) -> bool:
    """Returns whether the run could begin or end emphasis."""
    before = text[run.start() - 1] if run.start() else " "
    after = text[run.end()] if run.end() < len(text) else " "
    if before.isspace() and after.isspace():
        return False
    # Within a word an underscore never begins or ends emphasis.
    return not (run[0][0] == "_" and before.isalnum() and after.isalnum())
