"""Names the lines of templates that are too long or break a value; `make check` runs it.

A tag has a line of its own and, with many attributes, one for each; see the templates themselves.
Some lines cannot be broken, for there a line break would be a space in the page.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
WIDTH = 120
MOST = 200
# Of a hundred lines, how many may be longer than WIDTH.
SHARE = 3
OPEN_VALUE = re.compile(r'\b(?:hx-[\w-]+|datetime|aria-\w+|data-[\w-]+)="[^"]*$')


def too_long(lines: Iterable[tuple[str, str]]) -> list[str]:
    """The places, each with its line, that are over MOST, or over WIDTH if those are too many."""
    numbered = list(lines)
    wide = [(place, line) for place, line in numbered if len(line) > WIDTH]
    if 100 * len(wide) <= SHARE * len(numbered):
        wide = [(place, line) for place, line in wide if len(line) > MOST]
    return [f"{place}: {len(line)} columns" for place, line in wide]


def broken_attributes(lines: Iterable[tuple[str, str]]) -> list[str]:
    """The places where a value that programs read goes on in the next line.

    htmx reads a trigger differently then, and a name that is read aloud has a line break in it.
    """
    return [f"{place}: value broken over lines" for place, line in lines if OPEN_VALUE.search(line)]


def template_lines(folder: Path) -> Iterable[tuple[str, str]]:
    """Each line of each template below ``folder``, with its file and number."""
    for path in sorted(folder.rglob("*.html")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield f"{path.relative_to(folder.parent)}:{number}", line


if __name__ == "__main__":
    everything = list(template_lines(TEMPLATES))
    found = [*too_long(everything), *broken_attributes(everything)]
    sys.exit("\n".join(found) if found else None)
