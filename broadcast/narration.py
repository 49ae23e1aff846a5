"""A narration under way: what the narrator may know, and how it is watched while it grows."""

from __future__ import annotations

import time
from typing import Any, Self

from broadcast import orchestrator
from broadcast.memories import Memory
from broadcast.models import Broadcast
from sessions_app import checkpoints, events
from sessions_app.models import Session
from sessions_app.steps import Claim
from stories import feed, threads
from stories.models import SourcePost
from stories.threads import Earlier
from stories.types import Brief

NARRATION = "narration.delta"
FRAMES_EVERY = 0.2
SHOWN = 4000  # characters of a growing narration: whatever they are, the frame stays below 32 kB
CHECK_EVERY = 1.0


def so_far(session: Session) -> dict[str, Any] | None:
    """What the host has written of its present story: {title, text}, or None."""
    return checkpoints.read(session.pk, NARRATION)


def forget(session: Session) -> None:
    """Drop what was written so far."""
    checkpoints.drop(session.pk, NARRATION)


class Watch:
    """Follows a narration as it grows: shows it to the owner, and stops it when the run has ended.

    What it showed is forgotten when the narrator has ended, before the story is stored: no page
    shows both.
    """

    def __init__(self, run: Broadcast, claim: Claim, post: SourcePost) -> None:
        self._run, self._claim, self._post, self._text = run, claim, post, ""
        self._shown = self._checked = time.monotonic() - CHECK_EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        forget(self._run.session)

    def __call__(self, text: str) -> None:
        at = time.monotonic()
        self._claim.check()
        if at - self._checked >= CHECK_EVERY:
            self._checked = at
            orchestrator.hold_fast(self._run)
        if text != self._text and at - self._shown >= FRAMES_EVERY:
            self._shown, self._text = at, text
            frame = {"title": self._post.title, "text": text[-SHOWN:]}
            checkpoints.keep(self._run.session_id, NARRATION, frame)
            events.publish_ephemeral(self._run.session_id, NARRATION, frame)


def brief_of(post: SourcePost, earlier: Earlier | None, memory: Memory) -> Brief:
    session = post.session
    return Brief(
        title=post.title,
        body=post.body,
        author=post.author,
        source=_credit(post),
        url=post.url,
        published_at=post.published_at,
        score=post.score,
        comments=post.comments,
        priority=post.priority,
        personality=session.personality,
        verbosity=session.verbosity,
        language=session.language,
        instructions=session.instructions,
        recent_titles=memory.titles,
        so_far=memory.summary,
        earlier=threads.told_before(earlier),
        relation=earlier.relation if earlier else "",
    )


def _credit(post: SourcePost) -> str:
    if post.source.kind == "recording":
        return "the demo recording"
    if post.source.kind == "reddit":
        return post.source.locator
    return feed.credit(post.source.locator)


def register() -> None:
    checkpoints.show_as(NARRATION, NARRATION)
