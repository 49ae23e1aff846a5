"""A narration under way: what the narrator may know, and how it is watched while it grows.

How a narration becomes a story: with its link, its thread, its bookings and its event.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Self

from broadcast import airing, orchestrator
from broadcast.host.memory import Memory
from broadcast.models import Broadcast
from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.background.steps import Claim
from sessions_app.errors import StaleClaim
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime import checkpoints
from stories import stories, threads
from stories.models import SourcePost, Story
from stories.sources.registry import credit_of
from stories.text import tokens_of
from stories.threads import Earlier
from stories.types import Brief, Narration
from stories.usage.ledger import SessionLedger

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
            if not orchestrator.on_air(self._run):
                raise StaleClaim("The run is not on air any more.")
        if text != self._text and at - self._shown >= FRAMES_EVERY:
            self._shown, self._text = at, text
            frame = {"title": self._post.title, "text": text[-SHOWN:]}
            checkpoints.save(self._run.session_id, NARRATION, frame)
            recorder.publish_ephemeral(self._run.session_id, NARRATION, frame)


def brief_of(post: SourcePost, earlier: Earlier | None, memory: Memory) -> Brief:
    session = post.session
    return Brief(
        title=post.title,
        body=post.body,
        author=post.author,
        source=credit_of(post.source),
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


@dataclass(frozen=True, slots=True)
class Told:
    """A post, what was made of it and by whom, and the story it goes on from."""

    post: SourcePost
    narration: Narration
    origin: str
    earlier: Earlier | None
    memory: Memory


def store(run: Broadcast, told: Told, ledger: SessionLedger) -> Story:
    """Store the story with all that belongs to it; in the caller's transaction."""
    narration = told.narration
    if not ledger.attempts:
        _link(run, told)
    story = Story(
        session=run.session,
        post=told.post,
        origin=told.origin,
        title=narration.title[:300],
        narrative=narration.narrative,
        summary=narration.summary,
        tone=narration.tone,
        priority=told.post.label,
        sentiment=narration.sentiment,
        topics=list(narration.topics),
        note=narration.note[:300],
    )
    opened = threads.join(story, told.earlier) if told.earlier else None
    joined = airing.shown(opened) if opened else None
    return stories.create(story, ledger.attempts, joined)


def _link(run: Broadcast, told: Told) -> None:
    """A narrator that asks no model is an operation of the session like any other."""
    operation = Operation(
        source=chain.Source.NARRATION, provider_id=chain.offline_id(), model=told.origin,
        run_number=run.number, context_head=told.memory.head,
        tokens=tokens_of(told.narration.narrative),
    )  # fmt: skip
    chain.append(run.session, operation)


def register() -> None:
    checkpoints.register_frame(NARRATION, NARRATION)
