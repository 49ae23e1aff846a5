"""Checks each sentence of a narration against the passages of its sources that it rests on.

The check is made of rules. What a sentence says in numbers, units, times, dates, names, quotations,
negations and attributions must be in its passages; similarity is no proof. Decided as follows:

- Numbers compare by value: "1.2bn", "1.2 billion", "twelve". A rounder number passes with a hedge
  ("about 5,000" for 4,987), within 5 % and on the right side ("more than", "nearly").
- Units must agree where both sides name one; nothing is converted. A percentage point is no per cent.
- A name may come from the passages, the title, the credits, or, where a passage has a pronoun, from
  the passages before it. A surname alone is enough, and so are the initials of a name.
- Quotations are verbatim but for quotation marks, capitals and punctuation.
- Negations compare by parity, clause by clause: "did not rule out" is no "ruled out".
- Other languages: names in Latin script, numbers, dates as digits, and quotations. A narration that
  translates its source is checked on numbers, and on names of two words and more; its quotations
  are translations, so they are not compared.
"""

from __future__ import annotations

import re
import unicodedata
from calendar import month_name
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from urllib.parse import urlsplit

from broadcast.narrators.base import title_of
from broadcast.narrators.extractive import ExtractiveNarrator
from broadcast.narrators.passages import passages_of
from broadcast.narrators.quantities import IN_TEN, Found, fractions, read, units_in
from stories.llm import EmptyAnswer
from stories.text.sentences import sentences
from stories.text.words import word_set
from stories.types import (
    Brief,
    DroppedSentence,
    GroundedSentence,
    Narration,
    Passage,
    SpokenSentence,
    Support,
)

MOST_READ = 20_000  # characters of a post

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_QUOTE = re.compile(
    r"[\u201c\u201e\u201f\"]([^\u201c\u201d\u201e\"]{2,})[\u201d\u201c\"]|\u00ab\s?([^\u00ab\u00bb]{2,})\s?\u00bb"
    r"|(?<!\w)[\u2018']([^\u2018\u2019']{2,}(?:\w['\u2019]\w[^\u2018\u2019']*)*)[\u2019'](?!\w)"
)
_ENGLISH = word_set("""
    the a of and to in is was are were be been has have had for with that by on from it its not said
    he she they this which will would can may before after as or than more no all at but his her their
""")
_PRONOUNS = word_set("he she it they his her its their him them who we i our my we're i'm")

_COMMON_FIRST = word_set("""
    the a an it its this that these those he she they we you i in on at by for from with of to and but
    or nor so if as when while after before since until then there here what why how who which where
    about all both each every more most no not one some such two three four five six seven eight nine
    ten another any few many several none nobody nothing only just still now meanwhile however later
    earlier today yesterday tomorrow officials police people let
""")
_NATIONALITIES = word_set("""
    american australian austrian belgian brazilian british bulgarian canadian chilean chinese croatian
    czech danish dutch egyptian english estonian ethiopian finnish french german greek hungarian
    icelandic indian indonesian iranian iraqi irish israeli italian japanese kenyan korean latvian
    lithuanian mexican moroccan nigerian norwegian pakistani peruvian polish portuguese romanian russian
    saudi scottish serbian slovak slovenian spanish swedish swiss syrian thai turkish ukrainian welsh
""")
_SAYS = word_set("""
    said says say told tells warned warns added adds explained explains argued argues claimed claims
    announced announces confirmed confirms denied denies insisted insists stressed stresses noted notes
    admitted admits advised advises estimated estimates estimate predicted predicts expects expect
    called calls described describes blamed blames reported reports demanded demands rejected rejects
    declared declares promised promises stated states wrote writes joked jokes believes thinks sees saw
    put puts spoke speaks
""")
_ROLES = {
    word: names.split()[0]
    for names in (
        "minister secretary",
        "mayor",
        "governor",
        "president",
        "chancellor",
        "premier",
        "senator",
        "councillor",
        "judge",
        "lawyer attorney",
        "prosecutor prosecution",
        "inspector",
        "detective",
        "coach trainer",
        "captain",
        "farmer",
        "librarian",
        "surgeon",
        "scientist researcher biologist geologist astronomer economist physicist",
        "professor prof",
        "analyst",
        "engineer",
        "spokesman spokeswoman spokesperson spokesmen",
        "director",
        "chairman chair chairwoman",
        "founder",
        "owner",
        "king",
        "queen",
        "prince",
        "princess",
        "bishop",
        "pope",
        "general",
        "colonel",
        "witness",
        "suspect",
        "victim",
        "driver",
        "pilot",
    )
    for word in names.split()
}
# People of whom a report speaks without naming them.
_GENERIC = word_set("""
    researchers scientists officials experts authorities people reports report sources company firm
    maker manufacturer operator group agency author authors writer poster user post study survey he she
    they it who that which man woman men women
""")
_NEGATIVE = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|hardly|unhurt|uninjured"
    r"|unpaid|unharmed|undecided|unknown|unclear|unaware|exempt|except|missing|lacks?"
    r"|lacking|den(?:y|ies|ied|ying)|reject(?:s|ed|ing)?|refus(?:e|es|ed|ing)"
    r"|declin(?:ed|es) to|fail(?:s|ed|ing)? to|rul(?:e|es|ed|ing) out|exclud(?:e|es|ed|ing)|dismissed"
    r"|disput(?:e|es|ed|ing)|avoid(?:s|ed)?|prevent(?:s|ed)?)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
# Words that may say the same without a negation: "his first marathon" for "had never run one".
_WILD = re.compile(r"\b(?:first|only|until|free|alone|acquitted|cleared)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[;:()\u2014\u2013]|,? (?:but|while|whereas|although|though|and|because|since|which|who|whom)\b"
    r"|, (?!\d)",
    re.IGNORECASE,
)
_STOP = word_set("""
    the a an and or but of to in on at by for from with as that this these those it its he she they his
    her their him them we you i my our is are was were be been being has have had having do does did
    will would can could may might must shall should there here than then so if when while after before
    about into over under out up down more most any all some such own same also just very one who which
    what where how said says say told according
""")


@dataclass(frozen=True, slots=True)
class Context:
    """What a sentence may name besides its passages: the credits, and what was on air before."""

    title: str = ""
    credits: str = ""  # source, author, address
    before: str = ""  # the passages before those that it rests on
    published: datetime | None = None


class Text:
    """A text with all that the rules compare, each read once."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def found(self) -> Found:
        return read(self.text)

    @cached_property
    def words(self) -> list[str]:
        return _WORD.findall(self.text)

    @cached_property
    def lower(self) -> frozenset[str]:
        return frozenset(_plain(word) for word in self.words)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(_plain(word) for word in self.words if word[:1].isupper())

    @cached_property
    def is_english(self) -> bool:
        common = sum(word.lower() in _ENGLISH for word in self.words)
        return common >= max(1, len(self.words) // 14)

    @cached_property
    def has_pronoun(self) -> bool:
        return any(word.lower() in _PRONOUNS for word in self.words)

    @cached_property
    def is_latin(self) -> bool:
        letters = [char for char in self.text if char.isalpha()]
        latin = sum("LATIN" in unicodedata.name(char, "") for char in letters[:200])
        return 2 * latin >= len(letters[:200])

    @cached_property
    def squeezed(self) -> str:
        return _squeezed(self.text)


def problem(sentence: str, passages: Sequence[Passage], context: Context) -> str:
    """Returns what of a sentence is not in its passages, as a phrase; "" when all of it is."""
    said = Text(sentence)
    source = Text(" ".join(passage["text"] for passage in passages))
    around = Text(f"{context.title}. {context.credits}")
    if any(_leans(passage["text"]) for passage in passages):
        around = Text(f"{around.text}. {context.before}")
    same_language = said.is_english == source.is_english and said.is_latin == source.is_latin
    problems = [
        *_numbers(said, source, around),
        *_moments(said, source, context),
        *_names(said, source, around, translated=not same_language),
    ]
    if same_language:
        problems += _quotations(said, Text(f"{source.text} {context.title}"))
    if same_language and said.is_english:
        problems += [
            *_attributions(said, source, around, f"{context.title} {context.credits}"),
            *_negations(said, source),
        ]
    return "; ".join(dict.fromkeys(problems))


def _leans(passage: str) -> bool:
    """Whether a passage has a pronoun for somebody whom only the passages before it name."""
    text = Text(passage)
    first = text.words[0].lower() if text.words else ""
    return first in _PRONOUNS or (text.has_pronoun and not any(len(run) > 1 for run in _runs(text)))


def _numbers(said: Text, source: Text, around: Text) -> Iterator[str]:
    years = {
        quantity.values[0]
        for quantity in around.found.quantities
        if 1900 <= quantity.values[0] <= 2100
    }
    for quantity in read(IN_TEN.sub(" ", said.text)).quantities:
        agreeing = [one for one in source.found.quantities if quantity.agrees(one)]
        same_noun = [
            one
            for one in source.found.quantities
            if quantity.noun and _stem(one.noun) == _stem(quantity.noun)
        ]
        # "Three men" does not rest on "two men" and "three paintings".
        fits = [one for one in agreeing if not one.noun or one in same_noun]
        if agreeing and (fits or not same_noun):
            continue
        shares = [share for _, share in fractions(source.text)]
        if quantity.unit == "%" and any(abs(quantity.values[0] - one) < 0.5 for one in shares):
            continue
        if not quantity.unit and quantity.values[0] in years:
            continue
        yield f"the number “{quantity.text}”"
    for unit in units_in(said.text) - units_in(source.text):
        yield f"the unit “{unit}”"
    per_cent = [one.values[0] for one in source.found.quantities if one.unit == "%"]
    for text, share in fractions(said.text):
        known = [*per_cent, *(value for _, value in fractions(source.text))]
        if any(abs(share - one) < 0.6 for one in known):
            continue
        if share in (200.0, 300.0) and _has_ratio(source.found, share / 100):
            continue
        if share == 50.0 and "half" in source.lower | {w[:4] for w in source.lower}:
            continue
        yield f"the share “{text}”"


def _has_ratio(found: Found, ratio: float) -> bool:
    values = [quantity.values[0] for quantity in found.quantities if quantity.values[0]]
    return any(abs(one / other - ratio) < 0.1 for one in values for other in values)


_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_RELATIVE = {"today": 0, "tonight": 0, "yesterday": -1, "tomorrow": 1}


def _moments(said: Text, source: Text, context: Context) -> Iterator[str]:
    for minute, half in said.found.times:
        known = source.found.times
        if not any(
            minute == at and half in ("", other, "")
            for at, other in known
            if half == other or "" in (half, other)
        ):
            yield f"the time {minute // 60 or 12}:{minute % 60:02d} {half}".rstrip()
    published = _days_of(context.published)
    for month, day in said.found.dates:
        if (month, day) not in (*source.found.dates, *published.values()):
            yield f"the date {day} {month_name[month]}"
    months = source.found.months | {month for month, _ in published.values()}
    for month in said.found.months - months:
        yield f"the month {month_name[month]}"
    days = source.found.weekdays
    for weekday in said.found.weekdays - days:
        relative = {word for word in source.lower if word in _RELATIVE}
        named = (
            {(context.published + timedelta(days=_RELATIVE[word])).weekday() for word in relative}
            if context.published
            else set()
        )
        dated = context.published is not None and any(
            _weekday(context.published.year, *one) == weekday for one in source.found.dates
        )
        if weekday not in named and not dated:
            yield f"the day {_DAY_NAMES[weekday]}"
    for word in said.lower & _RELATIVE.keys() - source.lower:
        dated_so = published.get(word)
        at = context.published + timedelta(days=_RELATIVE[word]) if context.published else None
        if at is None or (at.weekday() not in days and dated_so not in source.found.dates):
            yield f"“{word}”"


def _weekday(year: int, month: int, day: int) -> int:
    try:
        return date(year, month, day).weekday()
    except ValueError:
        return -1


def _days_of(published: datetime | None) -> dict[str, tuple[int, int]]:
    if published is None:
        return {}
    days = {word: published + timedelta(days=days) for word, days in _RELATIVE.items()}
    return {word: (day.month, day.day) for word, day in days.items()}


def _plain(word: str) -> str:
    """Returns a word as compared: lower case, without accents and the possessive."""
    bare = re.sub(r"['\u2019](?:s|S)$|['\u2019]$", "", word)
    decomposed = unicodedata.normalize("NFKD", bare)
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


def _names(said: Text, source: Text, around: Text, *, translated: bool) -> Iterator[str]:
    if not source.is_latin and translated:
        return
    allowed = source.lower | around.lower
    initials = _initials(source) | _initials(around)
    for run in _runs(said):
        if translated and len(run) < 2:
            continue
        for word in run:
            plain = _plain(word)
            # Roles are compared with the attributions: "Professor" is "Prof" there.
            if plain in _ROLES or plain in _TITLES:
                continue
            if plain in allowed or plain.rstrip("s") in allowed or f"{plain}s" in allowed:
                continue
            if plain in initials or "".join(_plain(one)[:1] for one in run) in allowed:
                continue
            if translated and any(_resembles(plain, name) for name in source.names | around.names):
                continue
            yield f"the name “{' '.join(run)}”"
            break


_TITLES = word_set("doctor saint mount miss madam lord lady sir reverend st mt")


def _resembles(word: str, name: str) -> bool:
    """Whether two words may be one name in two languages: both begin alike."""
    length = max(3, min(len(word), len(name)) - 2)
    return word[:length] == name[:length]


def _initials(text: Text) -> set[str]:
    """Returns the initials of the runs of capitalised words: "who" for World Health Organization."""
    found = set()
    for match in re.finditer(
        r"(?:[^\W\d_][\w-]*\s(?:of |for |and |the )*){1,6}[^\W\d_][\w-]*", text.text
    ):
        letters = [word[0] for word in match[0].split() if word[:1].isupper()]
        for start in range(len(letters)):
            for end in range(start + 2, len(letters) + 1):
                found.add("".join(letters[start:end]).casefold())
    return found


def _runs(said: Text) -> Iterator[list[str]]:
    """Yields the names of a sentence, each as its capitalised words.

    Its first word counts if it is surely no common word that is capitalised for its place.
    """
    run: list[str] = []
    end = 0
    for number, match in enumerate(_WORD.finditer(said.text)):
        word, gap = match[0], said.text[end : match.start()]
        starts = number == 0 or bool(re.search(r"[.!?:]\s|[\"\u201c\u2018]$", gap))
        capital = word[0].isupper() and word not in ("I", "I'm", "I've", "I'll", "I'd", "I\u2019m")
        if run and (not capital or gap.strip(" ") not in ("", "-", "&", ".")):
            yield from _named(run)
            run = []
        if capital and not (starts and not _surely_a_name(said, match)):
            run.append(word)
        end = match.end()
    yield from _named(run)


_CALENDAR = word_set("""
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july
    august september october november december utc gmt am pm mr mrs ms dr prof sir
""")


def _named(run: list[str]) -> Iterator[list[str]]:
    names = [word for word in run if _plain(word) not in _CALENDAR]
    if names and any(len(word) > 1 for word in names):
        yield names


def _surely_a_name(said: Text, match: re.Match[str]) -> bool:
    word = match[0]
    plain = _plain(word)
    if plain in _COMMON_FIRST:
        return False
    if word.isupper() and len(word) > 1:
        return True
    after = said.text[match.end() :]
    following = _WORD.match(after.lstrip(" -"))
    if plain in _NATIONALITIES or word.endswith(("'s", "\u2019s")):
        return True
    if following is None:
        return False
    if following[0][0].isupper() and following[0] != "I":
        # "Inspector Ferri", "Opposition leader": its role may be a common word.
        return plain not in _ROLES
    return following[0].lower() in _SAYS and following[0].lower() not in ("sees", "saw", "put")


def _squeezed(text: str) -> str:
    return " ".join(_plain(word.replace("\u2019", "'")) for word in _WORD.findall(text))


def _quotations(said: Text, source: Text) -> Iterator[str]:
    for match in _QUOTE.finditer(said.text):
        quote = next(part for part in match.groups() if part is not None)
        parts = [_squeezed(part) for part in re.split(r"\.\.\.|\u2026|\[[^\]]*\]", quote)]
        if not all(f" {part} " in f" {source.squeezed} " for part in parts if part):
            yield f"the quotation “{quote.strip()}”"


_SPEAKER_AFTER = re.compile(r"\b(?:according to|says|said|told by)\s+((?:[\w'\u2019.&-]+\s?){1,8})")


_ENDING = re.compile(
    r"(?:ations?|ances?|ences?|ments?|ings?|ions?|edly|ied|ies|ed|es|ly|e|y|s|er|ers|or|ors)$"
)


def _stem(word: str) -> str:
    """Returns the beginning that the forms of a word share: "resist" for "resistance"."""
    plain = _plain(word)
    return (_ENDING.sub("", plain) if len(plain) > 4 else plain)[:7]


def _attributions(said: Text, source: Text, around: Text, title: str) -> Iterator[str]:
    """A role must be in the sources, and so must whoever is said to have said it."""
    # Roles are from before the passages only where these have none: "she" may be "the governor".
    has_role = any(word.rstrip("s") in _ROLES for word in source.lower)
    allowed = source.lower | (Text(title).lower if has_role else around.lower)
    roles = {_ROLES[word.rstrip("s")] for word in allowed if word.rstrip("s") in _ROLES}
    leaders = {"head", "leader", "chief", "boss", "director", "ceo", "chair", "managing"}
    for word in said.lower:
        role = _ROLES.get(word) or _ROLES.get(word.rstrip("s"))
        if role and role not in roles and word not in allowed:
            if role in ("director", "chairman") and leaders & allowed:
                continue
            yield f"the role “{word}”"
    stems = {_stem(word) for word in allowed}
    words = [(match[0], match.start()) for match in _WORD.finditer(said.text)]
    for number, (word, _) in enumerate(words[:-1]):
        # "Finance minister", "prime minister"
        if _ROLES.get(words[number + 1][0].lower()) == "minister":
            plain = _plain(word)
            if plain not in _STOP and plain not in allowed and _stem(plain) not in stems:
                yield f"the role “{word} {words[number + 1][0]}”"
    for speaker in _speakers(said):
        known = [word for word in speaker if _stem(word) in stems or word in _GENERIC]
        if not known:
            yield f"the speaker “{' '.join(speaker)}”"


def _speakers(said: Text) -> Iterator[list[str]]:
    """Yields whom a sentence quotes, as the words that carry meaning, in lower case."""
    for match in re.finditer(r"\baccording to ([^,.;:]+)", said.text, re.IGNORECASE):
        yield from _content([word.lower() for word in _WORD.findall(match[1])][:8])
    for clause in re.split(r"[,;:\u2014]|[\"\u201c\u201d]", said.text):
        words = [word.lower() for word in _WORD.findall(clause)]
        at = next((n for n, word in enumerate(words) if word in _SAYS), None)
        if at is None or at == 0:
            continue
        subject = words[max(at - 5, 0) : at]
        for number in range(len(subject) - 1, -1, -1):
            if subject[number] in ("that", "and", "but", "who", "which", "while", "as"):
                subject = subject[number + 1 :]
                break
        yield from _content(subject)


def _content(words: list[str]) -> Iterator[list[str]]:
    carrying = [_plain(word) for word in words if _plain(word) not in _STOP - _PRONOUNS]
    if carrying and not any(word in _PRONOUNS for word in carrying):
        yield carrying


def _stems(text: str) -> frozenset[str]:
    plain = _NEGATIVE.sub(" ", text)
    words = (_plain(word) for word in _WORD.findall(plain))
    return frozenset(_stem(word) for word in words if word not in _STOP and len(word) > 2)


def _negations(said: Text, source: Text) -> Iterator[str]:
    """A clause with a negation needs one like it, and the sentence must leave none out."""
    clauses = [(_stems(part), _negation(part)) for part in _clauses(source.text)]
    own_clauses = [(_stems(part), _negation(part)) for part in _clauses(said.text)]
    for own, negation in own_clauses:
        like = [kind for stems, kind in clauses if own & stems] or [kind for _, kind in clauses]
        double = negation == "even" and "odd" not in like
        if negation and negation not in like and not (double or _WILD.search(source.text)):
            yield "a negation"
    own = _stems(said.text)
    denied = frozenset[str]().union(*(stems for stems, kind in clauses if kind))
    negated = sum(bool(negation and stems & denied) for stems, negation in own_clauses)
    negated += bool(_WILD.search(said.text))
    scopes = [_scope(part) for part in _clauses(source.text) if _negation(part) == "odd"]
    if sum(bool(scope) and 2 * len(scope & own) >= len(scope) for scope in scopes) > negated:
        yield "it leaves out a negation"


def _scope(clause: str) -> frozenset[str]:
    """Returns what a clause denies: its words after the negation."""
    first = _NEGATIVE.search(clause)
    return _stems(clause[first.end() :]) if first else frozenset()


def _negation(clause: str) -> str:
    """Returns "odd" for a clause that is negated, "even" for a double negation, or ""."""
    number = len(_NEGATIVE.findall(clause))
    return "" if not number else "odd" if number % 2 else "even"


def _clauses(text: str) -> list[str]:
    return [part for part in _CLAUSE.split(text) if part and part.strip()]


def best_passages(sentence: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Returns the passage that shares the most words with a sentence, or none if they share few.

    Only the choice of a passage is by words in common; the sentence must still pass the check.
    """
    own = _stems(sentence)
    shared = [(len(own & _stems(passage["text"])), -at) for at, passage in enumerate(passages)]
    most, at = max(shared, default=(0, 0))
    return (passages[-at],) if most >= 2 and most * 3 >= len(own) else ()


@dataclass(frozen=True, slots=True)
class Checked:
    """A narration after its check: what may air, with the passages of each sentence."""

    narration: Narration
    sentences: tuple[GroundedSentence, ...] = ()
    dropped: tuple[DroppedSentence, ...] = ()
    held: bool = False  # waits for the editor, with the failed sentences in it
    own_words: bool = False  # told in the words of the post, because too much failed


def checked(narration: Narration, brief: Brief, *, may_wait: bool) -> Checked:
    """Checks a narration and decides: it airs without what failed, waits, or is told verbatim.

    A few sentences that fail are dropped. If the lead fails, or more than half of the sentences, the
    story waits for the editor if it may, and is told in the words of the post otherwise. Raises
    EmptyAnswer if nothing is left to tell.
    """
    spoken = narration.spoken or [SpokenSentence(text) for text in sentences(narration.narrative)]
    rows = _verdicts(spoken, brief)
    failed = [row for row in rows if row["support"] == "none"]
    # What was meant as a link is no loss.
    stated = [
        row["support"]
        for row, one in zip(rows, spoken, strict=True)
        if not (one.link or row["support"] == "link")
    ]
    narration = replace(narration, title=_title(narration, brief))
    dropped = tuple(_dropped(row) for row in failed)
    if stated and stated[0] != "none" and 2 * stated.count("none") <= len(stated):
        return _without(narration, rows, dropped)
    if may_wait and failed:
        return Checked(_noted(narration, failed, "to be checked"), tuple(rows), held=True)
    verbatim = ExtractiveNarrator().narrate(brief, lambda _: None)
    own = _verdicts(verbatim.spoken, brief)
    unsafe = tuple(_dropped(row) for row in own if row["support"] == "none")
    told = _without(verbatim, own, unsafe)
    note = _noted(told.narration, failed, "dropped")
    return replace(told, narration=note, dropped=(*dropped, *unsafe), own_words=True)


def _verdicts(spoken: Sequence[SpokenSentence], brief: Brief) -> list[GroundedSentence]:
    """Returns sentences, each with its passages or with the reason why it failed."""
    sources = passages_of(brief, MOST_READ)
    return [_verdict(sentence, sources, brief) for sentence in spoken]


def _verdict(
    sentence: SpokenSentence, sources: Sequence[Passage], brief: Brief
) -> GroundedSentence:
    text = sentence.text
    on_air = " ".join([*brief.recent_titles[:2], brief.upcoming, *(a for a, _ in brief.earlier)])
    named = f"{brief.source}. {brief.author}. {urlsplit(brief.url).hostname or ''}"
    around = Context(brief.title, f"{named}. {on_air}", "", brief.published_at)
    # A link is checked like a sentence whose only passages are the title and the credits.
    of_link: list[Passage] = [{"text": f"{brief.title}. {around.credits}", "report": 0}]
    if sentence.link or _introduces(text, brief):
        reason = problem(text, of_link, around)
        if sentence.link or not reason:
            return _row(text, "link" if not reason else "none", [], reason)
    passages = list(sentence.passages or best_passages(text, sources))
    if not passages:
        return _row(text, "none", [], "It rests on no passage.")
    numbers = [at for at, passage in enumerate(sources) if passage in passages]
    before = " ".join(passage["text"] for passage in sources[1 : min(numbers, default=1)])
    reason = problem(text, passages, replace(around, credits=named, before=before))
    return _row(text, "none" if reason else "passages", passages, reason)


def _row(text: str, support: Support, passages: list[Passage], reason: str) -> GroundedSentence:
    row: GroundedSentence = {"text": text, "support": support, "passages": passages}
    if reason:
        row["reason"] = reason if reason.startswith("It ") else f"Not in its passages: {reason}."
    return row


_LINKING = word_set("""
    here's here next now up coming over turn turning staying back more from story stories report reports
    reporting news hear look listen moment let's that's there's this bring brings update latest details
    following still come go going start begin begins first another one item evening morning good hello
    today's told us our
""")


def _introduces(text: str, brief: Brief) -> bool:
    """Whether a sentence consists of linking words and of names in the title and the credits."""
    known = Text(f"{brief.title} {brief.source} {brief.author} {brief.upcoming}").lower
    words = [_plain(word) for word in _WORD.findall(text)]
    linking = {_plain(word) for word in _LINKING}
    open_ = [word for word in words if word not in known | linking | _STOP]
    return not open_ and any(word in linking for word in words)


def _dropped(row: GroundedSentence) -> DroppedSentence:
    return {"text": row["text"], "reason": row.get("reason", "")}


def _without(
    narration: Narration, rows: Sequence[GroundedSentence], dropped: tuple[DroppedSentence, ...]
) -> Checked:
    """Returns a narration without the sentences that failed. Raises EmptyAnswer if none is left."""
    if not dropped:
        return Checked(narration, tuple(rows))
    text, at = narration.narrative, 0
    for row in rows:
        start = text.find(row["text"], at)
        if row["support"] != "none" or start < 0:
            at = max(start, at)
            continue
        text = f"{text[:start]}{text[start + len(row['text']) :].lstrip(' ')}"
    left = tuple(row for row in rows if row["support"] != "none")
    if not any(row["support"] == "passages" for row in left):
        raise EmptyAnswer("No sentence of the narration is supported by its source.")
    summary = narration.summary
    if any(row["text"] in summary for row in dropped):
        summary = next(row["text"] for row in left if row["support"] == "passages")
    narrative = re.sub(r" +(?=\n|\Z)", "", text)
    shorter = replace(narration, narrative=narrative, summary=summary)
    return Checked(_noted(shorter, dropped, "dropped"), left, dropped)


def _noted(narration: Narration, failed: Sequence[object], what: str) -> Narration:
    number = len(failed)
    if not number:
        return narration
    note = f"{number} sentence{'s' if number > 1 else ''} {what}: not in the source"
    return replace(narration, note=", ".join(filter(None, (narration.note, note))))


def _title(narration: Narration, brief: Brief) -> str:
    """Returns the title if the post supports it, else the title of the post."""
    sources = passages_of(brief, MOST_READ)
    context = Context(brief.title, f"{brief.source}. {brief.author}", "", brief.published_at)
    if problem(narration.title, sources, context):
        return title_of(brief.title) or narration.title
    return narration.title
