"""One narration: what the narrator gets, how its text is followed, and the story made of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

from typing_extensions import TypedDict

from broadcast import airing, orchestrator
from broadcast.host import claims
from broadcast.host.memory import Memory
from broadcast.models import Broadcast
from broadcast.narrators.base import BREAKING_KICKERS, kicker_of
from broadcast.narrators.grounding import Checked
from sessions_app.ai_chain import chain
from sessions_app.ai_chain.chain import Operation
from sessions_app.background.steps import Claim
from sessions_app.errors import StaleClaim
from sessions_app.events import recorder
from sessions_app.models import Session
from sessions_app.realtime import checkpoints
from stories import reports, stories, threads
from stories.models import SourcePost, Story, StoryReport
from stories.posts import changes
from stories.posts.selection import Choice
from stories.sources.registry import credit_of
from stories.text.cleaning import cut
from stories.text.sentences import tokens_of
from stories.threads import Earlier
from stories.types import Brief, Changed, OtherReport
from stories.usage.ledger import SessionLedger

NARRATION = "narration.delta"
SECONDS_BETWEEN_FRAMES = 0.2
SECONDS_BETWEEN_CHECKS = 1.0
MOST_REPORTS = 4  # other reports that a narrator gets
MOST_OF_REPORT = 1200  # characters
SHOWN = 4000  # characters of the growing text: in any script, the frame stays below 32 kB


class NarrationFrame(TypedDict):
    """The title of the post and the text that the host has written so far."""

    title: str
    text: str


def so_far(session: Session) -> NarrationFrame | None:
    """Returns what the host has written of its present story."""
    frame = checkpoints.read(session.pk, NARRATION)
    return None if frame is None else {"title": frame["title"], "text": frame["text"]}


def forget(session: Session) -> None:
    """Deletes what was written so far."""
    checkpoints.drop(session.pk, NARRATION)


class Watch:
    """Shows a narration to the owner as it grows, and stops it when the run has ended.

    The text is deleted when the narrator has ended, before the story is stored, so that no page
    shows both.
    """

    def __init__(self, run: Broadcast, claim: Claim, post: SourcePost) -> None:
        self._run = run
        self._claim = claim
        self._post = post
        self._text = ""
        # In the past, so that the first piece of text is shown and checked at once.
        self._shown_at = self._checked_at = time.monotonic() - SECONDS_BETWEEN_CHECKS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        forget(self._run.session)

    def __call__(self, text: str) -> None:
        at = time.monotonic()
        # Costs no query: the heartbeat sets a flag. The run is read from the database once a
        # second.
        self._claim.check()
        if at - self._checked_at >= SECONDS_BETWEEN_CHECKS:
            self._checked_at = at
            if not orchestrator.on_air(self._run):
                raise StaleClaim("The run is not on air any more.")
        if text != self._text and at - self._shown_at >= SECONDS_BETWEEN_FRAMES:
            self._shown_at, self._text = at, text
            # The end of the text, because pages show what is being written now.
            frame = {"title": self._post.title, "text": text[-SHOWN:]}
            checkpoints.save(self._run.session_id, NARRATION, frame)
            recorder.publish_ephemeral(self._run.session_id, NARRATION, frame)


def brief_of(post: SourcePost, earlier: Earlier | None, memory: Memory, choice: Choice) -> Brief:
    """Returns what the narrator gets: the post, the session's settings, and what came before."""
    session = post.session
    title = post.title
    if not claims.may_air_as_breaking(post, choice.reports):
        kicker, rest = kicker_of(title)
        title = rest if kicker in BREAKING_KICKERS else title
    return Brief(
        title=title,
        body=post.body,
        author=post.author,
        source=credit_of(post),
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
        earlier=threads.earlier_summaries(earlier),
        number=choice.written,
        upcoming=credit_of(choice.upcoming) if choice.upcoming else "",
        relation=earlier.relation if earlier else "",
        changes=_changes(post, earlier, choice),
        others=_others(post, choice),
    )


def _changes(post: SourcePost, earlier: Earlier | None, choice: Choice) -> tuple[Changed, ...]:
    """Returns what changed since the earlier story, or since the post it replaces."""
    before = earlier.story.post if earlier else None
    if before is None and choice.background:
        before = choice.background[0]
    if before is None:
        return ()
    figures = changes.compare(post.title, post.body, before.title, before.body)
    statuses = changes.status_changes(post.title, before.title, before.body)
    return tuple(
        Changed(change.words, change.now.sentence, change.before.sentence, status=status)
        for found, status in ((figures, False), (statuses, True))
        for change in found
    )


def _others(post: SourcePost, choice: Choice) -> tuple[OtherReport, ...]:
    """Returns the other reports that the story covers, with the figures in which they differ."""
    others = []
    for other in choice.reports[:MOST_REPORTS]:
        differences = changes.compare(other.title, other.body, post.title, post.body)
        differs = ", ".join(change.now_words for change in differences)
        body = cut(other.body, MOST_OF_REPORT)
        others.append(OtherReport(credit_of(other), other.title, body, differs=differs))
    for other in choice.background[:MOST_REPORTS]:
        body = cut(other.body, MOST_OF_REPORT)
        others.append(OtherReport(credit_of(other), other.title, body, older=True))
    return tuple(others)


@dataclass(frozen=True, slots=True)
class NarratedPost:
    """A post with its narration, the kind of narrator, and the story that it follows up."""

    post: SourcePost
    checked: Checked
    origin: str
    earlier: Earlier | None
    memory: Memory
    choice: Choice


def store(run: Broadcast, narrated: NarratedPost, ledger: SessionLedger) -> Story:
    """Stores the story with its link, thread and event; the caller has locked the run."""
    narration = narrated.checked.narration
    if not ledger.attempts:
        # A narrator that asks no model is an operation of the AI chain like any other.
        operation = Operation(
            source=chain.Source.NARRATION,
            provider_id=chain.offline_id(),
            model=narrated.origin,
            run_number=run.number,
            context_head=narrated.memory.head,
            tokens=tokens_of(narration.narrative),
        )
        chain.append(run.session, operation)
    tone = narration.tone
    if tone == "breaking" and not claims.may_air_as_breaking(
        narrated.post, narrated.choice.reports
    ):
        tone = "developing"
    story = Story(
        session=run.session,
        post=narrated.post,
        origin=narrated.origin,
        title=narration.title[:300],
        narrative=narration.narrative,
        summary=narration.summary,
        tone=tone,
        priority=narrated.post.label,
        sentiment=narration.sentiment,
        topics=list(narration.topics),
        note=narration.note[:300],
        passages=list(narrated.checked.sentences),
        dropped=list(narrated.checked.dropped),
        held=narrated.checked.held,
    )
    opened = threads.join(story, narrated.earlier) if narrated.earlier else None
    joined = airing.story_payload(opened) if opened else None
    covered = [(post, StoryReport.Role.REPORT) for post in narrated.choice.reports]
    covered += [(post, StoryReport.Role.BACKGROUND) for post in narrated.choice.background]
    # Some may have been claimed, killed or placed by a person while the narrator was at work.
    covered = [(post, role) for post, role in covered if claims.cover(post, role, story.title)]
    told = [narrated.post, *(post for post, role in covered if role == StoryReport.Role.REPORT)]
    duplicates = [(post, StoryReport.Role.REPEATED) for post in reports.duplicates_of(told)]
    stories.create(story, ledger.attempts, joined, [*covered, *duplicates])
    for post, _ in covered:
        claims.record(post, queue=-1)
    return story


def register() -> None:
    checkpoints.register_frame(NARRATION, NARRATION)
