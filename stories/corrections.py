"""Corrections: a story told wrong gets a new version, marked; what was said before is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from sessions_app.errors import Conflict
from sessions_app.events.recorder import timestamp
from stories.models import Story, StoryVersion
from stories.text import reading_seconds, sentences, word_count

OPEN = (Story.State.WRITTEN, Story.State.APPROVED, Story.State.AIRING, Story.State.AIRED)
TOLD = (Story.State.AIRING, Story.State.AIRED)
Kind = Literal["same", "gone", "new"]
MOST_WORDS = 600  # compared one by one: the time grows with their square


@dataclass(frozen=True, slots=True)
class Corrected:
    """The story as it is now, and by how much its words and its length (s) have grown."""

    story: Story
    words: int
    seconds: int


def correct(
    story: Story, title: str, narrative: str, reason: str, author: User, pace: int
) -> Corrected:
    """Give the story a new version, in the caller's transaction.

    A story that was told is marked as corrected, with the reason; one that still waits is only
    edited. Raises Conflict when somebody else changed it meanwhile, or when nothing is different.
    """
    if (title, narrative) == (story.title, story.narrative):
        raise Conflict("Nothing is different from what the story says already.", code="unchanged")
    before_words, before_seconds = story.word_count, story.duration
    words = word_count(narrative)
    told = story.state in TOLD
    with transaction.atomic():
        first = (story.title, story.narrative) if story.version == 1 else None
        mine = Story.objects.filter(pk=story.pk, version=story.version, state__in=OPEN)
        changed = mine.update(
            title=title, narrative=narrative, version=story.version + 1, word_count=words,
            duration=max(1, round(reading_seconds(words, pace))),
            corrected_at=timezone.now() if told else None, correction=reason if told else "",
        )  # fmt: skip
        if not changed:
            raise Conflict("Somebody else changed this story just now. Look at it again.")
        if first is not None:
            _keep(story, 1, *first, reason="", author=None)
        story.refresh_from_db()
        _keep(story, story.version, title, narrative, reason, author)
    return Corrected(story, words - before_words, story.duration - before_seconds)


def _keep(
    story: Story, number: int, title: str, narrative: str, reason: str, author: User | None
) -> None:
    StoryVersion.objects.create(
        session_id=story.session_id, story=story, number=number, title=title,
        narrative=narrative, reason=reason, author=author,
    )  # fmt: skip


def versions(story: Story) -> list[dict[str, Any]]:
    """Each version with what it changed, the latest first; ``diff`` is [(text, same|gone|new)]."""
    rows = list(
        StoryVersion.objects.filter(story=story).select_related("author").order_by("number")
    )
    found = []
    for before, row in zip([None, *rows], rows, strict=False):
        found.append({
            "number": row.number,
            "title": row.title,
            "reason": row.reason,
            "author": row.author.get_username() if row.author else "",
            "at": timestamp(row.created_at),
            "diff": list(compare(before.narrative, row.narrative)) if before else [],
        })  # fmt: skip
    return found[::-1]


def compare(before: str, after: str) -> Iterator[tuple[str, Kind]]:
    """What stayed, went and came: word by word, in a long text sentence by sentence.

    A break between lines or paragraphs is a word of its own.
    """
    long = max(len(before.split()), len(after.split())) > MOST_WORDS
    apart = sentences if long else str.split
    old, new = _pieces(before, apart), _pieces(after, apart)
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=long).get_opcodes():
        if tag == "equal":
            yield _joined(old[i1:i2]), "same"
            continue
        if i2 > i1:
            yield _joined(old[i1:i2]), "gone"
        if j2 > j1:
            yield _joined(new[j1:j2]), "new"


_BREAK = re.compile(r"(\s*\n\s*)")


def _pieces(text: str, apart: Callable[[str], list[str]]) -> list[str]:
    found: list[str] = []
    for part in _BREAK.split(text.strip()):
        found += apart(part) if part.strip() else ["\n" * min(part.count("\n"), 2)]
    return found


def _joined(pieces: Sequence[str]) -> str:
    return re.sub(r" ?(\n+) ?", r"\1", " ".join(pieces))
