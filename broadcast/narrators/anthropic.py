"""The narrator that asks a model of Anthropic, the check of its answer, and the choice of a narrator.

An answer is checked before it is published: addresses, the rules, length, labels and the tag.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from threading import Event
from urllib.parse import urlsplit

from broadcast.narrators.base import (
    MAX_TITLE,
    MAX_TOPIC,
    MAX_TOPICS,
    RULE_SENTIMENT,
    Narrator,
    title_of,
    tone_of,
    topics_of,
    whole_sentences,
)
from broadcast.narrators.extractive import ExtractiveNarrator
from broadcast.narrators.prompts import SYSTEM as _SYSTEM
from broadcast.narrators.prompts import (
    ask_for,
    passages_of,
    split_marks,
    spoken_sentences,
    without_marks,
)
from sessions_app.errors import NeedsHuman
from sessions_app.models import Session
from stories.llm import Answer, EmptyAnswer, Gateway, gateway_for
from stories.llm.partial_json import is_prose, narration_so_far, parsed
from stories.text.addresses import site_of, sites_in, without_addresses
from stories.text.cleaning import clean_line, clean_text, cut
from stories.text.sentences import sentences
from stories.types import SENTIMENTS, TONES, Brief, Narration, OnText, Tone
from stories.usage.types import Ledger

MAX_CHARACTERS = {"concise": 1200, "detailed": 2400, "comprehensive": 3600}
MAX_SUMMARY = 300
_ENOUGH = 25  # characters; a broken answer with fewer is no story

_LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\(\s?[^()\s]{1,2000}\s?\)")
_UNFINISHED = re.compile(r"(?<![!-~])[!-~]+\Z")
_EMPTY_BRACKETS = re.compile(r"\s?(?:\(\s*\)|\[\s*\])")
_SPACE_BEFORE_STOP = re.compile(r"(?<! ) +(?=[.,;:!?](?:\s|$))")


# Letters and digits in a row that show that a text repeats the rules, whatever is between them: in
# scripts that write words with letters, and in those that write them with one sign or two.
RUN, RUN_OF_SIGNS = 24, 8


def letters_of(text: str) -> str:
    """Returns the letters and digits of a text in lower case, without what is between them."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in plain if char.isalnum())


def runs(letters: str, step: int = 1) -> set[str]:
    """Returns the sequences of letters from each ``step``-th letter on."""
    sequences: set[str] = set()
    for run in (RUN, RUN_OF_SIGNS):
        found = (letters[at : at + run] for at in range(0, len(letters) - run + 1, step))
        # Words of a few signs would otherwise need as many as words of letters.
        sequences |= {each for each in found if (min(each) >= "\u0e00") == (run == RUN_OF_SIGNS)}
    return sequences


class Review:
    """Checks the answer to one brief; ``tag``, the name of its block, must not be published."""

    def __init__(self, brief: Brief, tag: str) -> None:
        self._brief = brief
        self._tag = re.compile(rf"</?{re.escape(tag)}>?|{re.escape(tag)}", re.IGNORECASE)
        self._limit = MAX_CHARACTERS.get(brief.verbosity, MAX_CHARACTERS["detailed"])
        reports = f"{brief.title} {brief.body} {brief.so_far} " + " ".join(
            f"{other.source} {other.title} {other.body}" for other in brief.others
        )
        self._names = sites_in(reports)
        host = urlsplit(brief.url).hostname or ""
        credited = {host: brief.source, brief.source: brief.source}
        credited |= {other.source: other.source for other in brief.others}
        self._outlets = {".".join(site_of(at)): name for at, name in credited.items() if at}
        self._outlets.pop(".", None)
        # What the post itself says is no secret.
        self._said = letters_of(reports)
        self._rules = letters_of(f"{_SYSTEM}\n{brief.instructions}")
        self._secret = runs(self._rules) - runs(self._said)
        self._notes: list[str] = []

    def on_air(self, text: str) -> str:
        """Returns the part of a growing narration that may be shown.

        The last word is left out, because it may become an address.
        """
        shown = without_marks(_UNFINISHED.sub("", text))
        return cut(self._safe(shown, self._limit * 2), self._limit)

    def narration(self, answer: Answer) -> Narration:
        """Returns the finished narration; raises EmptyAnswer when too little text is left."""
        self._notes = []
        fields = parsed(answer.text)
        text, marks = split_marks(self._safe(narration_so_far(answer.text), self._limit * 4))
        narrative = self._narrative(text, answer, unreadable=fields is None)
        fields = fields or {}
        return Narration(
            title=self._title(fields.get("title"), narrative),
            narrative=narrative,
            tone=self._tone(fields.get("tone")),
            sentiment=next(
                (name for name in SENTIMENTS if name == fields.get("sentiment")), RULE_SENTIMENT
            ),
            topics=self._topics(fields.get("topics")),
            summary=cut(next(iter(sentences(narrative)), ""), MAX_SUMMARY),
            note=", ".join(dict.fromkeys(self._notes)),
            spoken=tuple(spoken_sentences(narrative, marks, passages_of(self._brief))),
        )

    def _narrative(self, text: str, answer: Answer, *, unreadable: bool) -> str:
        broken = unreadable and not is_prose(answer.text)
        if unreadable:
            self._notes.append("broken answer" if broken else "prose answer")
        if not answer.complete:
            self._notes.append(f"cut at {answer.stop_reason}")
        if broken or not answer.complete:
            text = whole_sentences(text)
        if len(text) > self._limit:
            self._notes.append("shortened")
            text = whole_sentences(text[: self._limit]) or cut(text, self._limit)
        if not text or ((broken or not answer.complete) and len(text) < _ENOUGH):
            raise EmptyAnswer("The model's answer contains no usable narration.")
        return text

    def _safe(self, text: str, limit: int) -> str:
        """Returns plain text without the tag, addresses, and sentences that repeat the rules."""

        plain = self._tag.sub("", clean_text(self._tag.sub("", text), limit))
        unlinked = _LINK.sub(r"\1", plain)
        checked = without_addresses(unlinked, self._outlets, self._names)
        if checked != unlinked:
            self._notes.append("addresses removed")
        harmless = checked
        for sentence in filter(self._repeats_rules, sentences(checked)):
            harmless = harmless.replace(sentence, "")
        # The rules may be spread over several sentences.
        harmless = "" if self._repeats_rules(harmless) else harmless
        if harmless != checked:
            self._notes.append("rules removed")
            checked = harmless
        if checked == plain:
            return plain
        # A removed address leaves brackets and spaces behind.
        tidy = _SPACE_BEFORE_STOP.sub("", _EMPTY_BRACKETS.sub("", checked))
        return clean_text(tidy, limit)

    def _repeats_rules(self, text: str) -> bool:
        letters = letters_of(text)
        # A short wish is repeated whole.
        if len(letters) >= RUN // 2 and letters in self._rules and letters not in self._said:
            return True
        # A quotation a little longer than a run contains one that begins at any fourth letter.
        return not self._secret.isdisjoint(runs(letters, step=4))

    def _title(self, title: object, narrative: str) -> str:
        text = self._safe(title, MAX_TITLE * 4) if isinstance(title, str) else ""
        return clean_line(text, MAX_TITLE) or title_of(narrative) or cut(narrative, MAX_TITLE)

    def _tone(self, tone: object) -> Tone:
        for known in TONES:
            if tone == known:
                return known
        self._notes.append("tone by rule")
        return tone_of(self._brief.title, self._brief.body)

    def _topics(self, topics: object) -> list[str]:
        rows = topics if isinstance(topics, list) else []
        named = [topic for topic in rows if isinstance(topic, str)]
        lines = [clean_line(self._safe(topic, MAX_TOPIC * 4), MAX_TOPIC) for topic in named[:20]]
        distinct = list(dict.fromkeys(line for line in lines if line))
        return distinct[:MAX_TOPICS] or topics_of(self._brief.title, self._brief.body)


class AnthropicNarrator:
    """Narrates with ``model`` and books every attempt in ``ledger``.

    Raises Refused (also PromptTooLong) and EmptyAnswer, which concern this post alone, besides the
    errors of every narrator.
    """

    origin = "model"

    def __init__(self, gateway: Gateway, ledger: Ledger, model: str) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._model = model

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        # The tag is new for each post, so that no post can know and close its own block.
        tag = f"post-{secrets.token_hex(5)}"
        review = Review(brief, tag)
        shown = ""

        def show(text: str) -> None:
            nonlocal shown
            checked = review.on_air(narration_so_far(text))
            # The audience never sees a text shrink.
            if len(checked) > len(shown):
                shown = checked
            on_text(shown)

        answer = self._gateway.stream(ask_for(brief, self._model, tag), self._ledger, show)
        narration = review.narration(answer)
        if narration.narrative != shown:
            on_text(narration.narrative)
        return narration


class LockedNarrator:
    """Raises the error of an unusable key for every brief, so that the run is held with it.

    No other key pays instead.
    """

    origin = "model"

    def __init__(self, error: NeedsHuman) -> None:
        self._error = error

    def narrate(self, brief: Brief, on_text: OnText) -> Narration:
        raise self._error


def narrator_for(session: Session, ledger: Ledger, ended: Event) -> Narrator:
    """Returns the session's narrator: a model when there is a key, else the extractive one."""
    try:
        gateway = gateway_for(session, ended)
    except NeedsHuman as error:
        return LockedNarrator(error)
    if gateway is None:
        return ExtractiveNarrator()
    return AnthropicNarrator(gateway, ledger, session.model)
