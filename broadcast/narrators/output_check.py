"""Checks the answer of a model before it is published: addresses, length, labels, and the tag."""

from __future__ import annotations

import re

from broadcast.narrators.base import (
    MAX_TITLE,
    MAX_TOPIC,
    MAX_TOPICS,
    RULE_SENTIMENT,
    title_of,
    tone_of,
    topics_of,
    whole_sentences,
)
from broadcast.narrators.passages import (
    passages_of,
    split_marks,
    spoken_sentences,
    without_marks,
)
from stories.llm import Answer, EmptyAnswer
from stories.llm.partial_json import is_prose, narration_so_far, parsed
from stories.text.cleaning import clean_line, clean_text, cut
from stories.text.sentences import sentences
from stories.types import SENTIMENTS, TONES, Brief, Narration, Tone

MAX_CHARACTERS = {"concise": 1200, "detailed": 2400, "comprehensive": 3600}
MAX_SUMMARY = 300
_ENOUGH = 25  # characters; a broken answer with fewer is no story

_LINK = re.compile(r"!?\[([^\[\]]{0,300})\]\(\s?[^()\s]{1,2000}\s?\)")
_REST = r"[^\s<>\"'()\[\]]"
_ADDRESS = re.compile(
    rf"(?:\b[a-z][a-z0-9+.-]{{1,15}}://|\bwww\.){_REST}+"
    # Without a scheme: any ending before a path, else only endings that are no words.
    rf"|(?<![\w.-])(?:[\w.+-]{{1,64}}@)?(?:[a-z0-9-]{{1,63}}\.){{1,5}}(?:[a-z]{{2,12}}/{_REST}+"
    r"|(?:com|net|org|io|co|info|biz|xyz|ru|cn|ai|gg|ly|tv|cc|dev|app|eu|uk)\b)",
    re.IGNORECASE,
)
_UNFINISHED = re.compile(r"[!-~]+\Z")
_EMPTY_BRACKETS = re.compile(r"\s?(?:\(\s*\)|\[\s*\])")
_SPACE_BEFORE_STOP = re.compile(r" +(?=[.,;:!?](?:\s|$))")


def _bare(address: str) -> str:
    """Returns an address as compared: without scheme, "www." and final punctuation."""
    without = re.sub(r"^(?:[a-z][a-z0-9+.-]*://)?(?:www\.)?", "", address.lower())
    return without.rstrip("/.,;:!?")


class Review:
    """Checks the answer to one brief; ``tag``, the name of its block, must not be published."""

    def __init__(self, brief: Brief, tag: str) -> None:
        self._brief = brief
        self._tag = re.compile(rf"</?{re.escape(tag)}>?|{re.escape(tag)}", re.IGNORECASE)
        self._limit = MAX_CHARACTERS.get(brief.verbosity, MAX_CHARACTERS["detailed"])
        quoted = f"{brief.url} {brief.source} {brief.title} {brief.body}"
        addresses = {_bare(match[0]) for match in _ADDRESS.finditer(quoted)}
        # The host of an address in the post may be named as well.
        self._known = addresses | {address.split("/")[0] for address in addresses}
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
        """Returns plain text without the tag and without addresses that are not in the post."""

        def known_address(match: re.Match[str]) -> str:
            if _bare(match[0]) in self._known:
                return match[0]
            self._notes.append("addresses removed")
            return ""

        plain = self._tag.sub("", clean_text(self._tag.sub("", text), limit))
        checked = _ADDRESS.sub(known_address, _LINK.sub(r"\1", plain))
        if checked == plain:
            return plain
        # A removed address leaves brackets and spaces behind.
        tidy = _SPACE_BEFORE_STOP.sub("", _EMPTY_BRACKETS.sub("", checked))
        return clean_text(tidy, limit)

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
