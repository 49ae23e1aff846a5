"""The producer without a model: answers questions from the facts by fixed rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from broadcast.chat import intents, plans
from broadcast.chat.facts import Inquiry, Reply, Suggestion, subject_of
from sessions_app.errors import SmnbError
from stories.llm import EXTRACTIVE
from stories.market.ngrams import STOP_WORDS
from stories.text.sentences import word_set

SHOWN = 5

HELP = (
    "I do not know what you mean by that, so nothing is changed. I work by rules here and understand "
    "plain sentences such as these. To ask: “What stories have we done about ferries?”, “How many "
    "stories about the storm?”, “What is next?”, “What does it cost?”, “How is it going?”. To run "
    "the broadcast: “Go live”, “Stop after this story”, “Break in: …”, “Approve it”, “Take it off "
    "the air”. To change something: “More science, less sport, slower”, “Hold the next one”, “Pin "
    "…”, “Prepare a special on tides”, “Be more formal”, “Speak German”. You see each change first, "
    "and it is made only when you press Apply."
)
PLANNED = "This is what I understand. Nothing changes until you press Apply."


def answer_to(inquiry: Inquiry) -> str:
    """Returns the answer to a question; "" when no rule matches.

    A rule matches when its pattern is in the question and it knows every other word, so that "What
    is the price of bread?" is not about our costs.
    """
    text = inquiry.text.lower()
    content = set(_WORDS.findall(text)) - STOP_WORDS - _COMMON
    asks = text.rstrip().endswith("?") or _ASKS.match(text) or len(content) <= SHORT
    for pattern, known, answer in QUESTIONS:
        if asks and pattern.search(text) and (known is None or content <= known):
            return answer(inquiry)
    # A few words that are all in one story are its subject.
    named = 0 < len(content) <= SHORT and inquiry.facts.found_count
    return about(inquiry) if named else ""


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


def how_many(inquiry: Inquiry) -> str:
    """Counts the stories about a subject, or all of them."""
    subject, number = " ".join(subject_of(inquiry.text)), inquiry.facts.found_count
    if not subject:
        return f"We wrote {count(inquiry.facts.figures['story_count'], 'story', 'stories')} so far."
    if not number:
        return f"I find no story about “{subject}” in this session."
    newest = titles(inquiry.facts.found)
    return f"{count(number, 'story', 'stories')} about “{subject}”. The newest: {newest}."


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


_WORDS = re.compile(r"[^\W_]{2,}")
SHORT = 3  # words with a meaning
_ASKS = re.compile(
    r"(?:what|how|which|who|when|where|why|is|are|do|does|did|have|has|any|anything|tell me|show|list"
    r"|sum|summari[sz]e|recap|find|search|count|can you tell)\b"
)
# Words that any question may have.
_COMMON = word_set(
    "broadcast broadcasting show programme program session run studio story stories post posts news "
    "item items host producer today tonight currently moment please whats tell left number total"
)
_COST = word_set(
    "cost costs spent spend spending budget money expensive price token tokens use used pay paid bill"
)
_NEXT = word_set("next queue queued rundown upcoming waiting waits wait coming line lined follows")
_ON_AIR = word_set("air airing live playing reading read")
_SETTINGS = word_set(
    "settings interests personality pace language speed verbosity control mode manner voice fast slow "
    "speak set"
)
_PROGRESS = word_set(
    "air live going figures statistics stats status doing progress off state words written wrote long"
)
_LATEST = word_set("sum summary summarise summarize recap far happened told covered latest")
# The first rule that matches decides, so the narrower ones come first. A rule without words is about
# the words that it does not know.
QUESTIONS: tuple[tuple[re.Pattern[str], frozenset[str] | None, Callable[[Inquiry], str]], ...] = (
    (re.compile(r"\b(?:costs?|spen[dt]|budget|money|expensive|price|tokens?)\b"), _COST, cost),
    (re.compile(r"\b(?:next|queued?|rundown|upcoming|waiting|coming up)\b"), _NEXT, next_up),
    (re.compile(r"\b(?:are we|is it|status|state)\b"), _PROGRESS, progress),
    (re.compile(r"\bon (?:the )?air\b|\b(?:right now|airing|playing)\b"), _ON_AIR, on_air),
    (
        re.compile(r"\b(?:settings|interests|personality|pace|language|speed)\b"),
        _SETTINGS,
        settings,
    ),
    (re.compile(r"\bhow (?:many|often)\b|\bnumber of\b|^count\b"), None, how_many),
    (
        re.compile(r"\bhow (?:are we|much|long)\b|\b(?:figures|statistics|stats)\b"),
        _PROGRESS,
        progress,
    ),
    (re.compile(r"\b(?:summary|summari[sz]e|sum up|recap|so far|latest)\b"), _LATEST, latest),
    (
        re.compile(
            r"\bwhat (?:did|have|do) we\b|\b(?:did|have|do) we\b|^(?:find|search)\b|\btell me about\b"
            r"|\b(?:stories|anything) (?:about|on)\b"
        ),
        None,
        about,
    ),
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
