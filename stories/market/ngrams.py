"""Keywords of a post: names first, then the significant words and phrases of its headline.

Takes linear time: texts are cut to a limit first, and the patterns do not backtrack. The stop words
cover the languages that most feeds are written in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stories.text.sentences import NO_NAME, in_title_case, names_in, sentences, word_set

_ENGLISH = word_set("""
    above across actually again against ahead almost alone along already also although always am
    among amid another any anyone anything are around away back be became because become been
    behind being below best better between beyond big bigger both brings came can cannot come comes
    could did does doing done down due during early either else end enough even ever every everyone
    everything ever far few find finds first follow following former found full further gets get
    getting give given gives go goes going gone good got great had has have having help her him
    himself how however including instead into itself keep keeps kept know known large largest last
    late later latest least less likely little live long longer look looks lot made main make makes
    making many may maybe me mean means might mine month months much must near nearly need needs
    never newly next nearby none nothing now off often old older once only onto open other others
    our out over own part past people per perhaps place plan plans put quite rather ready really
    recent recently report reported reportedly reports right said same say saying says second see
    seen sees set sets several shall she should show shows side since small soon still start starts
    such sure take takes taken taking tell tells than thank thanks their them themselves there
    these thing things think third those though thought through thus time times together told too
    took toward towards tried tries try trying turn turned turns twice under unless unlike until up
    upon us use used uses using usual usually very via want wants was way ways week weeks well went
    were whether whom whose whole with within without won work works would year years yet your
    yours day days hour hours minute minutes news video watch photo photos comment comments column
    editorial explainer breaking story stories today's says it's that's don't doesn't isn't won't
    can't i'm you're they're we're there's what's who's let's didn't wasn't aren't couldn't
    wouldn't shouldn't haven't hasn't i've i'd i'll he's she's above-mentioned percent per cent
    million billion thousand hundred dozen dozens eleven twelve twenty thirty forty fifty begin
    begins began begun arrive arrives arrived carry carries sent stay stays runs running finally
    outside kilometres kilometers metres meters kilograms mondays tuesdays wednesdays thursdays
    fridays saturdays sundays keeping bring brought call calls called happen happens happened
""")

_OTHERS = word_set("""
    aber alle allem allen aller alles als also auch auf aus bei beim bin bis das dass dem den denn
    der des die dies diese diesem diesen dieser dieses doch dort durch ein eine einem einen einer
    eines eher etwa etwas euch für gegen gibt habe haben hat hatte hatten hier ich ihm ihn ihnen ihr
    ihre ihrem ihren ihrer immer ist jede jeder jedes jetzt kann kein keine können mehr mein mit
    muss nach nicht nichts noch nun nur oder ohne schon sehr sein seine seinem seinen seiner seit
    sich sie sind soll sollen sondern über und uns unter viel viele vom von vor war waren was wegen
    weil welche wenn werden wie wieder will wir wird worden wurde wurden zum zur zwei zwischen
    ainsi alors après avant avec avoir bien cela ces cet cette ceux chez comme contre dans depuis
    des deux donc dont elle elles encore entre est était être fait faire les leur leurs lors mais
    mes même moins nos notre nous ont parce par pas pendant peut plus pour pourquoi quand que quel
    quelle qui quoi sans ses soit son sont sous sur tous tout toute toutes trois très une vers
    votre vous
    además ahora al algo antes así aún años cada casi como con contra cual cuando del desde después
    donde dos durante ella ellos entre era esa ese eso esta está están este esto estos fue fueron
    han hasta hay los las más menos mismo muy nos nosotros para pero poco por porque puede que
    quien sea según ser será sin sobre son sus también tan tiene todo todos tras tres una uno unos
    ya
    ao aos ainda até com das dela dele depois dos ele eles em essa esse está foi isso mais mas mesmo
    muito na nas não nos num numa onde os ou para pela pelo por quando que quem são sem será seu
    sua também tem uma um você
    alla alle anche ancora che chi come con cosa così dal dalla degli dei del della delle dello
    dopo dove due era gli hanno il loro ma nel nella nelle non ogni per perché più poi prima quale
    quando quella quello questa questo sono stato sua sul sulla suo tra tutti tutto una uno
    aan als bij dat deze door een geen haar heeft het hij hoe hun ik in is kan maar meer met naar
    niet nog nu om onder ons ook op over te tot uit van veel voor waar was wat werd wie wij wordt
    zal zich zijn zo
""")

# Articles that, at the start of a sentence, look like part of a name ("Der Hafen", not "Los Angeles").
ARTICLES = word_set("der die das den dem des ein eine einen einem einer les une il gli het een")

STOP_WORDS = NO_NAME | _ENGLISH | _OTHERS

MOST = 8
MOST_NAMES = 5
LONGEST = 3  # words of a phrase
READ_TITLE = 300
READ_BODY = 1500
TITLE_WEIGHT = 2
MAX_KEY = 80

_MOST_SENTENCES = 24
_LONGEST_WORD = 32
_TOKEN = re.compile(r"[^\W_][\w'\u2019\u2011-]*+|[^\w\s]")
_SEPARATORS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Keyword:
    """``key`` is without case and punctuation; ``label`` is as people write it."""

    key: str
    label: str


@dataclass(slots=True)
class _Candidate:
    """A possible keyword; ``order`` counts the candidates before it in the text."""

    label: str
    name: bool
    weight: int = 0
    times: int = 0
    order: int = 0


def key_of(text: str) -> str:
    """Returns one key for all spellings: "Car-Free" and "car free" are the same."""
    return " ".join(_SEPARATORS.split(text.casefold())).strip()[:MAX_KEY]


def keywords_of(title: str, body: str) -> list[Keyword]:
    """Returns at most eight keywords, the most significant first."""
    headline = title[:READ_TITLE]
    letters = [char for char in headline if char.isalpha()]
    if len(letters) > 10 and sum(char.isupper() for char in letters) > 0.6 * len(letters):
        # In a headline of capitals, a capital letter does not mark a name.
        headline = headline.lower()
    rest = sentences(body[:READ_BODY])[:_MOST_SENTENCES]
    with_names = rest if in_title_case(headline) else [headline, *rest]
    # Names that occur inside a sentence, where only a name has a capital letter.
    proven = {name for text in with_names for name, opens in _names(text) if not opens}
    candidates: dict[str, _Candidate] = {}
    _count(candidates, headline, TITLE_WEIGHT, proven, with_names=headline in with_names)
    in_headline = set(candidates)
    for sentence in rest:
        _count(candidates, sentence, 1, proven, with_names=True)
    return _select(candidates, in_headline)


def _select(candidates: dict[str, _Candidate], in_headline: set[str]) -> list[Keyword]:
    """Returns names first, then the rest by weight, without parts of longer phrases."""
    relevant: dict[str, _Candidate] = {}
    for key, candidate in candidates.items():
        words = _words(key)
        # What is neither a name nor a word or pair of the headline has to be repeated in the body.
        repeated = candidate.times >= (2 if words > 1 else LONGEST)
        if candidate.name or repeated or (key in in_headline and words < LONGEST):
            relevant[key] = candidate
    ranked = sorted(
        relevant.items(), key=lambda item: (-item[1].weight, _words(item[0]), item[1].order)
    )
    whole = [
        (key, candidate) for key, candidate in ranked if not _is_part(key, candidate, relevant)
    ]
    # Names are limited, so that a post full of them still gets keywords of its subject.
    names = [item for item in whole if item[1].name][:MOST_NAMES]
    others = [item for item in whole if not item[1].name]
    return [Keyword(key, candidate.label) for key, candidate in [*names, *others][:MOST]]


def _names(text: str) -> Iterator[tuple[str, bool]]:
    """Yields each name in a sentence, and whether the sentence begins with it."""
    start = text.lstrip("\"'\u201c\u2018\u00ab([ ")
    return ((name, start.startswith(name)) for name, proven in names_in(text) if proven)


def _count(
    candidates: dict[str, _Candidate],
    text: str,
    weight: int,
    proven: set[str],
    *,
    with_names: bool,
) -> None:
    """Counts the names in a sentence, then the phrases in what is left of it."""
    rest = text
    for whole, opens in _names(text) if with_names else ():
        name = whole
        if opens and whole not in proven:
            # Without words that belong to the sentence: "Der Hafen", "Teenagers of Tavish Reach".
            first, _, more = whole.partition(" ")
            name = more if more and first.lower() in ARTICLES else whole
            name = (name.partition(" of ")[2] or name).removeprefix("the ")
        key = key_of(name)
        if len(key) > 1 and key not in STOP_WORDS:
            _add(candidates, key, name, weight, name=True)
            # The mark keeps the words before and after a name from forming a phrase.
            rest = rest.replace(name, " | ")
    for phrase in _phrases(rest):
        label = " ".join(phrase)
        key = key_of(label)
        # What was a name before is a name here too.
        _add(candidates, key, label, weight, name=key in candidates and candidates[key].name)


def _add(
    candidates: dict[str, _Candidate], key: str, label: str, weight: int, *, name: bool
) -> None:
    candidate = candidates.setdefault(key, _Candidate(label, name, order=len(candidates)))
    if name and not candidate.name:
        candidate.name, candidate.label = True, label
    candidate.weight += weight
    candidate.times += 1


def _phrases(text: str) -> Iterator[list[str]]:
    """Yields runs of one to three significant words that follow each other."""
    run: list[str] = []
    for token in _TOKEN.findall(text):
        word = re.sub(r"['\u2019]s?$", "", token).strip("-\u2011")
        if not _is_significant(word):
            run = []
            continue
        run = [*run[1 - LONGEST :], word if _is_acronym(word) else word.lower()]
        for length in range(1, len(run) + 1):
            # A longer key would be cut, and two phrases could become one.
            if len("".join(run[-length:])) < MAX_KEY - LONGEST:
                yield run[-length:]


def _is_acronym(word: str) -> bool:
    return 2 <= len(word) <= 5 and word.isupper()


def _is_significant(word: str) -> bool:
    """Returns whether a word may be a keyword: not too short, no number, no stop word."""
    if not word or len(word) > _LONGEST_WORD or not any(char.isalpha() for char in word):
        return False
    # "US" and "IT" are names of their own, although their lower case is a stop word.
    if word[0].isdigit() or word.lower().replace("\u2019", "'") in STOP_WORDS:
        return _is_acronym(word) and word.isalpha()
    # Words of other scripts than Latin are shorter.
    least = 4 if word[0] < "\u0250" else 2
    return len(word) >= least or _is_acronym(word)


def _words(key: str) -> int:
    return key.count(" ") + 1


def _is_part(key: str, candidate: _Candidate, candidates: dict[str, _Candidate]) -> bool:
    """Returns whether a longer name or a repeated phrase contains this one and occurs as often.

    A longer phrase that occurs once proves nothing: the next post may have its words apart.
    """
    return any(
        len(other_key) > len(key)
        and f" {key} " in f" {other_key} "
        and other.times >= candidate.times
        and (other.name or other.times > 1)
        for other_key, other in candidates.items()
    )
