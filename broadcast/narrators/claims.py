"""Checks who a statement is attributed to, and what it denies; English only."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from broadcast.narrators.quantities import Found, read
from stories.text.sentences import word_set

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


# People of whom a report speaks without naming them.
_GENERIC = word_set(ENGLISH["generic_speakers"])
# Words that may say the same without a negation: "his first marathon" for "had never run one".
_WILD = re.compile(r"\b(?:first|only|until|free|alone|acquitted|cleared)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[;:()\u2014\u2013]|,? (?:but|while|whereas|although|though|and|because|since|which|who|whom)\b"
    r"|, (?!\d)",
    re.IGNORECASE,
)


def attributions(spoken: Text, source: Text, around: Text, title: str) -> Iterator[str]:
    """A role must be in the sources, and so must the speaker."""
    # Roles are from before the passages only where these have none: "she" may be "the governor".
    has_role = any(word.rstrip("s") in ROLES for word in source.lower)
    allowed = source.lower | (Text(title).lower if has_role else around.lower)
    roles = {ROLES[word.rstrip("s")] for word in allowed if word.rstrip("s") in ROLES}
    leaders = {"head", "leader", "chief", "boss", "director", "ceo", "chair", "managing"}
    for word in spoken.lower:
        role = ROLES.get(word) or ROLES.get(word.rstrip("s"))
        if role and role not in roles and word not in allowed:
            if role in ("director", "chairman") and leaders & allowed:
                continue
            yield f"the role “{word}”"
    stems = {stem(word) for word in allowed}
    words = [(match[0], match.start()) for match in WORD.finditer(spoken.text)]
    for number, (word, _) in enumerate(words[:-1]):
        # "Finance minister", "prime minister"
        if ROLES.get(words[number + 1][0].lower()) == "minister":
            plain = compared(word)
            if plain not in WITHOUT_MEANING and plain not in allowed and stem(plain) not in stems:
                yield f"the role “{word} {words[number + 1][0]}”"
    for speaker in _speakers(spoken):
        known = [word for word in speaker if stem(word) in stems or word in _GENERIC]
        if not known:
            yield f"the speaker “{' '.join(speaker)}”"


def _speakers(spoken: Text) -> Iterator[list[str]]:
    """Yields whom a sentence quotes, as the words that carry meaning, in lower case."""
    for match in re.finditer(r"\baccording to ([^,.;:]+)", spoken.text, re.IGNORECASE):
        yield from _content([word.lower() for word in WORD.findall(match[1])][:8])
    for clause in re.split(r"[,;:\u2014]|[\"\u201c\u201d]", spoken.text):
        words = [word.lower() for word in WORD.findall(clause)]
        at = next((n for n, word in enumerate(words) if word in SPEECH), None)
        if at is None or at == 0:
            continue
        subject = words[max(at - 5, 0) : at]
        for number in range(len(subject) - 1, -1, -1):
            if subject[number] in ("that", "and", "but", "who", "which", "while", "as"):
                subject = subject[number + 1 :]
                break
        yield from _content(subject)


def _content(words: list[str]) -> Iterator[list[str]]:
    carrying = [
        compared(word) for word in words if compared(word) not in WITHOUT_MEANING - PRONOUNS
    ]
    if carrying and not any(word in PRONOUNS for word in carrying):
        yield carrying


def negations(spoken: Text, source: Text) -> Iterator[str]:
    """A clause with a negation needs one like it, and the sentence must leave none out."""
    clauses = [(stems_of(part), _negation(part)) for part in _clauses(source.text)]
    own_clauses = [(stems_of(part), _negation(part)) for part in _clauses(spoken.text)]
    for own, negation in own_clauses:
        like = [kind for stems, kind in clauses if own & stems] or [kind for _, kind in clauses]
        double = negation == "even" and "odd" not in like
        if negation and negation not in like and not (double or _WILD.search(source.text)):
            yield "a negation"
    own = stems_of(spoken.text)
    denied = frozenset[str]().union(*(stems for stems, kind in clauses if kind))
    negated = sum(bool(negation and stems & denied) for stems, negation in own_clauses)
    negated += bool(_WILD.search(spoken.text))
    # A clause denies its words after the negation.
    denials = [part for part in _clauses(source.text) if _negation(part) == "odd"]
    starts = [NEGATIVE.search(part) for part in denials]
    scopes = [
        stems_of(part[first.end() :]) if first else frozenset()
        for part, first in zip(denials, starts, strict=True)
    ]
    if sum(bool(scope) and 2 * len(scope & own) >= len(scope) for scope in scopes) > negated:
        yield "it leaves out a negation"


def _negation(clause: str) -> str:
    """Returns "odd" for a clause that is negated, "even" for a double negation, or ""."""
    number = len(NEGATIVE.findall(clause))
    return "" if not number else "odd" if number % 2 else "even"


def _clauses(text: str) -> list[str]:
    return [part for part in _CLAUSE.split(text) if part and part.strip()]
