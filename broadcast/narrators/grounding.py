"""Decides what airs of a narration: each sentence is checked against the passages it rests on.

The rules are in ``statements``. What fails is dropped; if too much fails, the story waits for the
editor or is narrated in the words of its post. Nothing that failed airs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from broadcast.narrators import presentation
from broadcast.narrators.base import title_of
from broadcast.narrators.extractive import ExtractiveNarrator
from broadcast.narrators.prompts import passages_of
from broadcast.narrators.statements import Context, problem
from broadcast.narrators.wording import ENGLISH, WITHOUT_MEANING, WORD, Text, compared, stems_of
from stories.llm import EmptyAnswer
from stories.text.sentences import sentences, word_set
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
_LINKING = frozenset(map(compared, word_set(ENGLISH["linking"])))


@dataclass(frozen=True, slots=True)
class Checked:
    """A narration after its check: what may air, with the passages of each sentence."""

    narration: Narration
    sentences: tuple[GroundedSentence, ...] = ()
    dropped: tuple[DroppedSentence, ...] = ()
    held: bool = False  # waits for the editor, with the failed sentences in it
    own_words: bool = False  # in the words of the post, because too much failed


def checked(narration: Narration, brief: Brief, *, may_wait: bool) -> Checked:
    """Checks a narration and decides: it airs without what failed, waits, or becomes verbatim.

    Outlets of the event that it does not credit are credited.
    A few sentences that fail are dropped. If the lead fails, or more than half of the sentences, the
    story waits for the editor if it may; otherwise the words of the post replace it. Raises
    EmptyAnswer if no sentence is left.
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
        return _credited(_without(narration, rows, dropped), brief)
    if may_wait and failed:
        noted = _noted(narration, failed, "to be checked")
        return _credited(Checked(noted, tuple(rows), held=True), brief)
    verbatim = ExtractiveNarrator().narrate(brief, lambda _: None)
    own = _verdicts(verbatim.spoken, brief)
    unsafe = tuple(_dropped(row) for row in own if row["support"] == "none")
    result = _credited(_without(verbatim, own, unsafe), brief)
    note = _noted(result.narration, failed, "dropped")
    return replace(result, narration=note, dropped=(*dropped, *unsafe), own_words=True)


def _verdicts(spoken: Sequence[SpokenSentence], brief: Brief) -> list[GroundedSentence]:
    """Returns sentences, each with its passages or with the reason why it failed."""
    sources = passages_of(brief, MOST_READ)
    return [_verdict(sentence, sources, brief) for sentence in spoken]


def _verdict(
    sentence: SpokenSentence, sources: Sequence[Passage], brief: Brief
) -> GroundedSentence:
    text = sentence.text
    on_air = " ".join([*brief.recent_titles[:2], brief.upcoming, *(a for a, _ in brief.earlier)])
    outlets = [brief.source, *(other.source for other in brief.others)]
    about = f"{brief.author}. {urlsplit(brief.url).hostname or ''}"
    everywhere = f"{'. '.join(outlets)}. {about}"
    report = " ".join(passage["text"] for passage in sources)
    around = Context(
        brief.title, f"{everywhere}. {on_air}", "", brief.published_at, report, brief.language
    )
    # A link is checked like a sentence whose only passages are the title and the credits.
    of_link: list[Passage] = [{"text": f"{brief.title}. {around.credits}", "report": 0}]
    if sentence.link or _introduces(text, brief):
        reason = problem(text, of_link, replace(around, report=None))
        if sentence.link or not reason:
            return _row(text, "link" if not reason else "none", [], reason)
    passages = list(sentence.passages or best_passages(text, sources))
    if not passages:
        return _row(text, "none", [], "It rests on no passage.")
    first = min((at for at, one in enumerate(sources) if one in passages), default=1)
    outlet = sources[first]["report"] if first < len(sources) else 0
    before = " ".join(one["text"] for one in sources[1:first] if one["report"] == outlet)
    # What one outlet reports must not be credited to another one alone.
    cited = {outlets[max(passage["report"], 0)] for passage in passages}
    named = everywhere if any(names(text, one) for one in cited) else ". ".join(cited)
    context = replace(around, credits=f"{named}. {about}", before=before)
    reason = problem(text, passages, context)
    return _row(text, "none" if reason else "passages", passages, reason)


def names(text: str, outlet: str) -> bool:
    """Whether a text names an outlet: it has all words of the name that carry meaning."""
    words = {compared(word) for word in WORD.findall(outlet)} - WITHOUT_MEANING
    return bool(words) and words <= Text(text).lower


def _credited(result: Checked, brief: Brief) -> Checked:
    """Adds the credit of each outlet that reports the event and that no sentence names.

    It follows the last sentence that rests on that outlet, or the story if none does.
    """
    narrative, rows = result.narration.narrative, list(result.sentences)
    silent: list[str] = []
    for number, other in enumerate(brief.others, 1):
        if other.older or names(narrative, other.source):
            continue
        resting = [
            at
            for at, row in enumerate(rows)
            if any(passage["report"] == number for passage in row["passages"])
        ]
        if not resting:
            silent.append(other.source)
            continue
        text = rows[resting[-1]]["text"]
        credit = presentation.according_to(brief, other.source)
        end = narrative.rfind(text) + len(text)
        narrative = f"{narrative[:end]} {credit}{narrative[end:]}"
        rows.insert(resting[-1] + 1, _row(credit, "link", [], ""))
    if silent:
        credit = presentation.also_report(brief, silent)
        narrative = f"{narrative} {credit}"
        rows.append(_row(credit, "link", [], ""))
    narration = replace(result.narration, narrative=narrative)
    return replace(result, narration=narration, sentences=tuple(rows))


def compared_with(
    passages: Sequence[Passage], context: Context
) -> Callable[[str], GroundedSentence]:
    """Returns what compares a sentence that an editor wrote with the passages of a story."""

    def compare(sentence: str) -> GroundedSentence:
        chosen = list(best_passages(sentence, passages))
        reason = problem(sentence, chosen, context) if chosen else "It rests on no passage."
        return _row(sentence, "editor", [] if reason else chosen, reason)

    return compare


def _row(text: str, support: Support, passages: list[Passage], reason: str) -> GroundedSentence:
    row: GroundedSentence = {"text": text, "support": support, "passages": passages}
    if reason:
        row["reason"] = reason if reason.startswith("It ") else f"Not in its passages: {reason}."
    return row


def best_passages(sentence: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Returns the passage that shares the most words with a sentence, or none if they share few.

    Only the choice of a passage is by words in common; the sentence must still pass the check.
    """
    own = stems_of(sentence)
    shared = [(len(own & stems_of(passage["text"])), -at) for at, passage in enumerate(passages)]
    most, at = max(shared, default=(0, 0))
    return (passages[-at],) if most >= 2 and most * 3 >= len(own) else ()


def _introduces(text: str, brief: Brief) -> bool:
    """Whether a sentence consists of linking words and of names in the title and the credits."""
    others = " ".join(other.source for other in brief.others)
    known = Text(f"{brief.title} {brief.source} {others} {brief.author} {brief.upcoming}").lower
    words = [compared(word) for word in WORD.findall(text)]
    known_too = known | _LINKING | WITHOUT_MEANING
    return all(word in known_too for word in words) and any(word in _LINKING for word in words)


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
    narrative = re.sub(r"(?<! ) +(?=\n|\Z)", "", text)
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
    credits_ = f"{brief.source}. {brief.author}"
    context = Context(
        brief.title, credits_, "", brief.published_at, brief.title, language=brief.language
    )
    if problem(narration.title, sources, context):
        return title_of(brief.title) or narration.title
    return narration.title
