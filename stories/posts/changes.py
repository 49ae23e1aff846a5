"""What changed between two reports: figures that count the same thing, in words that can be spoken."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from stories.posts.features import stem
from stories.posts.vocabulary import EMPTY
from stories.text.sentences import sentences, word_set

MOST = 3
_CARDINALS = """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty
"""
_SPELT = {word: float(value) for value, word in enumerate(_CARDINALS.split(), 1)}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_FIGURE = re.compile(
    rf"(?<![\w.,-])(?P<number>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d{{1,15}}(?:\.\d{{1,9}})?"
    rf"|\b(?:{'|'.join(_SPELT)}))(?:\s+(?P<scale>{'|'.join(_SCALES)}))?"
    r"(?:\s*(?P<percent>%)|\s+(?P<noun>[^\W\d_]{3,}))(?!-)",
    re.IGNORECASE,
)
# Most reports name some span of time or a date; two of them seldom count the same.
_NOT_COUNTED = EMPTY | word_set("""
    second seconds minute minutes hour hours day days week weeks month months year years
    january february march april may june july august september october november december
""")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and the word for what it counts, as the report has them."""

    value: float
    number: str
    noun: str
    in_title: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of the new report, and the figure that the earlier one had in its place."""

    now: Figure
    before: Figure

    @property
    def words(self) -> str:
        """The change in words, such as "11,500 homes, up from 4,000"."""
        direction = "up" if self.now.value > self.before.value else "down"
        return f"{_joined(self.now)}, {direction} from {self.before.number}"

    @property
    def now_words(self) -> str:
        """The new figure in words, such as "11,500 homes"."""
        return _joined(self.now)


def _joined(figure: Figure) -> str:
    return f"{figure.number}{'' if figure.noun == '%' else ' '}{figure.noun}"


def compare(title: str, body: str, earlier_title: str, earlier_body: str) -> list[Change]:
    """Returns the figures of a report that replace those of an earlier report of the same subject.

    One of the two figures must be in a headline, and each report must have one figure only for what
    is counted: of several, nothing tells which belong together.
    """
    new, old = _figures(title, body), _figures(earlier_title, earlier_body)
    changes = []
    for noun, figures in new.items():
        before = _main(old.get(noun, []))
        known = {figure.value for figure in old.get(noun, [])}
        now = _main([figure for figure in figures if figure.value not in known])
        if now is None or before is None or not (now.in_title or before.in_title):
            continue
        changes.append(Change(now, before))
    return sorted(changes, key=lambda change: not change.now.in_title)[:MOST]


def _main(figures: list[Figure]) -> Figure | None:
    """Returns the one figure of a headline, or else the only one of the text."""
    chosen = [figure for figure in figures if figure.in_title] or figures
    return chosen[0] if len({figure.value for figure in chosen}) == 1 else None


def _figures(title: str, body: str) -> dict[str, list[Figure]]:
    found: dict[str, list[Figure]] = defaultdict(list)
    for at, sentence in enumerate([title, *sentences(body[:4000])]):
        for match in _FIGURE.finditer(sentence):
            noun = match["percent"] or match["noun"]
            if noun.lower() in _NOT_COUNTED:
                continue
            number, scale = match["number"].lower(), match["scale"] or ""
            value = _SPELT.get(number) or float(number.replace(",", ""))
            written = f"{number} {scale}".strip()
            figure = Figure(
                value * _SCALES.get(scale.lower(), 1.0), written, noun, at == 0, sentence
            )
            key = "%" if noun.lower() in ("%", "percent", "per") else stem(noun.lower())
            found[key].append(figure)
    return found
