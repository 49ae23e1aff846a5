"""Compares what two English texts affirm and deny: "did not turn down" is "granted"."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from broadcast.narrators.wording import (
    ENGLISH,
    FOREIGN,
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
from stories.text.sentences import english_forms, sentences, word_set

_PATTERN: dict[str, str] = ENGLISH["patterns"]
# Words that may say the same without a negation: "his first marathon" for "had never run one".
SAYS_SO = re.compile(rf"\b(?:{ENGLISH['says_so_without_negation']})\b", re.IGNORECASE)
RAN_OUT = re.compile(r"\b(?:run|runs|ran|sold|running) out\b", re.IGNORECASE)
# Where the source has the word, one of the others may say it with a negation.
_DENIED_SO = {word: word_set(how) for word, how in ENGLISH["denied_so"].items()}
_ENDS = word_set(ENGLISH["ends_something"])
CLAUSE = re.compile(_PATTERN["clause"], re.IGNORECASE)
_SUPERLATIVE = re.compile(r"\b(?!(?:for|inter|har)est\b)\w{3,}est\b|\b(?:best|most|least)\b")
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
        return irregular.get(verb) or english_forms(verb)

    undoing = [verb for row in rows if row.startswith("!") for verb in row.split()[1:]]
    undo = word_set(" ".join(form for verb in undoing for form in forms(verb)))
    found = _Antonyms({}, {}, undo)
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
_WITHOUT = word_set("ohne sans sin sem senza")
_SO_FAR = re.compile(r"(?i)\b(?:mehr|noch|encore|ancora|ainda|todavía)\b")  # "nicht mehr"
_DENY, _NOTHING = word_set(ENGLISH["denials"]), word_set(ENGLISH["denials_of_objects"])
_NO_DENIAL = word_set("only just merely least doubt wonder sooner later until fewer less more")
_OUT_OF_REACH = word_set(ENGLISH["not_reached_by_denials"])
_OPPOSED = re.compile("“(.+)” where it has")  # as other rules name it
_ASIDE = re.compile(_PATTERN["aside"])
# Not the bounds "no later than" and "no higher than"
_NO_MORE = re.compile(_PATTERN["no_more"])
# "Not charge above 70" is "charge to 70 at most", and the end of a year ends nothing.
_READ_AS = [(re.compile(one), words) for one, words in ENGLISH["stances_read_as"].items()]
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
    for pattern, words_for in _READ_AS:
        text = pattern.sub(words_for, text)
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
        if word in _NOTHING:  # "needs no account", "paid them no attention"
            verbs = [place for place in (at - 1, at - 2) if place >= 0]
            verbs = [place for place in verbs if words[place] in _ANTONYMS.words][:1]
            reach, heads = [*reach, *verbs], [*heads, *verbs]
        yield _Denial(at, reach, heads)


def with_stances(problems: list[str], spoken: Text, source: Text) -> list[str]:
    """Adds what a sentence turns into its opposite, and drops what it only says in other words.

    "Stay open" is "not close". Of the stances of the sources on one thing, the one about the same
    words counts. A rule that reads less than two clauses takes "lifted" for the opposite of "imposed".
    """
    parts = sentences(source.text)
    known = [*islice(((part, one) for part in parts for one in _stances(part)), _STANCES)]
    turned, agreeing = dict[tuple[int, int], str](), dict[tuple[int, int], str]()
    retold = set[tuple[str, int]]()  # clauses that say the same in other words
    for own in islice(_stances(spoken.text), _STANCES) if known else ():
        ranked = [
            (_nearness(own, other), own.sign == other.sign, other, part)
            for part, other in known
            if own.pair == other.pair
        ]
        near, same, other, part = max(ranked, key=lambda row: row[:2], default=(0, False, own, ""))
        if not near:
            continue
        if same:
            agreeing[own.at] = own.word
            if (own.side, own.denied, own.negative) != (other.side, other.denied, other.negative):
                retold |= {(spoken.text, own.at[0]), (part, other.at[0])}
        elif (own.denied, other.denied) == (False, False) or own.directly or other.directly:
            turned.setdefault(own.at, f"“{own.word}” where it has “{other.word}”")
    denied, there = ({*map(str.lower, _NO_MORE.findall(one.text))} for one in (spoken, source))
    compared_so = (denied - there) & source.lower | (there - denied) & spoken.lower
    problems = [*problems, *(f"“{word}”" for word in sorted(compared_so))]
    if retold:
        # What those rules say of the rest of the sentence remains.
        ours, theirs = (_without(retold, texts) for texts in ([spoken.text], parts))
        again = {*negations(ours, theirs), *opposites(ours, theirs)} if ours.words else set()
        dropped = {"a negation", "it leaves out a negation", *opposites(spoken, source)} - again
        problems = [one for one in problems if one not in dropped]
    opposed = ((one, _OPPOSED.match(one)) for one in problems)
    left = [one for one, word in opposed if not (word and word[1] in agreeing.values())]
    return [*left, *(phrase for at, phrase in turned.items() if at not in agreeing)]


def _without(clauses: Collection[tuple[str, int]], texts: Sequence[str]) -> Text:
    parts = ((text, *row) for text in texts for row in enumerate(clauses_of(_ASIDE.sub("", text))))
    return Text("; ".join(part for text, at, part in parts if (text, at) not in clauses))


def in_other_words(spoken: Text, source: Text) -> str:
    """Returns the words of a sentence of which the sources have others of the same pair of sides."""
    pairs = {pair for word in source.lower for pair, _ in _ANTONYMS.words.get(word, ())}
    own = ((word, _ANTONYMS.words.get(word, ())) for word in sorted(spoken.lower))
    return " ".join(word for word, sides in own if any(pair in pairs for pair, _ in sides))


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
            falls = side | {"declined"} if "fell" in side else side  # not "declined to comment"
            if there and not (source.lower & falls or spoken.lower & opposite):
                yield f"“{word}” where it has “{min(there)}”"


def negations(spoken: Text, source: Text) -> Iterator[str]:
    """A clause with a negation needs one like it, and the sentence must leave none out."""
    parts = [*clauses_of(source.text), *clauses_of(_ASIDE.sub("", source.text))]
    clauses = [(stems_of(part), negation_of(part)) for part in parts]
    own_clauses = [(part, stems_of(part), negation_of(part)) for part in clauses_of(spoken.text)]
    for part, own, negation in own_clauses:
        like = [kind for stems, kind in clauses if own & stems] or [kind for _, kind in clauses]
        # "No one may use it" for "it is closed"
        sides = re.split(r"\.(?= [A-Z])|; |, (?:and|but) ", source.text)
        near = [side for side in sides if own & stems_of(side)] or [source.text]
        ended = negation == "odd" and (
            source.lower & {"free", "alone", "acquitted", "cleared"}
            or {each for each in Text(" ".join(near)).lower & _ENDS if stem(each) not in own}
            or RAN_OUT.search(source.text)
        )
        so = any(word in source.lower and spoken.lower & how for word, how in _DENIED_SO.items())
        # Both deny something, in words of which the source affirms none.
        here = stems_of("".join(NEGATIVE.split(part, maxsplit=1)[1:]))
        affirmed = frozenset[str]().union(*(stems for stems, kind in clauses if kind != "odd"))
        both = negation == "odd" in [kind for _, kind in clauses] and here and not here & affirmed
        # "No reform was ever cheaper" for "the cheapest reform"
        most = spoken.lower & {"ever", "before", "than"} and _SUPERLATIVE.search(source.text)
        # "No one had recognised it" for "it hung unrecognised"
        inside = own & {stem(word[2:]) for word in source.lower if word.startswith("un")}
        double = negation == "even" and "odd" not in like
        implied = double or ended or so or both or most or inside
        if negation and negation not in like and not implied:
            yield "a negation"
    own = stems_of(spoken.text)
    denied = frozenset[str]().union(*(stems for stems, kind in clauses if kind))
    negated = sum(bool(negation and stems & denied) for _, stems, negation in own_clauses)
    negated += any(SAYS_SO.search(part) and stems & denied for part, stems, _ in own_clauses)
    turns = (("until", "before"), ("last", "since"))  # "not since" for "last"
    negated += sum(one in spoken.lower and other in source.lower for one, other in turns)
    negated += bool(_SUPERLATIVE.search(spoken.text) and source.lower & {"since", "ever", "than"})
    undone = [*spoken.lower & _ANTONYMS.undo - source.lower]
    negated += not all(map(NEGATIVE.fullmatch, undone))
    # A clause denies its words after the negation.
    scopes, at = set[frozenset[str]](), 0
    for part in clauses_of(source.text):
        head, *tail = NEGATIVE.split(part, maxsplit=1)
        if negation_of(part) != "odd":
            continue
        scope = stems_of(tail[0])
        # Of one word alone it is not sure that the sentence has this clause, unless it has its subject.
        at = source.text.find(part, at) + len(head)
        subject = stems_of(source.text[max(0, at - 300) : at].rsplit(". ", 1)[-1])
        if len(scope) > 1 or not subject or subject & own:
            # What is denied is no day and no time, unless there is nothing else.
            scopes.add(scope - _TIMES or scope)
    # "Even the ones without coffee" denies no more than "without coffee".
    scopes -= {one for one in scopes for other in [*scopes][:_MOST] if other and other < one}
    if sum(bool(scope) and 2 * len(scope & own) >= len(scope) for scope in scopes) > negated:
        yield "it leaves out a negation"


def negation_of(clause: str) -> str:
    """Returns "odd" for a clause that is negated, "even" for a double negation, or ""."""
    number = len(NEGATIVE.findall(clause))
    return "" if not number else "odd" if number % 2 else "even"


def clauses_of(text: str) -> list[str]:
    return [part for part in CLAUSE.split(text) if part.strip()]


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


def _parts(text: str, language: str) -> Iterator[tuple[frozenset[str], frozenset[str], bool]]:
    """Yields the stems of each clause, those that it surely denies, and whether it may deny any."""
    no, unsure, joins = (
        re.compile(rf"(?i)\b(?:{ENGLISH[name].get(language, '-').replace(' ', '|')})\b")
        for name in (f"{one}_in_other_languages" for one in ("negations", "unsure", "conjunctions"))
    )
    text = _SO_FAR.sub(" ", re.sub(r"(?i)\bn['\u2019]", "ne ", text))
    for part in clauses_of(joins.sub(";", text)):
        first, *others = [*no.finditer(part), None]
        before, after = (part[: first.start()], part[first.end() :]) if first else (part, "")
        every, rest = (
            [compared(word)[:5] for word in WORD.findall(no.sub(" ", one)) if len(word) > 3]
            for one in (f"{before} {after}", after)
        )
        # "Without" denies little, and a verb alone goes with its subject, as one before "nicht".
        without = first and others == [None] and first[0].lower() in _WITHOUT
        denied = rest[: 2 if without else len(rest) if language == "de" else 4]
        denied = every if first and not without and len(denied) < 2 else denied
        maybe = bool(unsure.search(part) or (first and not without))
        yield frozenset(every), frozenset(() if unsure.search(part) else denied), maybe


def denied_abroad(spoken: Text, source: Text, language: str) -> Iterator[str]:
    """In another language a clause must not deny what its passage affirms, or the reverse."""
    if language[:2] not in ENGLISH["negations_in_other_languages"]:
        return
    own, known = ([*_parts(text.text, language[:2])][:_MOST] for text in (spoken, source))
    for ours, theirs in ((own, known), (known, own)):
        for _, denied, _ in ours:
            # Of two clauses about the same, only one denies most of the words that this one does.
            shared = max((len(denied & stems) for stems, _, _ in theirs), default=0)
            agreed = any(denied & (stems if maybe else others) for stems, others, maybe in theirs)
            if shared > 1 and 3 * shared > 1.9 * len(denied) and not agreed:
                yield "a negation"
    if not any(denied for _, denied, _ in (*own, *known)):
        parts = [Text(part, "en") for part in clauses_of(source.in_numbers)][:_MOST]
        for part in clauses_of(spoken.in_numbers)[:_MOST]:
            words = Text(part).lower - FOREIGN
            near = max(parts, key=lambda one: len(one.lower & words), default=spoken)
            if len(near.lower & words) > 1:
                yield from opposites(Text(part.replace("rejected", "vetoed")), near)
