"""Corrections: a story gets a new version, and its earlier versions are stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from typing_extensions import TypedDict

from sessions_app.ai_chain import chain
from sessions_app.errors import Conflict
from sessions_app.events.recorder import timestamp
from sessions_app.models import Message, SessionEvent
from stories.models import Story, StoryThread, StoryVersion
from stories.stories import public_sentence, seconds_on_air
from stories.text.cleaning import cut
from stories.text.sentences import sentences, word_count
from stories.types import GroundedSentence

PUBLISHED = (Story.State.AIRING, Story.State.AIRED)
Kind = Literal["same", "gone", "new"]
MOST_SUMMARY = 300
SHORTEST = 12  # characters of a text that is replaced within another one
EVENTS_AT_ONCE = 200
ARCHIVES = "correct_archives"  # the kind of step that corrects archived events
TELLS = re.compile(r"(story|recap|message)\.")  # types of events with texts of stories
MOST_WORDS = 600  # compared one by one: the time grows with their square
_LINE_BREAK = re.compile(r"((?<!\s)\s*\n\s*)")


class VersionPayload(TypedDict):
    """One version of a story, as the story page shows it; ``diff`` is against the one before."""

    number: int
    title: str
    reason: str
    author: str
    at: str
    diff: list[tuple[str, Kind]]
    passages: list[GroundedSentence]


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected story, and the growth of its word count and its length (in seconds)."""

    story: Story
    words: int
    seconds: int


def correct(
    story: Story,
    title: str,
    narrative: str,
    reason: str,
    author: User | None,
    pace: int,
    compared: Callable[[str], GroundedSentence] | None = None,
    withdrawn: Withdrawn | None = None,
) -> Corrected:
    """Gives the story a new version, in the caller's transaction.

    A published story is marked as corrected, with the reason; one that still waits is only edited.
    What the editor wrote is compared with the sources by ``compared``. Where only sentences with a
    ``withdrawn`` headline are left out, the others stay as checked.
    Raises Conflict when the story has changed meanwhile, or when nothing is different.
    """
    if (title, narrative) == (story.title, story.narrative):
        raise Conflict("This is already the text of the story.", code="unchanged")
    words_before, seconds_before = story.word_count, story.duration
    words = word_count(narrative)
    published = story.state in PUBLISHED
    before, held = story.passages, story.held and bool(withdrawn)
    if withdrawn:
        passages = withdrawn.passages_left(before, narrative)
    else:
        passages = after_correction(before, narrative, compared)
    with transaction.atomic():
        first = (story.title, story.narrative) if story.version == 1 else None
        # The version in the condition makes a second correction of the same version fail.
        current = Story.objects.filter(pk=story.pk, version=story.version, state__in=Story.OPEN)
        changed = current.update(
            title=title,
            narrative=narrative,
            version=story.version + 1,
            word_count=words,
            duration=seconds_on_air(words, pace),
            # Of the old text the summary may say what the correction takes back.
            summary=cut(next(iter(sentences(narrative)), ""), MOST_SUMMARY)
            if story.summary
            else "",
            corrected_at=timezone.now() if published else None,
            correction=reason if published else "",
            passages=passages,
            held=held,
        )
        if not changed:
            raise Conflict("This story has changed meanwhile. Load it again.")
        # The first version becomes a row only when there is a second one.
        if first is not None:
            _store_version(story, 1, *first, reason="", author=None, passages=before)
        story.refresh_from_db()
        _store_version(story, story.version, title, narrative, reason, author, passages)
    return Corrected(story, words - words_before, story.duration - seconds_before)


_MARK = "Xwithdrawnx"
MOST_OTHERS = 500  # headlines that have the withdrawn one in them


def _without_stop(headline: str) -> str:
    return headline.rstrip(".!?\u2026") or headline


class Withdrawn:
    """A headline that nothing may repeat any more, in whole words.

    ``others`` are headlines that stay, such as "Rain floods a road" where "Rain" is withdrawn.
    """

    def __init__(self, headline: str, others: Iterable[str] = ()) -> None:
        self.words = _without_stop(headline)
        longer = {_without_stop(other) for other in others if self.words in other} - {self.words}
        # Of several that begin at the same place the longest, and the withdrawn one only if no other.
        kept = sorted(longer, key=len, reverse=True)
        texts = "|".join(map(re.escape, kept)) or "(?!)"
        self._pattern = re.compile(rf"(?<!\w)(?:({texts})|{re.escape(self.words)})(?!\w)")

    @classmethod
    def of(cls, story: Story) -> Withdrawn:
        """Returns the headline of a story that has just been pulled."""
        rows = Story.objects.filter(session=story.session_id, state__in=Story.OPEN)
        rows = rows.filter(title__contains=_without_stop(story.title)).order_by("-pk")
        return cls(story.title, rows.values_list("title", flat=True)[:MOST_OTHERS])

    def without(self, text: str) -> str:
        """Returns a text without the sentences that repeat the headline."""
        # One word instead, as a headline of several sentences would be in none of them.
        left = self._pattern.sub(lambda found: found[1] or _MARK, text)
        if left == text:
            return text
        for sentence in sentences(left):
            if _MARK in sentence:
                left = left.replace(sentence, "")
        return re.sub(r" {2,}", " ", left).strip()

    def passages_left(self, checked: list[GroundedSentence], text: str) -> list[GroundedSentence]:
        """Returns the sentences that are left in a text, without passages that repeat the headline."""
        return [
            {**each, "passages": [row for row in each["passages"] if not self.is_in(row["text"])]}
            for each in checked
            if each["text"] in text and not self.is_in(each["text"])
        ]

    def is_in(self, text: str) -> bool:
        """Whether a text repeats the headline."""
        return any(found[1] is None for found in self._pattern.finditer(text))


# What a source wrote is not ours to correct.
_OF_SOURCES = frozenset({"post", "posts", "sources", "queue", "original", "about", "keywords"})


@dataclass(frozen=True, slots=True)
class Replacement:
    """Replaces the old headline and the sentences that are gone, wherever they were repeated."""

    story: Story
    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, story: Story, old_title: str, old_narrative: str) -> Replacement:
        """Returns the replacement for a story that has just been corrected."""
        left = set(sentences(story.narrative))
        pairs = [(each, "") for each in sentences(old_narrative) if each not in left]
        if old_title != story.title:
            pairs.insert(0, (old_title, story.title))
        # A short text could be part of another one by chance.
        return cls(story, tuple(pair for pair in pairs if len(pair[0]) >= SHORTEST))

    def text(self, text: str) -> str:
        """Returns a text with what was replaced; the new headline where nothing else is left."""
        new = text
        for old, instead in self.pairs:
            new = new.replace(old, instead)
        if new == text:
            return text
        return re.sub(r" {2,}", " ", new).strip() or self.story.title

    def payload(self, value: object, current: Mapping[str, object]) -> object:
        """Returns JSON with the ``current`` text of the story, and other texts replaced."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.payload(item, current) for item in value]
        if not isinstance(value, dict):
            return value
        new = {
            name: item if name in _OF_SOURCES else self.payload(item, current)
            for name, item in value.items()
        }
        if value.get("id") == self.story.pk and "narrative" in value:
            new |= {name: current[name] for name in current.keys() & value.keys()}
            # The audience's part of an event has no origin, and no results of the check.
            if "origin" not in value:
                new["passages"] = [public_sentence(each) for each in self.story.passages]
        return new

    def event(self, type_: str, payload: Mapping[str, Any], current: Mapping[str, object]) -> Any:
        """Returns the payload of an event, with other texts where it is about stories."""
        # What a person wrote stays in that person's words.
        of_person = payload.get("message", {}).get("role") == Message.Role.HUMAN
        return payload if of_person or not TELLS.match(type_) else self.payload(payload, current)


def of_all_corrections(story: Story) -> list[Replacement]:
    """Returns the replacements of all earlier texts of a story, the oldest first."""
    rows = StoryVersion.objects.filter(story=story, number__lt=story.version).order_by("number")
    return [Replacement.of(story, row.title, row.narrative) for row in rows]


def replace_everywhere(replacement: Replacement, current: Mapping[str, object]) -> None:
    """Replaces the old text in what was made from it: thread, memory, messages and events.

    It stays in the versions of the story alone. ``current`` are the fields of the story that events
    have. Call it in the transaction of the correction, before its event is recorded. The files of
    archived events are left to a step of the kind ``ARCHIVES``.
    """
    story = replacement.story
    changed: list[SessionEvent] = []
    for thread in StoryThread.objects.filter(stories=story):
        StoryThread.objects.filter(pk=thread.pk).update(title=replacement.text(thread.title))
    since = {"session": story.session_id, "created_at__gte": story.created_at}
    chain.rewrite_summaries(story.session_id, story.created_at, replacement.text)
    # What a person wrote stays in that person's words.
    for message in Message.objects.filter(**since).exclude(role=Message.Role.HUMAN):
        if (text := replacement.text(message.text)) != message.text:
            Message.objects.filter(pk=message.pk).update(text=text[:2000])
    events = SessionEvent.objects.filter(session=story.session_id, at__gte=story.created_at)
    rows = events.filter(type__regex=f"^{TELLS.pattern}").order_by("seq")
    for event in rows.iterator(EVENTS_AT_ONCE):
        payload = replacement.event(event.type, event.payload, current)
        if payload != event.payload:
            event.payload = payload
            changed.append(event)
    SessionEvent.objects.bulk_update(changed, ["payload"], batch_size=EVENTS_AT_ONCE)


def after_correction(
    checked: list[GroundedSentence],
    text: str,
    compared: Callable[[str], GroundedSentence] | None = None,
) -> list[GroundedSentence]:
    """Returns the sentences of a corrected text: what the editor left has its passages as before.

    What the editor wrote, or left although it had failed the check, is the editor's own, with the
    passages that support it or with what they do not contain.
    """
    before = {each["text"]: each for each in checked if each["support"] != "none"}
    found: list[GroundedSentence] = []
    for sentence in sentences(text) if checked else []:
        own: GroundedSentence = {"text": sentence, "support": "editor", "passages": []}
        if compared is not None and sentence not in before:
            own = {**compared(sentence), "support": "editor"}
        found.append(before.get(sentence, own))
    return found


def _store_version(
    story: Story,
    number: int,
    title: str,
    narrative: str,
    reason: str,
    author: User | None,
    passages: list[GroundedSentence],
) -> None:
    StoryVersion.objects.create(
        session_id=story.session_id,
        story=story,
        number=number,
        title=title,
        narrative=narrative,
        reason=reason,
        author=author,
        passages=passages,
    )


def versions(story: Story) -> list[VersionPayload]:
    """Returns the versions of a story with their changes, the latest first."""
    rows = list(
        StoryVersion.objects.filter(story=story).select_related("author").order_by("number")
    )
    payloads: list[VersionPayload] = [
        {
            "number": row.number,
            "title": row.title,
            "reason": row.reason,
            "author": row.author.get_username() if row.author else "",
            "at": timestamp(row.created_at),
            "diff": list(compare(before.narrative, row.narrative)) if before else [],
            "passages": row.passages,
        }
        for before, row in zip([None, *rows], rows, strict=False)
    ]
    return payloads[::-1]


def compare(before: str, after: str) -> Iterator[tuple[str, Kind]]:
    """Yields the parts of two texts that are the same, gone or new.

    Short texts are compared word by word, long ones sentence by sentence. A break between lines or
    paragraphs counts as a word.
    """
    long = max(len(before.split()), len(after.split())) > MOST_WORDS
    split = sentences if long else str.split
    old, new = _pieces(before, split), _pieces(after, split)
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=long).get_opcodes():
        if tag == "equal":
            yield _join(old[i1:i2]), "same"
            continue
        if i2 > i1:
            yield _join(old[i1:i2]), "gone"
        if j2 > j1:
            yield _join(new[j1:j2]), "new"


def _pieces(text: str, split: Callable[[str], list[str]]) -> list[str]:
    pieces: list[str] = []
    for part in _LINE_BREAK.split(text.strip()):
        pieces += split(part) if part.strip() else ["\n" * min(part.count("\n"), 2)]
    return pieces


def _join(pieces: Sequence[str]) -> str:
    return re.sub(r" ?(\n+) ?", r"\1", " ".join(pieces))
