"""Compares what two English texts affirm and deny: "did not turn down" is "granted"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from broadcast.narrators.wording import (
    ENGLISH,
    NEGATIVE,
    WITHOUT_MEANING,
    WORD,
    Text,
    compared,
    counts,
    sense,
    stem,
    stems_of,
)
from stories.text.sentences import sentences, word_set

# Words that may say the same without a negation: "his first marathon" for "had never run one".
SAYS_SO = re.compile(rf"\b(?:{ENGLISH['says_so_without_negation']})\b", re.IGNORECASE)
RAN_OUT = re.compile(r"\b(?:run|runs|ran|sold|running) out\b", re.IGNORECASE)
# Where the source has the word, one of the others may say it with a negation.
_DENIED_SO = {word: word_set(how) for word, how in ENGLISH["denied_so"].items()}
_ENDS = word_set(ENGLISH["ends_something"])
CLAUSE = re.compile(
    r"[.!?]\s(?!(?-i:[a-z]))|[;:()\u2014\u2013]|, (?!\d)"
    r"|,? (?:(?<!all )but|while|whereas|although|though|and|because|since|which|who|whom)\b",
    re.IGNORECASE,
)
_SUPERLATIVE = re.compile(r"\b(?!(?:for|inter|har)est\b)\w{3,}est\b|\b(?:best|most|least)\b")
_EVER = word_set("ever before since than")
_NOT = re.compile(r"(?:\bnot|\bnever|n['\u2019]t) (\w+)", re.IGNORECASE)  # "not guilty"
_Sides = dict[str, list[tuple[frozenset[str], frozenset[str]]]]
_OPPOSITES, WIDER_OPPOSITES = _Sides(), _Sides()
for _found, _name in ((_OPPOSITES, "opposites"), (WIDER_OPPOSITES, "wider_opposites")):
    for _one, _other in (map(word_set, pair.split(" / ")) for pair in ENGLISH[_name]):
        for _side, _opposite in ((_one, _other), (_other, _one)):
            for _word in _side:
                _found.setdefault(_word, []).append((_side, _opposite))
for _word, _pairs in _OPPOSITES.items():
    WIDER_OPPOSITES[_word] = [*_pairs, *WIDER_OPPOSITES.get(_word, [])]
_NO_PREFIX = word_set(ENGLISH["prefixed_without_opposite"])
_PREFIX = re.compile(r"(?:un|non|dis|in|im|ir|il)(?=[^\W\d_]{4,})")
_TIMES = stems_of(f"{ENGLISH['time_words']} {ENGLISH['calendar']}")


@dataclass(frozen=True, slots=True)
class _Antonyms:
    """Which pair of sides a word or a phrase belongs to, and what undoes the words after it."""

    words: dict[str, list[tuple[int, int]]]
    phrases: dict[str, list[tuple[tuple[str, ...], int, int]]]
    undo: frozenset[str]


def _antonyms() -> _Antonyms:
    """Reads ``antonyms.txt`` and adds the forms of its verbs."""
    rows = Path(__file__).with_name("antonyms.txt").read_text("utf-8").splitlines()
    irregular = {row.split()[1]: row.split()[1:] for row in rows if row.startswith("~")}
    irregular |= {row.split()[0]: row.split() for row in ENGLISH["irregular_verbs"]}

    def forms(verb: str) -> list[str]:
        if verb.startswith("="):
            return [verb[1:]]
        if verb in irregular:
            return irregular[verb]
        if verb.endswith("y") and verb[-2] not in "aeo":
            return [verb, f"{verb[:-1]}ies", f"{verb[:-1]}ied", f"{verb}ing"]
        roots = {verb.removesuffix("e"), f"{verb}{verb[-1]}" if verb[-1] in "bdgptnlrm" else verb}
        doubled = [f"{root}{ending}" for root in roots for ending in ("ed", "ing")]
        return [verb, f"{verb}s", f"{verb}es", *doubled]

    found = _Antonyms(
        {},
        {},
        word_set(
            " ".join(
                form
                for row in rows
                if row.startswith("!")
                for verb in row.split()[1:]
                for form in forms(verb)
            )
        ),
    )
    for number, row in enumerate(row for row in rows if " / " in row):
        for sign, side in zip((1, -1), row.split(" / "), strict=True):
            for entry in side.split():
                first, *rest = entry.split("_")
                for form in forms(first):
                    if rest:
                        found.phrases.setdefault(form, []).append((tuple(rest), number, sign))
                    else:
                        found.words.setdefault(form, []).append((number, sign))
    return found


_ANTONYMS = _antonyms()
_DENY, _NOTHING = word_set(ENGLISH["denials"]), word_set(ENGLISH["denials_of_objects"])
_NO_DENIAL = word_set("only just merely least doubt wonder sooner later until fewer less more")
_OUT_OF_REACH = word_set(
    "that whether if because for with in at on after over by until as than before"
    " he she they it we you who which"
)
# As other rules name it.
_DENIAL, _OPPOSED = re.compile("a negation|it leaves out a neg"), re.compile("“(.+)” where it has")
_ASIDE = re.compile(
    r", ((?:who|which|whose|where|[a-z]+(?:ed|ing)|an?|the|now|once)\b(?:[^,;.]|\.(?=\d)){3,120}),"
    r"(?= (?:has|have|had|is|are|was|were|will|would|may|might|can|could|must|should|does|did|do)\b)"
)
# Not the bounds "no later than" and "no higher than"
_NO_MORE = re.compile(
    r"(?i)(?:\bno|\bnot(?: any)?|n't(?: any)?) (faster|slower|better|worse|safer|cheaper|bigger|smaller"
    r"|larger|stronger|weaker|warmer|colder|cleaner|healthier|easier|harder)\b"
)
_DEMANDED = [[verb, "to"] for verb in ("have", "has", "had", "need", "needs")] + [["can", "be"]]
_PASSIVE = word_set("is are was were be been being")
_REACH, _INSIDE = 3, 3  # words that a denial reaches, and those inside a phrase
_MOST, _LONGEST, _STANCES = 40, 60, 100  # clauses of a sentence, words of one, and stances compared


@dataclass(frozen=True, slots=True)
class _Stance:
    """A word of one of two opposite sides, with what its clause is about."""

    word: str
    at: tuple[int, int]  # clause and place
    pair: int
    side: int  # 1 or -1
    denied: bool
    directly: bool  # it is the first word of meaning after what denies it
    negative: int  # negations that other rules read in it
    about: frozenset[str]
    named: frozenset[str]
    sentence: frozenset[str]

    @property
    def sign(self) -> int:
        return -self.side if self.denied else self.side


def _stances(text: str) -> Iterator[_Stance]:
    sentence = frozenset(sense(compared(word)) for word in WORD.findall(text) if counts(word))
    pending = ""
    # "Support, out of date since May, has been removed": the verb goes with what is before.
    asides = _ASIDE.findall(text)
    clauses = [*clauses_of(_ASIDE.sub("", text)), *asides]
    for number, clause in enumerate(clauses[:_MOST]):
        names = WORD.findall(clause)[not number :]
        named = frozenset(compared(word) for word in names if word[0].isupper() and counts(word))
        words = [compared(word) for word in WORD.findall(f"{pending} {clause}")][:_LONGEST]
        # "None of whom was injured": the clause is divided after "of".
        pending = "none" if words[-2:] in (["none", "of"], ["neither", "of"]) else ""
        denials = [*_denials(words)]
        carrying = [(at, sense(word)) for at, word in enumerate(words) if counts(word)]
        for at, word in enumerate(words):
            if words[max(0, at - 2) : at] in _DEMANDED:
                continue  # "Has to be on" does not say that it is.
            found = [(pair, side, {at}) for pair, side in _ANTONYMS.words.get(word, ())]
            for rest, pair, side in _ANTONYMS.phrases.get(word, ()):
                places, place = {at}, at
                for one in rest:
                    inside = words[place + 1 : at + 1 + len(rest) + _INSIDE]
                    place = place + 1 + inside.index(one) if one in inside else len(words)
                    places.add(place)
                if place < len(words):
                    found.append((pair, side, places))
            for pair, side, places in found:
                reached = [one for one in denials if at in one.reach and one.at not in places]
                negative = [words[place] for place in {*places, *(one.at for one in reached)}]
                yield _Stance(
                    word,
                    (number, at),
                    pair,
                    side,
                    len(reached) % 2 == 1,
                    any(at in one.heads for one in reached),
                    len(NEGATIVE.findall(" ".join(negative))),
                    frozenset(one for place, one in carrying if place not in places),
                    named,
                    sentence,
                )


@dataclass(frozen=True, slots=True)
class _Denial:
    """A word that denies, with the places of its clause that it reaches, and those it surely denies."""

    at: int
    reach: list[int]
    heads: list[int]


def _denials(words: list[str]) -> Iterator[_Denial]:
    for at, word in enumerate(words):
        undoes = word in _ANTONYMS.undo
        following = words[at + 1] if at + 1 < len(words) else ""
        denies = word in _DENY or word.endswith("n't")
        if not undoes and not (denies and following not in _NO_DENIAL):
            continue
        if undoes and following != "from" and {*words[max(0, at - 2) : at]} & _PASSIVE:
            head = [place for place in range(at) if words[place] in _ANTONYMS.words]
            yield _Denial(at, [*range(at)], head[:1])
            continue
        reach: list[int] = []
        for place in range(at + 1, len(words)):
            if len(reach) == _REACH or words[place] in _OUT_OF_REACH:
                break
            if counts(words[place]) or words[place] in _ANTONYMS.words:
                reach.append(place)
        verb = denies or following == "to" or (reach and words[reach[0]].endswith("ing"))
        # "Without the suspended keeper" does not say that he may play.
        # In "do not help healthy adults" it denies another word.
        first = next((one for one in words[at + 1 :] if one not in WITHOUT_MEANING), "")
        heads = reach[:1] if reach and words[reach[0]] == first else []
        heads = heads if verb and word != "without" else []
        if reach and word in _NOTHING:  # "needs no account", "paid them no attention"
            verbs = [place for place in (at - 1, at - 2) if place >= 0]
            verbs = [place for place in verbs if words[place] in _ANTONYMS.words][:1]
            reach, heads = [*reach, *verbs], [*heads, *verbs]
        yield _Denial(at, reach, heads)


def with_stances(problems: list[str], spoken: Text, source: Text) -> list[str]:
    """Adds what a sentence turns into its opposite, and drops what it only says in other words.

    "Stay open" is "not close". Of the stances of the sources on one thing, the one about the same
    words counts. A rule that reads less than two clauses takes "lifted" for the opposite of "imposed".
    """
    every = (one for part in sentences(source.text) for one in _stances(part))
    known = [*islice(every, _STANCES)]
    turned: dict[tuple[int, int], str] = {}
    agreeing: dict[tuple[int, int], str] = {}
    retold = False
    for own in islice(_stances(spoken.text), _STANCES) if known else ():
        ranked = [
            (_nearness(own, other), own.sign == other.sign, other)
            for other in known
            if own.pair == other.pair
        ]
        near, same, other = max(ranked, key=lambda row: row[:2], default=(0, False, own))
        if not near:
            continue
        if same:
            agreeing[own.at] = own.word
            retold |= own.side != other.side or own.denied != other.denied
            retold |= own.negative != other.negative
        elif (own.denied, other.denied) == (False, False) or own.directly or other.directly:
            turned.setdefault(own.at, f"“{own.word}” where it has “{other.word}”")
    denied, there = ({*map(str.lower, _NO_MORE.findall(one.text))} for one in (spoken, source))
    compared_so = (denied - there) & source.lower | (there - denied) & spoken.lower
    problems = [*problems, *(f"“{word}”" for word in sorted(compared_so))]
    left = [
        one
        for one in problems
        if not (retold and _DENIAL.match(one))
        and not ((match := _OPPOSED.match(one)) and (retold or match[1] in agreeing.values()))
    ]
    return [*left, *(phrase for at, phrase in turned.items() if at not in agreeing)]


def in_other_words(spoken: Text, source: Text) -> str:
    """Returns the words of a sentence of which the sources have others of the same pair of sides."""
    pairs = {pair for word in source.lower for pair, _ in _ANTONYMS.words.get(word, ())}
    return " ".join(
        word
        for word in sorted(spoken.lower)
        if any(pair in pairs for pair, _ in _ANTONYMS.words.get(word, ()))
    )


def _nearness(one: _Stance, other: _Stance) -> int:
    """Returns by how much two stances are about the same, 0 for not at all."""
    near, wide = len(one.about & other.about), len(one.sentence & other.sentence)
    if one.named and other.named and not one.named & other.named:
        near = max(0, near - 1)
    alone = not (one.about and other.about)
    alike = alone and 2 * wide >= min(len(one.sentence), len(other.sentence)) > 0
    return 3 * near + wide if near or alike else 0


def opposites(spoken: Text, source: Text, pairs: _Sides = _OPPOSITES) -> Iterator[str]:
    """What rises must not fall, in two texts about one thing."""
    if NEGATIVE.search(spoken.text) and not NEGATIVE.search(source.text):
        return
    affirmed = source.lower - {compared(match[1]) for match in _NOT.finditer(source.text)}
    own = spoken.lower - {compared(match[1]) for match in _NOT.finditer(spoken.text)}
    for word in sorted(own & pairs.keys()):
        for side, opposite in pairs[word]:
            there = affirmed & opposite
            if there and not (source.lower & side or spoken.lower & opposite):
                yield f"“{word}” where it has “{min(there)}”"


def negations(spoken: Text, source: Text) -> Iterator[str]:
    """A clause with a negation needs one like it, and the sentence must leave none out."""
    clauses = [(stems_of(part), negation_of(part)) for part in clauses_of(source.text)]
    own_clauses = [(part, stems_of(part), negation_of(part)) for part in clauses_of(spoken.text)]
    for part, own, negation in own_clauses:
        like = [kind for stems, kind in clauses if own & stems] or [kind for _, kind in clauses]
        double = negation == "even" and "odd" not in like
        # "No one may use it" for "it is closed"
        sides = re.split(r"\.(?= [A-Z])|; |, (?:and|but) ", source.text)
        near = [side for side in sides if own & stems_of(side)] or [source.text]
        ended = negation == "odd" and (
            {each for each in Text(" ".join(near)).lower & _ENDS if stem(each) not in own}
            or RAN_OUT.search(source.text)
        )
        so = any(word in source.lower and spoken.lower & how for word, how in _DENIED_SO.items())
        free = source.lower & {"free", "alone", "acquitted", "cleared"}
        # Both deny something, in words of which the source affirms none.
        first = NEGATIVE.search(part)
        denied_here = stems_of(part[first.end() :]) if first else frozenset()
        affirmed = frozenset[str]().union(*(stems for stems, kind in clauses if kind != "odd"))
        elsewhere = negation == "odd" and "odd" in [kind for _, kind in clauses]
        elsewhere = elsewhere and bool(denied_here) and not denied_here & affirmed
        # "No reform was ever cheaper" for "the cheapest reform"
        most = spoken.lower & _EVER and _SUPERLATIVE.search(source.text)
        # "No one had recognised it" for "it hung unrecognised"
        inside = own & {stem(word[2:]) for word in source.lower if word.startswith("un")}
        implied = ended or so or free or elsewhere or most or inside
        if negation and negation not in like and not (double or implied):
            yield "a negation"
    own = stems_of(spoken.text)
    denied = frozenset[str]().union(*(stems for stems, kind in clauses if kind))
    negated = sum(bool(negation and stems & denied) for _, stems, negation in own_clauses)
    negated += any(SAYS_SO.search(part) and stems & denied for part, stems, _ in own_clauses)
    negated += "until" in spoken.lower and "before" in source.lower
    negated += "last" in spoken.lower and "since" in source.lower  # "not since" for "last"
    undone = spoken.lower & _ANTONYMS.undo - source.lower
    negated += any(not NEGATIVE.fullmatch(word) for word in undone)
    # A clause denies its words after the negation.
    denials = [part for part in clauses_of(source.text) if negation_of(part) == "odd"]
    starts = [NEGATIVE.search(part) for part in denials]
    scopes = [
        stems_of(part[first.end() :]) if first else frozenset()
        for part, first in zip(denials, starts, strict=True)
    ]
    # Of one word alone it is not sure that the sentence has this clause, unless it has its subject.
    subjects = [
        stems_of(part[: first.start()]) if first else frozenset()
        for part, first in zip(denials, starts, strict=True)
    ]
    scopes = [
        scope if len(scope) > 1 or not subject or subject & own else frozenset()
        for scope, subject in zip(scopes, subjects, strict=True)
    ]
    # What is denied is no day and no time, unless there is nothing else.
    scopes = [scope - _TIMES or scope for scope in scopes]
    if sum(bool(scope) and 2 * len(scope & own) >= len(scope) for scope in scopes) > negated:
        yield "it leaves out a negation"


def negation_of(clause: str) -> str:
    """Returns "odd" for a clause that is negated, "even" for a double negation, or ""."""
    number = len(NEGATIVE.findall(clause))
    return "" if not number else "odd" if number % 2 else "even"


def clauses_of(text: str) -> list[str]:
    return [part for part in CLAUSE.split(text) if part and part.strip()]


def prefixes(spoken: Text, source: Text) -> Iterator[str]:
    """The word "unsafe" denies "safe", unless the sentence has another negation."""
    if NEGATIVE.search(spoken.text) or _NOT.search(source.text):
        return
    for one, other in ((spoken, source), (source, spoken)):
        for word in one.lower - other.lower - _NO_PREFIX:
            match = _PREFIX.match(word)
            base = word[match.end() :] if match else ""
            if base and base in other.lower - one.lower:
                yield f"“{word if one is spoken else base}”"


def denied_abroad(spoken: Text, source: Text, language: str) -> Iterator[str]:
    """In another language a clause must not deny what its passage affirms, or the reverse."""
    words = ENGLISH["negations_in_other_languages"].get(language[:2], "")
    no = re.compile(rf"(?i)\b(?:n'|(?:{words.replace(' ', '|')})\b)")

    def told(text: str) -> list[tuple[set[str], bool]]:
        parts = [(no.sub(" ", part), bool(no.search(part))) for part in clauses_of(text)]
        return [({compared(w)[:5] for w in WORD.findall(a) if len(w) > 3}, b) for a, b in parts]

    known = told(source.text)
    for own, denied in told(spoken.text) if words else ():
        near = [there for stems, there in known if max(5, len(own)) < 2 * len(own & stems) + 1]
        if near and denied not in near:
            yield "a negation"
