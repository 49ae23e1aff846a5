"""Names in a text: runs of capitalised words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stories.text.words import word_set

MAX_NAME = 40
_NAME = r"[^\W\d_a-z][\w'\u2019-]*+"

_RUN = re.compile(rf"{_NAME}(?:\s(?:of\s(?:the\s)?)?{_NAME})*+(?:\s\d[\d.]*+(?![\w-]))?")

NO_NAME = word_set("""
    i a an the this that these those he she it they we you his her its their our my in on at by for
    from with of to and but or nor so if as when while after before since until then there here what
    why how who which where about all both each every more most no not one some such two three four
    five six seven eight nine ten today tomorrow yesterday tonight monday tuesday wednesday thursday
    friday saturday sunday january february march april may june july august september october
    november december mr mrs ms dr opinion analysis correction update breaking yes will reddit edit
    tomorrow's today's half ask just new let version
""")


def names_in(text: str) -> Iterator[tuple[str, bool]]:
    """Yields each run of capitalised words, and whether it is certainly a name.

    The first word of the text may be capitalised only for its place.
    """
    for run in _RUN.finditer(text):
        words = run[0].split()
        # "New" begins sentences as well as "New York".
        while words and words[0].lower() in NO_NAME and (words[0] != "New" or len(words) == 1):
            words.pop(0)
        name = re.sub(r"['\u2019]s$", "", " ".join(words)).strip("'\u2019-")
        if 2 < len(name) <= MAX_NAME and not name[0].islower():
            inside = re.search(r"\w", text[: run.start()])
            yield name, inside is not None or len(words) > 1 or len(words) < len(run[0].split())


def in_title_case(text: str) -> bool:
    """Whether most words are capitalised, so that a capital letter does not mark a name."""
    words = [word for word in text.split() if word[0].isalpha() and len(word) > 3]
    return sum(word[0].isupper() for word in words) > 0.7 * len(words)
