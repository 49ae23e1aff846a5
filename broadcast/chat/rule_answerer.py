"""The producer without a model: answers questions from the facts by fixed rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from broadcast.chat import intents, plans
from broadcast.chat.facts import Inquiry, Reply, Suggestion, subject_of
from sessions_app.errors import SmnbError
from stories.llm import EXTRACTIVE

SHOWN = 5

HELP = (
    "I work by rules here, so I understand plain sentences such as these. To ask: “What stories "
    "have we done about ferries?”, “What is next?”, “What does it cost?”, “How is it going?”. To "
    "change something: “More science, less sport, slower”, “Prepare a special on tides”, “Be more "
    "formal”, “Speak German”, “Put tidal power on the board Research”, “Pin …”, “Bookmark …”. "
    "You see each change first, and it is made only when you press Apply."
)
PLANNED = "This is what I understand. Nothing changes until you press Apply."


def answer_to(inquiry: Inquiry) -> str:
    """Returns the answer to a question; "" when no rule matches."""
    text = inquiry.text.lower()
    for pattern, answer in QUESTIONS:
        if pattern.search(text):
            return answer(inquiry)
    return about(inquiry) if inquiry.facts.found else ""


def count(number: int, thing: str, things: str = "") -> str:
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def titles(rows: Sequence[Mapping[str, object]]) -> str:
    return "; ".join(f"“{row['title']}”" for row in rows[:SHOWN])


def cost(inquiry: Inquiry) -> str:
    figures = inquiry.facts.figures
    text = f"So far it cost {figures['cost']}, for {count(figures['total_tokens'], 'token')}."
    if figures["unpriced"]:
        calls = count(figures["unpriced"], "call")
        text += f" No price is known for {calls}, so it is at least that."
    if figures["budget"] is None:
        return f"{text} There is no budget, so nothing stops it."
    return f"{text} The budget is {figures['budget']}; {figures['left']} of it is left."


def next_up(inquiry: Inquiry) -> str:
    facts = inquiry.facts
    parts = []
    if facts.stories_waiting:
        parts.append(f"Written and waiting: {titles(facts.stories_waiting)}.")
    if facts.next:
        parts.append(f"Then from the queue: {titles(facts.next)}.")
        parts.append(f"{count(facts.figures['queue'], 'post')} wait in all.")
    return " ".join(parts) or "Nothing waits: the producer fills the queue while we are live."


def on_air(inquiry: Inquiry) -> str:
    facts = inquiry.facts
    if facts.on_air:
        return f"On air now: “{facts.on_air}”."
    return "Nothing is on air just now." + ("" if facts.state == "live" else " We are off air.")


def progress(inquiry: Inquiry) -> str:
    facts, figures = inquiry.facts, inquiry.facts.figures
    return (
        f"{facts.name} is {'live' if facts.state == 'live' else 'off air'}. We wrote "
        f"{count(figures['story_count'], 'story', 'stories')} with "
        f"{count(figures['words'], 'word')}, read {count(figures['feed'], 'post')}, and "
        f"{count(figures['queue'], 'post')} wait. {cost(inquiry)}"
    )


def latest(inquiry: Inquiry) -> str:
    memory = inquiry.facts.memory
    if not memory.titles and not memory.summary:
        return "There are no stories yet."
    headlines = "; ".join(f"“{title}”" for title in memory.titles[:SHOWN])
    parts = [memory.summary, f"Latest: {headlines}." if headlines else ""]
    return " ".join(part for part in parts if part)


def about(inquiry: Inquiry) -> str:
    """Returns the stories that match the subject; the latest ones when no subject is named."""
    subject = " ".join(subject_of(inquiry.text))
    rows = inquiry.facts.found
    if not subject:
        return latest(inquiry)
    if not rows:
        return f"I find no story about “{subject}” in this session."
    lines = [f"About “{subject}” I find:"]
    for row in rows[:SHOWN]:
        waits = "(waits) " if row["state"] in {"written", "approved"} else ""
        lines.append(f"• {waits}“{row['title']}”: {row['summary']}")
    return "\n".join(lines)


def settings(inquiry: Inquiry) -> str:
    facts = inquiry.facts
    values = facts.settings
    interests = ", ".join(f"{row['weight']} {row['text']}" for row in facts.interests)
    return (
        f"The host speaks in a {values['personality']} manner, {values['verbosity']}, at "
        f"{values['pace']} words per minute, in the language {values['language']}; control mode "
        f"{values['control_mode']}. Interests: {interests or 'none'}."
    )


# The first pattern that matches decides, so the narrower ones come first.
QUESTIONS: tuple[tuple[re.Pattern[str], Callable[[Inquiry], str]], ...] = (
    (re.compile(r"\b(?:cost|costs|spent|spend|budget|money|expensive|price)\b"), cost),
    (re.compile(r"\b(?:next|queue|rundown|upcoming|waiting|coming up)\b"), next_up),
    (re.compile(r"\bon (?:the )?air\b|\b(?:right now|airing)\b"), on_air),
    (re.compile(r"\b(?:settings|interests|personality|pace|language)\b.{0,200}\?"), settings),
    (re.compile(r"\bhow (?:are we|is it|many|much)\b|\b(?:figures|statistics|stats)\b"), progress),
    (re.compile(r"\b(?:what did|what have|did we|have we|find|search|told|tell me)\b"), about),
    (re.compile(r"\b(?:summary|summari[sz]e|recap|so far)\b"), latest),
)


class RuleAnswerer:
    """Answers without a model and without cost; ``note`` begins each answer."""

    model = EXTRACTIVE

    def __init__(self, note: str = "") -> None:
        self._note = note

    def answer(self, inquiry: Inquiry, on_text: Callable[[str], None]) -> Reply:
        accepted: list[Suggestion] = []
        refusals: list[str] = []
        for suggestion in intents.suggestions(inquiry):
            try:
                plans.checked(inquiry.session, *suggestion)
            except SmnbError as error:
                refusals.append(error.sentence)
            else:
                accepted.append(suggestion)
        if accepted:
            text = " ".join([PLANNED, *refusals])
        else:
            text = " ".join(refusals) or answer_to(inquiry) or HELP
        text = f"{self._note} {text}".strip()
        on_text(text)
        return Reply(text, tuple(accepted))
