"""Checks who says what, who does what to whom, what is denied and what is new; English only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from broadcast.narrators.polarity import CLAUSE, SAYS_SO, clauses_of, opposites
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
    counts,
    sense,
    stem,
    stems_of,
)
from stories.posts.features import language_of
from stories.posts.vocabulary import SAME
from stories.text.sentences import sentences, word_set

_PATTERN: dict[str, str] = ENGLISH["patterns"]
# People of whom a report speaks without naming them.
_GENERIC = word_set(ENGLISH["generic_speakers"])
# After these a word for speaking is a noun, or about what is meant of the subject.
_BEFORE_NOUNS = word_set("is are was were be been a an its their original first initial earlier")
_ACCORDING = re.compile(r"\b[Aa]ccording to (?:the )?(?:[A-Z]\w+ ?)+")
FORMS = {word: words.split()[0] for words in ENGLISH["irregular_verbs"] for word in words.split()}
for _verb in ENGLISH["verbs"].split():
    _bare = _verb.removesuffix("e")
    _doubled = f"{_verb}{_verb[-1]}" if re.search(r"[^aeiou][aeiou][bdgpt]$", _verb) else _bare
    for _root in {_bare, _doubled}:
        FORMS |= {f"{_root}{ending}": _verb for ending in ("ed", "ing")}
    FORMS |= {_verb: _verb, f"{_verb}s": _verb, f"{_verb}es": _verb}
_VERBS = {SAME.get(word) or SAME.get(verb, verb) for word, verb in FORMS.items()}
_BEFORE_NOUN = re.compile(
    r"\b(?:the|an?|of|no|his|her|its|their|in|on|at|with|without|for|from|into|under"
    r"|first|second|third|fourth|another|one|two|three|main|prime|former|any|some|each|every)\s\Z"
)
PREPOSITION = re.compile(rf"(?i)(?<!\w)(?:{ENGLISH['prepositions'].replace(' ', '|')})(?!\w)")
_RELATIVE = re.compile(_PATTERN["relative"], re.IGNORECASE)
_HE_OR_SHE = re.compile(_PATTERN["he_or_she"], re.IGNORECASE)
_SUBJECT_PRONOUN = re.compile(_PATTERN["subject_pronoun"], re.IGNORECASE)
_OF_THE = re.compile(r"(?<!with )\bthe (?:\w+['\u2019]s?\s)?([^\W\d_]{3,})")
# What two names exchange: "from Keld to Ashby".
_AFTER = re.compile(_PATTERN["after"])
_DETERMINER = re.compile(r"\b(?:the|an?|its|his|her|their|this|these|both)\b", re.IGNORECASE)
_PASSIVE = re.compile(_PATTERN["passive"], re.IGNORECASE)
_CALENDAR = word_set(ENGLISH["calendar"])
_NO: dict[str, str] = ENGLISH["negations_in_other_languages"]
_ROLES_ABROAD = {
    ROLES[role]: word_set(compared(words))
    for role, words in ENGLISH["roles_in_other_languages"].items()
}
_CLAUSE_CHARACTERS, _MOST_NAMES = 300, 40
_NUMBERS = word_set(" ".join([ENGLISH["units_to_nineteen"], ENGLISH["tens"], *ENGLISH["scales"]]))
_SAID_BY = re.compile(rf",[\"\u201d]? (?:[\w'\u2019-]+ ){{0,8}}(?:{'|'.join(SPEECH)})\b")
_NAME = re.compile(_PATTERN["name"])
_MARKS = word_set(f"by {ENGLISH['tellers']}")
_STARTS = (". ", "? ", "! ", ": ", "; ")
_CALLED = re.compile(
    r"\b(?:called|named|nicknamed|dubbed|titled|user|username) (?!called|named)([a-z][\w-]{3,})"
)
_REPORTED = re.compile(
    rf"\b(?:{'|'.join(SPEECH)})\b (?:(?:\w+ ){{1,3}})?that\b([^\"\u201c]+)"
    rf"|\b(?:{ENGLISH['reporting_verbs']}) "
    r"(?=(?:the|an?|it|he|she|they|his|her|their|we|there|no)\b)([^\"\u201c]+)"
)
_WHERE = re.compile(r"\b([a-z]{4,}),? (?:in|at|near) (?:the )?([A-Z][\w'\u2019-]+)")
_EXCLUDED = re.compile(_PATTERN["excluded"])
_COVERED = re.compile(r"(?i)\b(?:cover|affect|includ|appl|recall|exten)")
_FEWEST = 3  # words of meaning in a reported clause that is compared
_PARTICIPLES = word_set(ENGLISH["participles"])  # "Stolen from a train" needs no "was".
_AFTER_PARTICIPLE = re.compile(r" (?:as|with|by|in|from|on|at|to|for|of|last|during|near|over)\b")
_HAVE = re.compile(r"\b(?:has|have|had|having|'ve|'d)(?: (?:not|also|never|\w+ly))?\s*\Z")


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
        if subject[-1] in _NUMBERS or subject[-1][0].isdecimal():
            continue  # "ten thousand notes"
        for number in range(len(subject) - 1, -1, -1):
            if subject[number] in ("that", "and", "but", "who", "which", "while", "as"):
                subject = subject[number + 1 :]
                break
        yield from _content(subject)


def _names(text: str) -> list[tuple[str, str, str, frozenset[str]]]:
    """Returns each name of a text with the words before and after it that say whose name it is."""
    found = []
    for match in [*_NAME.finditer(text)][:_MOST_NAMES]:
        before, name, after = match[1] or "", match[2], match[3] or ""
        parts = name.split()
        # "Conductor Jorunn Hale" at the start of a sentence
        starts = (
            not text[: match.start(2)].rstrip(' "\u201c') or text[: match.start(2)][-2:] in _STARTS
        )
        if starts and not before and (len(parts) > 2 or parts[0].lower() in ROLES):
            before, name = parts[0].lower(), " ".join(parts[1:])
        words = frozenset(word for word in map(compared, WORD.findall(name)) if counts(word))
        if words and not (starts and len(parts) == 1):
            marks = [word if counts(word) or word in _MARKS else "" for word in (before, after)]
            found.append((name, marks[0], marks[1], words))
    return found


def _replaced_names(spoken: Text, source: Text) -> Iterator[str]:
    """One whom the passages do not name so must not be where they have another one's name.

    "Asked rescue leader Berg" for "asked rescue leader Lind": another passage may have the name.
    """
    known = _names(source.text)
    for name, before, after, words in _names(spoken.text):
        same = [row for row in known if row[3] & words]
        if not same and words & source.lower:
            continue
        for _, before_other, after_other, others in known:
            # One of whom the sentence speaks too is another one, unless the passages have both.
            if others & words or (not same and others & spoken.lower):
                continue
            mark = before if before and before == before_other else ""
            mark = mark or (after if after and after == after_other and not same else "")
            # "By" alone does not say who it is.
            elsewhere = mark == "by" or any(mark in row[1:3] for row in same)
            if mark and not (same and elsewhere):
                yield f"the name “{name}”"
    # "A school in Norrie" is in no other place of the passages.
    own, places = ({*_WHERE.findall(text.text)} for text in (spoken, source))
    for noun, name in own - places:
        there = {place for word, place in places if word == noun}
        within = any(f"{place}, {name}" in source.text for place in there)
        if there and compared(name) in source.names and not (within or there & {*spoken.words}):
            yield f"the name “{name}”"
    # "The Heron is not included"
    for part in filter(_EXCLUDED.search, re.split(r"[.;:]", source.text)):
        names = [word for word in WORD.findall(part) if word[0].isupper() and counts(word)]
        if names[:1] and _COVERED.search(spoken.text) and not NEGATIVE.search(spoken.text):
            yield from (f"the name “{names[0]}”" for _ in {names[0]} & {*spoken.words})
    called, there = ({*_CALLED.findall(text.text)} for text in (spoken, source))
    if there - spoken.lower:
        yield from (f"the name “{name}”" for name in called if name not in source.lower)


def _content(words: list[str]) -> Iterator[list[str]]:
    carrying = [
        compared(word)
        for word in words
        if compared(word) not in WITHOUT_MEANING - PRONOUNS and not NEGATIVE.fullmatch(word)
    ]
    if carrying and not any(word in PRONOUNS for word in carrying):
        yield carrying


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
    yield from _replaced_names(spoken, source)
    # Of what one is reported to say some word must be theirs.
    known_senses = {sense(word) for word in source.lower}
    for match in _REPORTED.finditer(spoken.text):
        words = [word for word in WORD.findall(match[1] or match[2]) if counts(word)]
        every = [word for word in WORD.findall(match[1] or match[2]) if len(stem(word)) > 2]
        every = [word for word in every if compared(word) not in WITHOUT_MEANING | PRONOUNS]
        known_words = {sense(compared(word)) for word in every} & known_senses
        inside = any(len(word) > 3 and word.lower() in source.text.lower() for word in every)
        if words and len(every) >= _FEWEST and not (known_words or inside):
            yield f"“{' '.join(every)}”"


def translations(spoken: Text, source: Text, passages: int) -> Iterator[str]:
    """What rises must not fall in another language, and no negation and no role may be new or lost."""
    there = Text(source.in_numbers, "en")
    yield from opposites(spoken, there)
    no = _NO.get(language_of([word.lower() for word in source.words]), "")
    denied = source.lower & word_set(compared(no))
    own = bool(NEGATIVE.search(spoken.text) or SAYS_SO.search(spoken.text))
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
    """What happens to two names must not have changed places: "Ashby closes, and Keld is extended"."""
    in_both = spoken.names & source.names
    after, there = ({*_AFTER.findall(text.text)} for text in (spoken, source))
    for preposition, name in after - there:
        opposite = {one for word, one in there - after if word == preposition}
        if compared(name) in in_both and any(compared(one) in in_both for one in opposite):
            yield f"who does what: “{preposition} {name}”"
    known = [text.names | set(_OF_THE.findall(text.text.lower())) for text in (source, spoken)]
    names = {stem(word) for word in known[0] & known[1] - _CALENDAR}

    def rows_of(text: str) -> list[tuple[frozenset[str], frozenset[str]]]:
        parts = [stems_of(part) for part in CLAUSE.split(text) if part]
        return [(part & names, part - names) for part in parts]

    rows = rows_of(source.text)
    seen = Counter(word for _, words in rows for word in words)
    for own, words in rows_of(_ACCORDING.sub(" ", spoken.text)):
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
    elsewhere = source.patient | source.head
    taken = bool(own.head and own.head <= source.agent and not own.head & elsewhere)
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
        noun |= verb in ("like", "love") and after.startswith(" to ")
        if noun or _BEFORE_NOUN.search(before):
            continue
        # "Has lost contact, the operator wrote": the one who speaks is no part of what happened.
        after = _SAID_BY.split(after)[0]
        verb = SAME.get(word) or SAME.get(verb, verb) if word in FORMS else stem(word) + "-"
        far = near and bool(re.search(r"(?<!is)(?<!has)(?<!was)(?<!are)(?<!have) to\s\Z", before))
        passive = bool(_PASSIVE.search(before) or re.match(r" (?:[\d\W]+ )?by ", after))
        passive |= word in _PARTICIPLES and not _HAVE.search(before)
        passive |= before.endswith(", ") and bool(_AFTER_PARTICIPLE.match(after))
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
    return frozenset(word for word in stems_of(" ".join(words)) if not word[0].isdecimal())


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
    # "A ban the fishermen support"
    starts = (
        [match.start() for match in _DETERMINER.finditer(nouns[0])][1:] if nouns and last else []
    )
    return nouns[0][starts[-1] if starts else 0 :] if nouns else ""
