"""Checks what belongs to what: counts, days, directions, speakers, hedges; English mostly.

A sentence may have each word of its passages in another place, as in "three killed, twelve hurt".
"""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice, pairwise

from broadcast.narrators.claims import FORMS, PREPOSITION, speakers
from broadcast.narrators.polarity import (
    RAN_OUT,
    WIDER_OPPOSITES,
    clauses_of,
    negation_of,
    opposites,
    prefixes,
)
from broadcast.narrators.quantities import Quantity, read
from broadcast.narrators.wording import (
    ENGLISH,
    NEGATIVE,
    ROLES,
    SPEECH,
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

_MOSTLY, _NEARLY = 0.5, 0.75  # of the words of a sentence are as in its passage
_FEW, _NEAR = 5, 300  # words that link, and characters before and after one
_MOST, _LONGEST = 40, 60  # numbers or clauses of a text, and words of a sentence, compared
_ANCHOR = re.compile(r"(?i)\b(last|previous|this|next) (year|month|week|season|quarter)\b")
_AFTER_NUMBER = word_set(
    "of in at from to or by on with for were was had have is are who that which"
)
_TO_BIND = re.compile(r", |\b(?:after|before|when|as)\b")
_MONTH_OF_YEAR = re.compile(rf"\b({'|'.join(month_name[1:])}),? (\d{{4}})\b")
_FROM_TO = re.compile(
    r"\b(\w+) (?:out )?of (?:the|its|their|his|her) (\w+)|\bfrom ([^,;.]{1,40}?) to ([^,;.]{1,40})"
    r"|\bto ([^,;.]{1,40}?),? (?:up |down )?from ([^,;.]{1,40})"
)
_DIRECTIONS = WIDER_OPPOSITES.keys() - word_set(ENGLISH["opposite_nouns"])
_SHORT = word_set(f"it's s t per again also now {ENGLISH['time_words']} {ENGLISH['calendar']}")
_SYMMETRIC = frozenset(map(sense, word_set(ENGLISH["symmetric_verbs"])))
# Of each verb the class of deeds that it names, and whether its subject is the one who suffers it.
_CONVERSE = {
    form: (row, flipped)
    for row, sides in enumerate(ENGLISH["converse_verbs"])
    for flipped, side in enumerate(sides.split(" / "))
    for form in side.split()
}
_BEFORE_NOUNS = word_set("a an the of his her their its in for with no to's this that")
_TO_WHOM = word_set("to from against behind")
_RESULTS = frozenset(map(sense, ("game", "match", "draw", "ended")))
_LEVELS = {word: at for at, row in enumerate(ENGLISH["quantifiers"]) for word in row.split()}
_QUANTIFIER = re.compile(
    rf"\b({'|'.join(_LEVELS)})\b(?: of)?(?: (?:the|its|his|her|their|these|those|our))?"
    r" ((?:[^\W\d_]+ ){0,2}[^\W\d_]+)",
    re.IGNORECASE,
)
_WHOLE = word_set(ENGLISH["implies_whole"])
# Words after which a clause is no fact yet, and those with which a sentence may say so.
_HEDGE = re.compile(rf"\b(?:{ENGLISH['strong_hedges']})\b(?! not|n['\u2019]t)")
_PROSPECT = re.compile(rf"\b(?:{ENGLISH['prospects']})\b")
_SOFT = re.compile(rf"\b(?:{ENGLISH['soft']})\b", re.IGNORECASE)
_AHEAD = re.compile(rf"\b(?:{ENGLISH['soft']}|{ENGLISH['ahead']})\b", re.IGNORECASE)
_PRONOUN_SPEAKS = re.compile(rf"(?i)\b(?:he|she|they|it|who) (?:\w+ )?(?:{'|'.join(SPEECH)})\b")
_TIMES_OF = "hour|week|month|quarter|annual|year|day"
_RATE = re.compile(rf"(?i)\b(?:an?|per) ({_TIMES_OF})\b|\b(dai|{_TIMES_OF})ly\b|\b(annual)\b")
_LINKED = re.compile(rf"\b({ENGLISH['linked_by']})\b", re.IGNORECASE)
_ALIKE = dict.fromkeys(("because of", "due to", "thanks to", "caused by", "blamed on"), "because")
_ALIKE |= {"following": "after", "before": "after"}
_PART = re.compile(r"[,;:\u2014\"\u201c\u201d]")
_UNTIL_OR_FROM = re.compile(
    r"\b(?:(until|till|up to)|(from|since|as of|starting(?: on)?|beginning(?: on)?))"
    r" ((?:(?:the|next|last|early|late|end|of|mid) )*)(?=([A-Z0-9]\w*))"
)
_MENTION = re.compile(r"[A-Z][\w'\u2019-]*(?: [A-Z][\w'\u2019-]*)*|\b[a-z]{4,}\b")


def relations(spoken: Text, source: Text, report: str) -> Iterator[str]:
    """Yields what a sentence puts together otherwise than its passages, as phrases."""
    rules = (counted, _directions, _sides, _speaker, _quantifiers, _certainty, prefixes, _spans)
    for rule in (*rules, _order):
        yield from rule(spoken, source)
    yield from _replaced(spoken, source, Text(report))


@dataclass(frozen=True, slots=True)
class _Bound:
    """A number, a day or a month with the words of its clause that it goes with."""

    kind: str
    value: float
    words: frozenset[str]


def counted(spoken: Text, source: Text) -> Iterator[str]:
    """A number or a day must go with the words that it goes with in the passages."""
    own, known = (list(_bound(text))[:_MOST] for text in (spoken, source))
    for one in own:
        same = [each for each in known if each.kind == one.kind]
        mine = _words(same, one.value)
        for value in {each.value for each in same if each.value != one.value} if mine else ():
            theirs = _words(same, value)
            partner = _words([each for each in own if each.kind == one.kind], value)
            straight = len(one.words & mine - theirs) + len(partner & theirs - mine)
            here, there = len(one.words & theirs - mine), len(partner & mine - theirs)
            alone = value not in {each.value for each in own} and mine - theirs and not straight
            if here and here + there > straight and (there or alone):
                named = f"{one.value:g}" if one.kind.startswith("number") else one.kind
                yield f"what belongs to “{named}”"
    months, dated = ({*_MONTH_OF_YEAR.findall(text.in_numbers)} for text in (spoken, source))
    years = {year for _, year in dated}
    yield from (f"the month “{m} {y}”" for m, y in months - dated if y in years)


def _words(rows: list[_Bound], value: float) -> frozenset[str]:
    return frozenset[str]().union(*(each.words for each in rows if each.value == value))


def _senses(text: str) -> frozenset[str]:
    found = {sense(compared(word)) for word in WORD.findall(text) if counts(word)}
    return frozenset(found | {"".join(words).lower() for words in _ANCHOR.findall(text)})


def _bound(text: Text) -> Iterator[_Bound]:
    parts = [part for one in clauses_of(text.in_numbers) for part in _TO_BIND.split(one)]
    for clause in parts[:_MOST]:
        found = read(clause)
        words = _senses(clause)
        years = [one for one in found.quantities if not one.unit and 1500 <= one.values[0] <= 2100]
        numbers = [one for one in found.quantities if one not in years]
        yield from (_Bound("the year", one.values[0], words) for one in years if len(years) == 1)
        if len(numbers) == 1:
            yield _Bound(f"number{numbers[0].unit}", numbers[0].values[0], words)
        elif numbers:
            yield from _several(clause, numbers[:_MOST], words)
        for kind, values in (
            ("the day", found.weekdays),
            ("the month", found.months),
            ("the time", [at for at, _ in found.times]),
        ):
            yield from (_Bound(kind, value, words) for value in values if len(values) == 1)


def _several(clause: str, found: Sequence[Quantity], words: frozenset[str]) -> Iterator[_Bound]:
    """Yields the numbers of one clause, each with the nouns right after it and the words of no other."""
    lower, at, ends = clause.lower(), 0, []
    for quantity in found:
        begin = max(0, lower.find(quantity.text.split()[0], at))
        for token in quantity.text.split():
            at = max(at, lower.find(token, at) + len(token))
        ends.append((begin, at))
    own = []
    for (_, end), (begin, _) in zip(ends, [*ends[1:], (len(clause), 0)], strict=True):
        nouns: list[str] = []
        for word in WORD.findall(clause[end:begin]):
            if not counts(word) and (nouns or word.lower() in _AFTER_NUMBER):
                break
            nouns += [sense(compared(word))] if counts(word) else []
        own.append(frozenset(nouns[:3]))
    rest = words - frozenset[str]().union(*own)
    for quantity, nouns_of in zip(found, own, strict=True):
        yield _Bound(f"number{quantity.unit}", quantity.values[0], nouns_of | rest)


def _directions(spoken: Text, source: Text) -> Iterator[str]:
    """In each clause what rises must not fall in the clause of the passages that is about the same."""
    # One side's victory is the other side's defeat: see _sides.
    aside = _CONVERSE.keys() if len(spoken.names & source.names) > 1 else ()
    known = [(_about(part, _DIRECTIONS), part) for part in clauses_of(source.text)[:_MOST]]
    # "18,400 runners started, and 17,902 finished": of whom, only the clause before says.
    short = " ".join(part for words, part in known if not words)
    for part in clauses_of(spoken.text)[:_MOST]:
        own = _about(part, _DIRECTIONS)
        ranked = sorted(((len(own & words), text) for words, text in known), reverse=True)
        best, text = ranked[0] if ranked else (0, "")
        rows = sum(bool(Text(part).figures & Text(each).figures) for _, each in known)
        if not best or rows > 1 or (len(ranked) > 1 and best == ranked[1][0]):
            continue  # with more rows it joins clauses: "down to 3.1 from 4.2"
        words = [word for word in WORD.findall(part) if word.lower() not in aside]
        about = Text(f"{text} {short}")
        yield from opposites(Text(" ".join(words)), about, WIDER_OPPOSITES)
        # "Nobody saw it until it failed to work" for "it was seen only when it failed to work"
        if {negation_of(part), negation_of(text)} == {"odd", "even"} and " only " not in text:
            yield "a negation"
    every, denials = stems_of(spoken.text), NEGATIVE.findall(spoken.text.lower())
    for _, part in known:
        stems, twice = stems_of(part), NEGATIVE.findall(part.lower())
        # "Could be excluded" for "could not be excluded"
        like = stems and 2 * len(stems & every) >= len(stems)
        if len(denials) == 1 and len(twice) == 2 and {*denials} & {*twice} and like:
            yield "a negation"


def _about(clause: str, aside: Collection[str] = ()) -> frozenset[str]:
    words = {compared(word) for word in WORD.findall(NEGATIVE.sub(" ", clause))}
    words -= WITHOUT_MEANING | _SHORT | {*aside}
    return frozenset(sense(word) for word in words if not word[0].isdigit())


def _sides(spoken: Text, source: Text) -> Iterator[str]:
    """Who is before a verb must not be after it: "Town lost to Rovers" is "Rovers beat Town"."""
    both = {word for word in spoken.names & source.names if counts(word)}
    both |= {word for word in spoken.lower & source.lower if word in ROLES}
    known = set(_deeds(source, both)) if len(both) > 1 else set()
    for verb, agent, patient in _deeds(spoken, both) if known else ():
        if (verb, patient, agent) in known and (verb, agent, patient) not in known:
            yield f"who does what: “{agent}” and “{patient}”"


def _deeds(text: Text, names: set[str]) -> Iterator[tuple[str, str, str]]:
    """Yields what is between two names of a clause, with the one who does it and the other."""
    for part in [one for sentence in sentences(text.text) for one in re.split(r"[;:]", sentence)]:
        found = [
            (match, [word for word in map(compared, match[0].split()) if word in names])
            for match in list(_MENTION.finditer(part))[: 3 * _MOST]
        ]
        mentions = [(match, words) for match, words in found if words]
        for (first, before), (second, after) in pairwise(mentions):
            between = part[first.end() : second.start()]
            if len(between) > 90 or before[-1] == after[-1] or NEGATIVE.search(between):
                continue
            passive = bool(re.search(r"\bby(?: [a-z]+){0,3} ?\Z", between))
            lost = bool(re.search(r"\bdefeats? (?:to|against|by|at)\b", between))
            words = ["", *map(compared, WORD.findall(between))]
            for ahead, word in pairwise(words):
                verb, flipped = _CONVERSE.get(word, (sense(word), 0))
                noun = ahead in _BEFORE_NOUNS or word in ROLES or (flipped and words[-1] == word)
                if flipped and not {*words} & _TO_WHOM:
                    continue
                deed = word in FORMS or (word.endswith("ed") and counts(word))
                if word in _CONVERSE or (deed and not noun and verb not in _SYMMETRIC):
                    turned = bool(flipped) ^ (lost or passive)
                    pair = (after[-1], before[-1]) if turned else (before[-1], after[-1])
                    yield (str(verb), *pair)


def _speaker(spoken: Text, source: Text) -> Iterator[str]:
    """One who is only spoken of in the passages must not be the one who speaks."""
    known = [{*map(stem, one)} for part in sentences(source.text) for one in speakers(Text(part))]
    if not known or _PRONOUN_SPEAKS.search(source.text):
        return
    every = frozenset[str]().union(*known)
    mentioned = {stem(word) for word in source.lower}
    speaking = [{*map(stem, one)} for one in speakers(spoken)]
    quoted = every & {stem(word) for word in spoken.lower}
    if quoted and not any(every & one for one in speaking):
        yield from ("who says what" for one in speaking if one & mentioned)


def _quantifiers(spoken: Text, source: Text) -> Iterator[str]:
    """Most of a thing is not all of it, and what is true of some must not be so of all."""
    known = [(_LEVELS[word], words) for word, words in _quantified(source)]
    mentioned = stems_of(source.text)
    for word, words in _quantified(spoken):
        levels = {level for level, others in known if words & others}
        level = _LEVELS[word]
        added = level == 0 and not levels and words & mentioned and not source.lower & _WHOLE
        added = added and not RAN_OUT.search(source.text)
        if (levels and level not in levels) or (added and not read(source.text).quantities):
            yield f"“{word}”"


def _quantified(text: Text) -> Iterator[tuple[str, frozenset[str]]]:
    for match in _QUANTIFIER.finditer(text.text):
        stems = stems_of(" ".join(PREPOSITION.split(match[2])[0].split()[:2]))
        if stems:
            yield match[1].lower(), stems


def _certainty(spoken: Text, source: Text) -> Iterator[str]:
    """What may be so, or is alleged, must not be a fact."""
    own = _about(spoken.text)
    for hedges, soft in ((_HEDGE, _SOFT), (_PROSPECT, _AHEAD)):
        if soft.search(spoken.text):
            continue
        for part in clauses_of(source.text):
            match = hedges.search(part)
            scope = _about(part[match.end() :]) if match else frozenset()
            enough = len(scope) > 1 or (match and own & _about(part[: match.start()]))
            # "Opens late on Friday" for "is to open late on Friday"
            following = WORD.search(part, match.end()) if match else None
            timetable = following if match and match[0] in ("is to", "are to") else None
            if timetable and spoken.lower & {timetable[0], f"{timetable[0]}s"}:
                continue
            if match and scope and enough and 5 * len(scope & own) >= 3 * len(scope):
                yield f"it leaves out “{match[0]}”"
                break


def _spans(spoken: Text, source: Text) -> Iterator[str]:
    """A rise "from 3 to 12" is not "from 12 to 3", "a month" not "a year", and "until" not "from"."""

    def ranges(text: Text) -> set[tuple[float, float]]:
        found = set()
        for match in _FROM_TO.finditer(text.in_numbers):
            one, other, first_to, last_to, to, start = match.groups()
            parts = (one or first_to or start, other or last_to or to)
            first, last = (read(part).quantities[:1] for part in parts)
            if first and last:
                found.add((first[0].values[0], last[0].values[0]))
        return found

    known = ranges(source)
    turned = [pair for pair in ranges(spoken) - known if pair[::-1] in known]
    yield from (f"“{first:g}” before “{last:g}”" for first, last in turned)
    own_rates, rates_there = (
        {
            {"dai": "day", "annual": "year"}.get(word, word)
            for match in _RATE.finditer(text.text)
            for word in filter(None, match.groups())
        }
        for text in (spoken, source)
    )
    if rates_there and own_rates and not own_rates & rates_there:
        yield f"“{min(own_rates)}” where it has “{min(rates_there)}”"
    ends, ends_there = (
        {(bool(match[1]), match[4]) for match in _UNTIL_OR_FROM.finditer(text.text)}
        for text in (spoken, source)
    )
    for until, day in ends - ends_there:
        if (not until, day) in ends_there:
            yield f"“{'until' if until else 'from'} {day}”"


def _order(spoken: Text, source: Text) -> Iterator[str]:
    """What came first, what is the cause and what is more must not have changed places."""
    known = [each for part in sentences(source.text) for each in _linked(part)]
    everything = _senses(source.text)
    for link, own in (each for part in sentences(spoken.text) for each in _linked(part)):
        for kind, there in known if own[0] and own[1] else ():
            straight = len(own[0] & there[0]) + len(own[1] & there[1])
            here, crossed = len(own[0] & there[1]), len(own[1] & there[0])
            exchanged = here and crossed and here + crossed > straight
            # "After a cable was cut" for "after an update of the software"
            another = own[0] & there[0] and there[1] and not own[1] & everything
            another = another and (len(own[1] - _RESULTS) > 1 or link == "because")
            if link == kind and (exchanged or another) and not [*opposites(spoken, source)]:
                yield f"what is before and after “{link}”"


def _linked(sentence: str) -> Iterator[tuple[str, tuple[frozenset[str], frozenset[str]]]]:
    """Yields what two parts of a sentence are linked by, with the words of both; "before" is turned."""
    for match in islice(_LINKED.finditer(sentence), _FEW):
        before = sentence[max(0, match.start() - _NEAR) : match.start()]
        after = sentence[match.end() : match.end() + _NEAR]
        if not stems_of(before):
            after, _, before = after.partition(",")
        last = [part for part in _PART.split(before) if stems_of(part)][-1:]
        parts = (_senses("".join(last)), _senses(_PART.split(after)[0]))
        word = match[1].lower()
        yield _ALIKE.get(word, word), (parts[::-1] if word == "before" else parts)


def _replaced(spoken: Text, source: Text, report: Text) -> Iterator[str]:
    """In a sentence of the passages no word must be replaced by that for another thing of the report."""
    own = [compared(word) for word in spoken.words][:_LONGEST]
    rows = [[compared(word) for word in WORD.findall(part)] for part in sentences(source.text)]
    known = max(rows, key=lambda row: len({*row} & {*own}), default=[])[:_LONGEST]
    if 2 * len({*known} & {*own}) < len({*own}):
        return
    found = SequenceMatcher(None, known, own, autojunk=False).get_opcodes()
    pairs = [
        (_senses(" ".join(known[a:b])), _senses(" ".join(own[c:d])), b - a == d - c)
        for kind, a, b, c, d in found
        if kind == "replace"
    ]
    turned = "by" in {*own} ^ {*known} or any(word in _CONVERSE for word in {*own} ^ {*known})
    equal = sum(b - a for kind, a, b, *_ in found if kind == "equal") / max(1, len(own))
    exchanged = [
        (old, new)
        for old, new, _ in pairs
        if old and new and not old & new and any(new & one and old & two for one, two, _ in pairs)
    ]
    # Of more than two words a phrase has moved: "outside the court" to the front.
    for old, new in exchanged if not turned and equal >= _MOSTLY and len(exchanged) <= 2 else ():
        yield f"“{min(new)}” in the place of “{min(old)}”"
    names = {sense(word) for word in spoken.names}
    for old, new, alike in pairs if equal >= _NEARLY else ():
        one = alike and len(old) == len(new) == 1 and old - _senses(spoken.text) and new - names
        if one and new <= {sense(word) for word in report.lower - source.lower}:
            yield f"“{min(new)}” in the place of “{min(old)}”"
