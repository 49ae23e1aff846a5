"""Words of a text as the check of sentences compares them, and its English word lists."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import Any

from broadcast.narrators.quantities import Found, read
from stories.text.words import word_set

ENGLISH: dict[str, Any] = json.loads(Path(__file__).with_name("english.json").read_text("utf-8"))
PRONOUNS = word_set(ENGLISH["pronouns"])
SPEECH = word_set(ENGLISH["speech"])
WITHOUT_MEANING = word_set(ENGLISH["without_meaning"])
# Each role by the first of its names.
ROLES = {word: names.split()[0] for names in ENGLISH["roles"] for word in names.split()}
_GERMAN = re.compile(r"\b(?:der|die|das|den|dem|und|ist|nicht|ein|eine|einen|mit|auf|von|im|zu)\b")
_FUNCTION_WORDS = word_set(ENGLISH["function_words"])
WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
NEGATIVE = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|hardly|unhurt|uninjured"
    r"|unpaid|unharmed|undecided|unknown|unclear|unaware|exempt|except|missing|lacks?"
    r"|lacking|den(?:y|ies|ied|ying)|reject(?:s|ed|ing)?|refus(?:e|es|ed|ing)"
    r"|declin(?:ed|es) to|fail(?:s|ed|ing)? to|rul(?:e|es|ed|ing) out|exclud(?:e|es|ed|ing)|dismissed"
    r"|disput(?:e|es|ed|ing)|avoid(?:s|ed)?|prevent(?:s|ed)?)\b|n['\u2019]t\b",
    re.IGNORECASE,
)


def compared(word: str) -> str:
    """Returns a word as compared: lower case, without accents and the possessive."""
    bare = re.sub(r"['\u2019](?:s|S)$|['\u2019]$", "", word)
    decomposed = unicodedata.normalize("NFKD", bare)
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


_ENDING = re.compile(
    r"(?:ations?|ances?|ences?|ments?|ings?|ions?|edly|ied|ies|ed|es|ly|e|y|s|er|ers|or|ors)$"
)


def stem(word: str) -> str:
    """Returns the beginning that the forms of a word share: "resist" for "resistance"."""
    plain = compared(word)
    return (_ENDING.sub("", plain) if len(plain) > 4 else plain)[:7]


def stems_of(text: str) -> frozenset[str]:
    plain = NEGATIVE.sub(" ", text)
    words = (compared(word) for word in WORD.findall(plain))
    return frozenset(stem(word) for word in words if word not in WITHOUT_MEANING and len(word) > 2)


def squeezed(text: str) -> str:
    return " ".join(compared(word.replace("\u2019", "'")) for word in WORD.findall(text))


class Text:
    """A text with all that the rules compare, each read once."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def found(self) -> Found:
        return read(self.text)

    @cached_property
    def words(self) -> list[str]:
        return WORD.findall(self.text)

    @cached_property
    def lower(self) -> frozenset[str]:
        return frozenset(compared(word) for word in self.words)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(compared(word) for word in self.words if word[:1].isupper())

    @cached_property
    def is_english(self) -> bool:
        common = sum(word.lower() in _FUNCTION_WORDS for word in self.words)
        return common >= max(1, len(self.words) // 14)

    @cached_property
    def capitalises_nouns(self) -> bool:
        """Whether a capital letter does not mark a name, as in German."""
        return len(_GERMAN.findall(self.text.lower())) >= max(1, len(self.words) // 14)

    @cached_property
    def has_pronoun(self) -> bool:
        return any(word.lower() in PRONOUNS for word in self.words)

    @cached_property
    def is_latin(self) -> bool:
        letters = [char for char in self.text if char.isalpha()]
        latin = sum("LATIN" in unicodedata.name(char, "") for char in letters[:200])
        return 2 * latin >= len(letters[:200])

    @cached_property
    def squeezed(self) -> str:
        return squeezed(self.text)
