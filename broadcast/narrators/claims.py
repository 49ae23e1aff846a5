"""Checks who says what, who does what to whom, what is denied and what is new; English only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from broadcast.narrators.wording import (
    BOUNDARY,
    ENGLISH,
    NEGATIVE,
    PRONOUNS,
    ROLES,
    SPEECH,
    WITHOUT_MEANING,
    WORD,
    Text,
    compared,
    stem,
    stems_of,
)
from stories.posts.features import language_of
from stories.posts.vocabulary import SAME
from stories.text.sentences import sentences, word_set

# People of whom a report speaks without naming them.
_GENERIC = word_set(ENGLISH["generic_speakers"])
# Words that may say the same without a negation: "his first marathon" for "had never run one".
_WILD = re.compile(rf"\b(?:{ENGLISH['says_so_without_negation']})\b", re.IGNORECASE)
_RAN_OUT = re.compile(r"\b(?:run|runs|ran|sold|running) out\b", re.IGNORECASE)
# Where the source has the word, one of the others may say it with a negation.
_DENIED_SO = {word: word_set(how) for word, how in ENGLISH["denied_so"].items()}
# After these a word for speaking is a noun, or about what is meant of the subject.
_BEFORE_NOUNS = word_set("is are was were be been a an its their original first initial earlier")
_ACCORDING = re.compile(r"\b[Aa]ccording to (?:the )?(?:[A-Z]\w+ ?)+")
_ENDS = word_set(ENGLISH["ends_something"])
CLAUSE = re.compile(
    r"[.!?]\s(?!(?-i:[a-z]))|[;:()\u2014\u2013]|, (?!\d)"
    r"|,? (?:(?<!all )but|while|whereas|although|though|and|because|since|which|who|whom)\b",
    re.IGNORECASE,
)
FORMS = {word: words.split()[0] for words in ENGLISH["irregular_verbs"] for word in words.split()}
for _verb in ENGLISH["verbs"].split():
    _bare = _verb.removesuffix("e")
    _doubled = f"{_verb}{_verb[-1]}" if re.search(r"[^aeiou][aeiou][bdgpt]$", _verb) else _bare
    for _root in {_bare, _doubled}:
        FORMS |= {f"{_root}{ending}": _verb for ending in ("ed", "ing")}
    FORMS |= {_verb: _verb, f"{_verb}s": _verb, f"{_verb}es": _verb}
_VERBS = {SAME.get(word) or SAME.get(verb, verb) for word, verb in FORMS.items()}
_BEFORE_NOUN = re.compile(
    r"\b(?:the|an?|of|no|his|her|its|their|in|on|at|with|without|for|from|into|under)\s\Z"
)
_SUPERLATIVE = re.compile(r"\b(?!(?:for|inter|har)est\b)\w{3,}est\b|\b(?:best|most|least)\b")
_EVER = word_set("ever before since than")
PREPOSITION = re.compile(rf"(?i)(?<!\w)(?:{ENGLISH['prepositions'].replace(' ', '|')})(?!\w)")
NOT = re.compile(r"(?:\bnot|\bnever|n['\u2019]t) (\w+)", re.IGNORECASE)  # "not guilty"
_RELATIVE = re.compile(
    r"(?<![^\s,;])((?:[^\s,;]++\s){0,3}[^\s,;]++),? (?:who|which) (?:(?:had|has|have|also|\w+ly) )*\Z",
    re.IGNORECASE,
)
_HE_OR_SHE = re.compile(
    r"\b(he|she) (?:(?:had|has|was|is|would|will|could|can|must|should|did|never|also|then|later) )*"
    r"([^\W\d_]+)",
    re.IGNORECASE,
)
_SUBJECT_PRONOUN = re.compile(
    r"\b(he|she|it|they|we|I) (?:(?:had|has|have|will|would|can|could|also|never|not|\w+ly) )*\Z",
    re.IGNORECASE,
)
_OF_THE = re.compile(r"\bthe (?:\w+['\u2019]s?\s)?([^\W\d_]{3,})")
# What two names exchange: "from Keld to Ashby".
_AFTER = re.compile(
    r"\b(around|into|from|to|against|over|under|behind|above|below|for) (?:[a-z]\w* ){0,3}([A-Z]\w+)"
)
_DETERMINER = re.compile(r"\b(?:the|an?|its|his|her|their|this|these|both)\b", re.IGNORECASE)
_PASSIVE = re.compile(
    r"\b(?:is|are|was|were|be|been|being|got|gets)(?: (?:not|also|\w+ly))?\s*\Z", re.IGNORECASE
)
_Sides = dict[str, list[tuple[frozenset[str], frozenset[str]]]]
_OPPOSITES, WIDER_OPPOSITES = _Sides(), _Sides()
for _found, _name in ((_OPPOSITES, "opposites"), (WIDER_OPPOSITES, "wider_opposites")):
    for _one, _other in (map(word_set, pair.split(" / ")) for pair in ENGLISH[_name]):
        for _side, _opposite in ((_one, _other), (_other, _one)):
            for _word in _side:
                _found.setdefault(_word, []).append((_side, _opposite))
for _word, _pairs in _OPPOSITES.items():
    WIDER_OPPOSITES[_word] = [*_pairs, *WIDER_OPPOSITES.get(_word, [])]
_CALENDAR = word_set(ENGLISH["calendar"])
_NO: dict[str, str] = ENGLISH["negations_in_other_languages"]
_ROLES_ABROAD = {
    ROLES[role]: word_set(compared(words))
    for role, words in ENGLISH["roles_in_other_languages"].items()
}
_TIMES = stems_of(f"{ENGLISH['time_words']} {ENGLISH['calendar']}")
_CLAUSE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class _Deed:
    """A verb with the stems of who does it, and of whom or what it is done to."""

    verb: str
    agent: frozenset[str]
    patient: frozenset[str]
    head: frozenset[str]  # the first of those that it is done to
    far: bool  # the doer is not right before the verb: "came from behind to beat"


def attributions(spoken: Text, source: Text, around: Text, title: str) -> Iterator[str]:
    """A role must be in the sources, and so must the speaker."""
    # Roles are from before the passages only where these have none: "she" may be "the governor".
    has_role = any(word.rstrip("s") in ROLES for word in source.lower)
    allowed = source.lower | (Text(title).lower if has_role else around.lower)
    roles = {ROLES[word.rstrip("s")] for word in allowed if word.rstrip("s") in ROLES}
    # "The owner" for "it belongs to"
    roles |= {
        role for role, verbs in ENGLISH["verbs_of_roles"].items() if allowed & word_set(verbs)
    }
    speaking = {word for speaker in speakers(spoken) for word in speaker}
    # "The driver" for "his van", but not as one who speaks.
    implied = {
        role for role, words in ENGLISH["implied_roles"].items() if allowed & word_set(words)
    }
    leaders = {"head", "leader", "chief", "boss", "director", "ceo", "chair", "managing"}
    for word in spoken.lower:
        role = ROLES.get(word) or ROLES.get(word.rstrip("s"))
        if role and role not in roles and word not in allowed:
            named = re.search(rf"\b(?i:{word})s? [A-Z]", spoken.text)
            if role in implied and word not in speaking and not named:
                continue
            if role in ("director", "chairman") and leaders & allowed:
                continue
            yield f"the role “{word}”"
    stems = {stem(word) for word in allowed}
    for number, word in enumerate(spoken.words[:-1], 1):
        # "Finance minister", "prime minister"
        if ROLES.get(spoken.words[number].lower()) == "minister":
            plain = compared(word)
            if plain not in WITHOUT_MEANING and plain not in allowed and stem(plain) not in stems:
                yield f"the role “{word} {spoken.words[number]}”"
    people = {*map(stem, source.names)}
    others = any({*map(stem, speaker)} & people for speaker in speakers(source))
    for speaker in speakers(spoken):
        # A person of the headline must not say what another one says by name.
        if others and {*speaker} & spoken.names and not {*map(stem, speaker)} & people:
            yield f"the speaker “{' '.join(speaker)}”"
        known = [word for word in speaker if stem(word) in stems or word in _GENERIC]
        if not known:
            yield f"the speaker “{' '.join(speaker)}”"


def speakers(spoken: Text) -> Iterator[list[str]]:
    """Yields whom a sentence quotes, as the words that carry meaning, in lower case."""
    for match in re.finditer(r"\baccording to ([^,.;:]+)", spoken.text, re.IGNORECASE):
        yield from _content([word.lower() for word in WORD.findall(match[1])][:8])
    for clause in re.split(r"[,;:\u2014]|[\"\u201c\u201d]", spoken.text):
        words = [word.lower() for word in WORD.findall(clause)]
        found = (n for n, word in enumerate(words) if word in SPEECH)
        at = next((n for n in found if words[n][:3] != "put" or words[n + 1 :][:1] == ["it"]), None)
        if at is None or at == 0 or words[at - 1] in _BEFORE_NOUNS:
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
    clauses = [(stems_of(part), negation_of(part)) for part in clauses_of(source.text)]
    own_clauses = [(part, stems_of(part), negation_of(part)) for part in clauses_of(spoken.text)]
    for part, own, negation in own_clauses:
        like = [kind for stems, kind in clauses if own & stems] or [kind for _, kind in clauses]
        double = negation == "even" and "odd" not in like
        # "No one may use it" for "it is closed"
        sides = re.split(r"[.;](?= [A-Z])|, (?:and|but) ", source.text)
        near = [side for side in sides if own & stems_of(side)] or [source.text]
        ended = negation == "odd" and (
            {each for each in Text(" ".join(near)).lower & _ENDS if stem(each) not in own}
            or _RAN_OUT.search(source.text)
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
    negated += any(_WILD.search(part) and stems & denied for part, stems, _ in own_clauses)
    negated += "until" in spoken.lower and "before" in source.lower
    # A clause denies its words after the negation.
    denials = [part for part in clauses_of(source.text) if negation_of(part) == "odd"]
    starts = [NEGATIVE.search(part) for part in denials]
    scopes = [
        stems_of(part[first.end() :]) if first else frozenset()
        for part, first in zip(denials, starts, strict=True)
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


def reversals(spoken: Text, source: Text) -> Iterator[str]:
    """Who does something, and to whom, must not be the other way round than in the sources."""
    known = [deed for part in sentences(source.text) for deed in _deeds(part)]
    for own in _deeds(spoken.text, near=True):
        same = [deed for deed in known if deed.verb == own.verb]
        moved = _moved(own, same, spoken, source)
        if same and own.agent and (moved or all(_reversed(own, deed) for deed in same)):
            yield f"who does what: “{own.verb}”"
    yield from _exchanged(spoken, source)
    acts, known_acts = (
        {(pronoun.lower(), stem(act)) for pronoun, act in _HE_OR_SHE.findall(text.text)}
        for text in (spoken, source)
    )
    for pronoun, act in acts - known_acts:
        if ({"he": "she", "she": "he"}[pronoun], act) in known_acts:
            yield f"who does what: “{pronoun}”"
    parts = [(stems_of(part), Text(part)) for part in sentences(source.text)]
    for sentence in sentences(spoken.text):
        stems = stems_of(sentence)
        yield from opposites(Text(sentence), max(parts, key=lambda row: len(stems & row[0]))[1])
    # What has a figure must not rise where it fell.
    clauses = [Text(part) for part in BOUNDARY.split(source.text)]
    for clause in map(Text, BOUNDARY.split(spoken.text)):
        like = [each for each in clauses if clause.figures & each.figures]
        if len(like) == 1:
            yield from opposites(clause, like[0])


def opposites(spoken: Text, source: Text, pairs: _Sides = _OPPOSITES) -> Iterator[str]:
    """What rises must not fall, in two texts about one thing."""
    if NEGATIVE.search(spoken.text) and not NEGATIVE.search(source.text):
        return
    affirmed = source.lower - {compared(match[1]) for match in NOT.finditer(source.text)}
    for word in sorted(spoken.lower & pairs.keys()):
        for side, opposite in pairs[word]:
            there = affirmed & opposite
            if there and not (source.lower & side or spoken.lower & opposite):
                yield f"“{word}” where it has “{min(there)}”"


def translations(spoken: Text, source: Text, passages: int) -> Iterator[str]:
    """What rises must not fall in another language, and no negation and no role may be new or lost."""
    there = Text(source.in_numbers, "en")
    yield from opposites(spoken, there)
    no = _NO.get(language_of([word.lower() for word in source.words]), "")
    denied = source.lower & word_set(compared(no))
    own = bool(NEGATIVE.search(spoken.text) or _WILD.search(spoken.text))
    near = (stems_of(part) for part in clauses_of(source.text) if Text(part).lower & denied)
    whole = passages == 1 and 10 * len(spoken.words) >= 6 * len(source.words)
    whole = whole or any(len(stems & stems_of(spoken.text)) > 1 for stems in near)
    if denied and not own and whole:
        yield "it leaves out a negation"
    if no and not denied and passages == 1 and len(NEGATIVE.findall(spoken.text)) == 1:
        yield "a negation"
    known = {role for role, words in _ROLES_ABROAD.items() if source.lower & words}
    for speaker in speakers(spoken) if known else ():
        roles = {ROLES[word] for word in speaker if word in ROLES}
        if roles & _ROLES_ABROAD.keys() and not roles & known:
            yield f"the role “{' '.join(speaker)}”"


def _exchanged(spoken: Text, source: Text) -> Iterator[str]:
    """What is told of two names must not have changed places: "Ashby closes, and Keld is extended"."""
    in_both = spoken.names & source.names
    after, there = ({*_AFTER.findall(text.text)} for text in (spoken, source))
    for preposition, name in after - there:
        opposite = {one for word, one in there - after if word == preposition}
        if compared(name) in in_both and any(compared(one) in in_both for one in opposite):
            yield f"who does what: “{preposition} {name}”"
    known = [text.names | set(_OF_THE.findall(text.text.lower())) for text in (source, spoken)]
    names = {stem(word) for word in known[0] & known[1] - _CALENDAR}

    def told(text: str) -> list[tuple[frozenset[str], frozenset[str]]]:
        parts = [stems_of(part) for part in CLAUSE.split(text) if part]
        return [(part & names, part - names) for part in parts]

    rows = told(source.text)
    seen = Counter(word for _, words in rows for word in words)
    for own, words in told(_ACCORDING.sub(" ", spoken.text)):
        matching = [
            row
            for row in rows
            if 2 * sum(seen[word] == 1 for word in row[1] & words) >= len(words) > 0
        ]
        others = [row for row in rows if row[0] & own and row not in matching and row[1]]
        if own and others and matching and all(row[0] and not row[0] & own for row in matching):
            yield f"who does what: “{min(own)}”"


def _moved(own: _Deed, same: list[_Deed], spoken: Text, source: Text) -> bool:
    """Whether one whom the sources do not name does what one of them does, whom the sentence has."""
    names, known = ({*map(stem, text.names)} for text in (spoken, source))
    others = all(deed.agent and deed.agent <= known & names for deed in same)
    return bool(own.agent) and own.agent <= names - known and others


def _reversed(own: _Deed, source: _Deed) -> bool:
    if own.agent & source.agent:
        return False
    taken = bool(own.head and own.head <= source.agent and not own.head & source.patient)
    given = bool(own.agent & source.patient)
    # Of a word that only looks like a verb both sides must have changed places.
    sure = own.verb in _VERBS and not own.far
    return (given or taken) if sure else (given and taken)


def _deeds(text: str, *, near: bool = False) -> Iterator[_Deed]:
    """Yields the verbs of one sentence; with ``near``, the doer is only the noun right before."""
    for match in WORD.finditer(text):
        word = match[0].lower()
        verb = FORMS.get(word) or (word if word.endswith("ed") and len(word) > 5 else None)
        if verb is None:
            continue
        # No more than a clause, because a text may be one sentence without end.
        before = text[max(0, match.start() - _CLAUSE_CHARACTERS) : match.start()]
        after = text[match.end() : match.end() + _CLAUSE_CHARACTERS]
        # "In aid", "aid of 25 million", "lead author": nouns
        noun = word == verb and (word == "lead" or after.startswith((" of ", " to ")))
        if noun or _BEFORE_NOUN.search(before):
            continue
        verb = SAME.get(word) or SAME.get(verb, verb) if word in FORMS else stem(word) + "-"
        far = near and bool(re.search(r"(?<!is)(?<!has)(?<!was)(?<!are)(?<!have) to\s\Z", before))
        passive = bool(_PASSIVE.search(before) or re.match(r" (?:[\d\W]+ )?by ", after))
        passive = passive and not word.endswith("ing")
        by = re.match(r"[^,;.]*?\bby\b", after) if passive else None
        first, second = (after[by.end() :] if by else "", before) if passive else (before, after)
        relative = None if passive else _RELATIVE.search(before)
        if relative:
            words = PREPOSITION.split(relative[1])[-1].split()
            verbs = [at for at, one in enumerate(words, 1) if one.lower() in FORMS]
            first = " ".join(words[max(verbs, default=0) :])
            # Others of whom the sentence speaks are not the ones who do it.
            second = f"{before} {after}"
        elif far:
            # "Rovers came from two goals down to beat Town": only a name surely does it.
            first = " ".join(re.findall(r"[A-Z]\w+", _noun(before, last=False)))
        elif near and not passive and (pronoun := _SUBJECT_PRONOUN.search(before)):
            first = f"pronoun-{pronoun[1]}"
        elif near:
            first = _noun(first, last=not passive)
        agent, patient = _doers(first), _doers(second)
        yield _Deed(verb, agent, patient - agent, _doers(_noun(second, last=passive)), far)


def _doers(text: str) -> frozenset[str]:
    """Returns the stems of what can do something: no days, months and numbers."""
    words = [word for word in WORD.findall(text) if compared(word) not in _CALENDAR]
    return frozenset(word for word in stems_of(" ".join(words)) if not word[0].isdigit())


def _noun(text: str, *, last: bool) -> str:
    """Returns the last noun of a text, or its first one, without what a preposition adds to it."""
    # Right after "who" or "which" it is not known.
    parts = BOUNDARY.split(text)
    phrases = (
        [part for part in parts[-1].split(",") if stems_of(part)] if last else parts[0].split(",")
    )
    phrase = phrases[-1 if last else 0] if phrases else ""
    if last and PREPOSITION.match(phrase.lstrip()):
        # "In poor countries the two": the noun begins at its article, if it has one.
        starts = [match.start() for match in _DETERMINER.finditer(phrase)]
        phrase = phrase[starts[-1] :] if len(starts) > 1 or (starts and starts[0] > 8) else ""
    nouns = [part for part in PREPOSITION.split(phrase) if stems_of(part)]
    return nouns[0] if nouns else ""
