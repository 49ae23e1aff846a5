"""The producer without a model: answers by rules, and says what it can do.

Questions by rule: answered from the facts alone, in plain sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from broadcast.chat import intents, plans
from broadcast.chat.facts import Inquiry, Reply, Wanted, subject_of
from sessions_app.errors import SmnbError
from sessions_app.models import Session
from stories.llm import EXTRACTIVE

SHOWN = 5

HELP = (
    "I work by rules here, so I understand plain sentences such as these. To ask: “What did we tell "
    "about ferries?”, “What is next?”, “What does it cost?”, “How is it going?”. To change "
    "something: “More science, less sport, slower”, “Prepare a special on tides”, “Be more "
    "formal”, “Speak German”, “Put tidal power on the board Research”, “Pin …”, “Bookmark …”. "
    "A change is shown to you first and done only when you press Apply."
)


def answered(inquiry: Inquiry) -> str:
    """The answer to a question; "" where no rule fits."""
    low = inquiry.text.lower()
    for pattern, answer in _QUESTIONS:
        if pattern.search(low):
            return answer(inquiry)
    return _found(inquiry) if inquiry.facts.found else ""


def _count(number: int, thing: str, things: str = "") -> str:
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def _cost(inquiry: Inquiry) -> str:
    seen = inquiry.facts.figures
    told = f"So far it cost {seen['cost']}, for {_count(seen['total_tokens'], 'token')}."
    if seen["unpriced"]:
        told += (
            f" No price is known for {_count(seen['unpriced'], 'call')}, so it is at least that."
        )
    if seen["budget"] is None:
        return f"{told} There is no budget, so nothing stops it."
    return f"{told} The budget is {seen['budget']}; {seen['left']} of it is left."


def _next(inquiry: Inquiry) -> str:
    facts = inquiry.facts
    parts = []
    if facts.stories_waiting:
        parts.append(f"Written and waiting: {_titles(facts.stories_waiting)}.")
    if facts.next:
        parts.append(f"Then from the queue: {_titles(facts.next)}.")
        parts.append(f"{_count(facts.figures['queue'], 'post')} wait in all.")
    return " ".join(parts) or "Nothing waits: the producer fills the queue while we are live."


def _titles(rows: Sequence[dict[str, object]]) -> str:
    return "; ".join(f"“{row['title']}”" for row in rows[:SHOWN])


def _on_air(inquiry: Inquiry) -> str:
    facts = inquiry.facts
    if facts.on_air:
        return f"On air now: “{facts.on_air}”."
    return "Nothing is on air just now." + ("" if facts.state == "live" else " We are off air.")


def _figures(inquiry: Inquiry) -> str:
    facts, seen = inquiry.facts, inquiry.facts.figures
    return (
        f"{facts.name} is {'live' if facts.state == 'live' else 'off air'}. We wrote "
        f"{_count(seen['story_count'], 'story', 'stories')} with {_count(seen['words'], 'word')}, "
        f"read {_count(seen['feed'], 'post')}, and {_count(seen['queue'], 'post')} wait. "
        f"{_cost(inquiry)}"
    )


def _latest(inquiry: Inquiry) -> str:
    memory = inquiry.facts.memory
    if not memory.titles and not memory.summary:
        return "We have told nothing yet."
    before = f"{memory.summary} " if memory.summary else ""
    latest = "; ".join(f"“{title}”" for title in memory.titles[:SHOWN])
    return f"{before}Latest: {latest}." if latest else before.strip()


def _about(inquiry: Inquiry) -> str:
    if not subject_of(inquiry.text):
        return _latest(inquiry)
    return _found(inquiry)


def _found(inquiry: Inquiry) -> str:
    about = " ".join(subject_of(inquiry.text))
    found = inquiry.facts.found
    if not found:
        return f"I find no story about “{about}” in this session."
    lines = [f"• {_state(row)}“{row['title']}”: {row['summary']}" for row in found[:SHOWN]]
    return f"About “{about}” I find:\n" + "\n".join(lines)


def _state(row: dict[str, str]) -> str:
    return "(waits) " if row["state"] in {"written", "approved"} else ""


def _settings(inquiry: Inquiry) -> str:
    facts = inquiry.facts
    kept = facts.settings
    wishes = ", ".join(f"{each['weight']} {each['text']}" for each in facts.interests)
    return (
        f"The host tells in a {kept['personality']} manner, {kept['verbosity']}, at {kept['pace']} "
        f"words a minute, in the language {kept['language']}; control mode {kept['control_mode']}. "
        f"Interests: {wishes or 'none'}."
    )


_QUESTIONS: tuple[tuple[re.Pattern[str], Callable[[Inquiry], str]], ...] = (
    (re.compile(r"\b(?:cost|costs|spent|spend|budget|money|expensive|price)\b"), _cost),
    (re.compile(r"\b(?:next|queue|rundown|upcoming|waiting|coming up)\b"), _next),
    (re.compile(r"\bon (?:the )?air\b|\b(?:right now|airing)\b"), _on_air),
    (re.compile(r"\b(?:settings|interests|personality|pace|language)\b.*\?"), _settings),
    (re.compile(r"\bhow (?:are we|is it|many|much)\b|\b(?:figures|statistics|stats)\b"), _figures),
    (re.compile(r"\b(?:what did|what have|did we|have we|find|search|told|tell me)\b"), _about),
    (re.compile(r"\b(?:summary|summari[sz]e|recap|so far)\b"), _latest),
)


PLANNED = "This is what I understand. Nothing changes until you press Apply."


class RuleAnswerer:
    """Asks nobody and costs nothing; ``note`` is said first, e.g. why no model is asked."""

    model = EXTRACTIVE

    def __init__(self, note: str = "") -> None:
        self._note = note

    def answer(self, inquiry: Inquiry, on_text: Callable[[str], None]) -> Reply:
        wanted = [(each, _reason(inquiry.session, each)) for each in intents.wanted(inquiry)]
        fit = tuple(each for each, reason in wanted if not reason)
        reasons = [reason for _, reason in wanted if reason]
        text = f"{self._note} {_said(inquiry, fit, reasons)}".strip()
        on_text(text)
        return Reply(text, fit)


def _said(inquiry: Inquiry, fit: Sequence[Wanted], reasons: Sequence[str]) -> str:
    """What is understood, and why some of it cannot be; else the answer to a question."""
    if fit or reasons:
        return " ".join([PLANNED, *reasons] if fit else reasons)
    return answered(inquiry) or HELP


def _reason(session: Session, wanted: Wanted) -> str:
    """Why something cannot be proposed; "" when it can."""
    try:
        plans.checked(session, *wanted)
    except SmnbError as error:
        return error.sentence
    return ""
