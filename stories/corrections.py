"""Corrections: a story gets a new version, and its earlier versions are stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from typing_extensions import TypedDict

from sessions_app.errors import Conflict
from sessions_app.events.recorder import timestamp
from stories.models import Story, StoryVersion
from stories.stories import seconds_on_air
from stories.text.sentences import sentences, word_count
from stories.types import GroundedSentence

PUBLISHED = (Story.State.AIRING, Story.State.AIRED)
Kind = Literal["same", "gone", "new"]
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
    author: User,
    pace: int,
    compared: Callable[[str], GroundedSentence] | None = None,
) -> Corrected:
    """Gives the story a new version, in the caller's transaction.

    A published story is marked as corrected, with the reason; one that still waits is only edited.
    What the editor wrote is compared with the sources by ``compared``.
    Raises Conflict when the story has changed meanwhile, or when nothing is different.
    """
    if (title, narrative) == (story.title, story.narrative):
        raise Conflict("This is already the text of the story.", code="unchanged")
    words_before, seconds_before = story.word_count, story.duration
    words = word_count(narrative)
    published = story.state in PUBLISHED
    before, passages = story.passages, after_correction(story.passages, narrative, compared)
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
            corrected_at=timezone.now() if published else None,
            correction=reason if published else "",
            passages=passages,
            held=False,
        )
        if not changed:
            raise Conflict("This story has changed meanwhile. Load it again.")
        # The first version becomes a row only when there is a second one.
        if first is not None:
            _store_version(story, 1, *first, reason="", author=None, passages=before)
        story.refresh_from_db()
        _store_version(story, story.version, title, narrative, reason, author, passages)
    return Corrected(story, words - words_before, story.duration - seconds_before)


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
